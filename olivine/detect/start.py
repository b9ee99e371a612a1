"""Start a detector's sparse layers from a pretrained backbone, and say which tensors were taken."""

from __future__ import annotations

from dataclasses import dataclass

from olivine.artifacts import Artifact
from olivine.detect.network import Detector
from olivine.errors import UsageError
from olivine.training.tensors import bytes_tensors

_MOST_SHOWN = 5


@dataclass(frozen=True)
class Start:
    """Names of the detector's tensors that came from a backbone, and of those that start from random."""

    taken: tuple[str, ...]
    fresh: tuple[str, ...]

    def line(self, backbone: str) -> str:
        """One line for people."""
        return (
            f"backbone {backbone[:12]}: {len(self.taken)} tensors taken, from {self.taken[0]} to {self.taken[-1]}; "
            f"{len(self.fresh)} start from random (2D network and head)"
        )


def start_from(detector: Detector, backbone: Artifact) -> Start:
    """Take every tensor of a `backbone` into the detector's.

    Raises:
        UsageError: it is no VoxelNet, or one of other widths. A start from part of a backbone would look like a
            pretraining that brings little.
    """
    found = bytes_tensors(backbone.read("backbone.safetensors"), "backbone")
    wanted = detector.backbone.state_dict()
    other = [name for name, tensor in wanted.items() if name not in found or found[name].shape != tensor.shape]
    unknown = [name for name in found if name not in wanted]
    if other or unknown:
        kind = backbone.manifest.recipe["network"]["kind"]
        raise UsageError(
            f"backbone {backbone.id[:12]} is a {kind} of which {len(wanted) - len(other)} of the detector's "
            f"{len(wanted)} tensors match; others are {', '.join([*other, *unknown][:_MOST_SHOWN])}. Pretrain or "
            "import a VoxelNet (network.kind=voxelnet), and give its widths: --set finetune.widths=[16,32,64,64,128]"
        )
    detector.backbone.load_state_dict(found)
    taken = tuple(f"backbone.{name}" for name in wanted)
    return Start(taken, tuple(name for name in detector.state_dict() if name not in set(taken)))
