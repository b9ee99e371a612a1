"""`olivine weights import | export | inspect`: weights from and to other programs, as commands."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from olivine.artifacts import Artifact, find_artifact
from olivine.errors import UsageError
from olivine.exchange.exporting import export_backbone
from olivine.exchange.importing import import_backbone
from olivine.exchange.inspecting import inspect_weights
from olivine.exchange.layouts import LAYOUTS
from olivine.exchange.match import show
from olivine.exchange.provenance import describe_origin
from olivine.models.network_recipe import NetworkRecipe
from olivine.recipes import load_recipe
from olivine.steps import describe
from olivine.store import open_store

_MOST_TENSORS = 12
_USUAL_RECIPE = "olivine"


def run_import(
    store_url: str,
    source: Path,
    layout: str,
    licence: str,
    recipe: str = "",
    settings: list[str] | None = None,
    as_json: bool = False,
) -> Artifact:
    """Import weights and print the backbone that they have become.

    `recipe` with `settings` (`finetune.network.field=value`) names the network; without, the file must say it.

    Raises:
        UsageError: settings without a recipe; else what `import_backbone` raises.
    """
    network = _network(recipe, settings)
    artifact = import_backbone(open_store(store_url), source, layout, licence, network)
    if as_json:
        print(json.dumps(describe(artifact)))
        return artifact
    for line in [*describe_origin(artifact), *artifact.manifest.summary["notes"], _finetune_hint(artifact)]:
        print(line, file=sys.stderr)
    counts = artifact.manifest.counts
    shown = ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in counts.items() if value)
    print(shown, file=sys.stderr)
    print(f"backbone {artifact.id}")
    return artifact


def run_export(store_url: str, backbone: str, layout: str, out: Path) -> Path:
    """Export the backbone with this id (or its first 6 or more characters); print what must be known of it, and where.

    Raises:
        UsageError: no such backbone; else what `export_backbone` raises.
    """
    artifact = find_artifact(open_store(store_url), "pretrain", backbone, "backbone")
    written = export_backbone(artifact, layout, out)
    for line in [*describe_origin(artifact), f"Licence: {'; '.join(artifact.manifest.licences)}"]:
        print(line, file=sys.stderr)
    print(written)
    return written


def run_inspect(source: Path, recipe: str = "", settings: list[str] | None = None, as_json: bool = False) -> None:
    """Print what is in a file of weights, and which layouts it fits; see `inspect_weights`."""
    found = inspect_weights(source, _network(recipe, settings))
    if as_json:
        print(json.dumps(found))
        return
    print(f"{found['file']}: {found['size_bytes']} bytes, sha256 {found['sha256']}")
    for tensor in found["tensors"][:_MOST_TENSORS]:
        print(f"  {show([tensor['name']])} {tensor['type']} {tensor['shape']}")
    if len(found["tensors"]) > _MOST_TENSORS:
        print(f"  and {len(found['tensors']) - _MOST_TENSORS} more tensors")
    print(f"network: {json.dumps(found['statement']) if found['statement'] else 'it says nothing'}")
    for layout, fit in found["fits"].items():
        verdict = "fits" if fit["complete"] else "does not fit"
        print(f"layout {layout:12} {verdict}: {fit['matched']} of {fit['wanted']} tensors of a {fit['backbone']}")


def layout_lines() -> list[str]:
    """One line for each layout, for the help of the commands."""
    return [f"{name}: {layout.summary}" for name, layout in LAYOUTS.items()]


def _network(recipe: str, settings: list[str] | None) -> NetworkRecipe | None:
    if settings and not recipe:
        raise UsageError("--set changes a recipe: say which one with --recipe.")
    # Of the stage that will use the backbone: every recipe has it, and its settings are the same then.
    return load_recipe(recipe, settings).finetune.network if recipe else None


def _finetune_hint(artifact: Artifact) -> str:
    """How to fine-tune it: the network of fine-tuning must be that of the backbone."""
    network, usual = artifact.manifest.recipe["network"], load_recipe(_USUAL_RECIPE).finetune.network.resolved()
    changed = [name for name in network if network[name] != usual[name]]
    settings = " ".join(f"--set 'finetune.network.{name}={json.dumps(network[name])}'" for name in changed)
    return f"Fine-tune: olivine finetune --recipe {_USUAL_RECIPE} --backbone {artifact.id[:12]} {settings}".rstrip()
