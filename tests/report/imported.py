"""A backbone as `olivine weights import` leaves it: no heads, no drives, no weak labels."""

from __future__ import annotations

from olivine.artifacts import Artifact, Output, begin


def import_without_heads(backbone: Artifact) -> Artifact:
    """The network of `backbone` as if it had come from another program."""
    recipe = {"imported": {"layout": "slidr"}, "network": backbone.manifest.recipe["network"]}
    out = begin(backbone.store, "pretrain", "backbone", {}, recipe, seed=0)
    assert isinstance(out, Output)
    out.put("backbone.safetensors", backbone.read("backbone.safetensors"))
    out.put("history.json", b"[]")
    return out.publish({"tensors": 1}, {"method": "imported_slidr", "encoder": {}}, ("test data",))
