"""Start a detector's sparse layers from a pretrained backbone, and say which tensors were taken.

Intensities are compared as the networks see them: the greatest one of the sensor times the recipe's factor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from olivine.artifacts import Artifact
from olivine.detect.network import Detector
from olivine.detect.recipe import DetectorRecipe
from olivine.errors import UsageError
from olivine.training.tensors import bytes_tensors

_MOST_SHOWN = 5
_PRETRAINING_MAX = 255.0
"""Drives with cameras come in nuScenes' layout, with its intensities."""
_KITTI_MAX = 1.0
_TOLERANCE = 0.01
"""0.00392 is 1/255."""


@dataclass(frozen=True)
class Intensities:
    """Greatest intensity that a backbone saw in pretraining, None where it is not known, and that a detector sees."""

    backbone: float | None
    detector: float


@dataclass(frozen=True)
class Start:
    """Names of the detector's tensors that came from a backbone, and of those that start from random."""

    taken: tuple[str, ...]
    fresh: tuple[str, ...]
    intensities: Intensities

    def line(self, backbone: str) -> str:
        """One line for people."""
        seen = f"0..{self.intensities.detector:g}"
        if self.intensities.backbone is None:
            seen += " here, and which ones the backbone saw is not known: compare them yourself"
        else:
            seen += " in both"
        return (
            f"backbone {backbone[:12]}: {len(self.taken)} tensors taken, from {self.taken[0]} to {self.taken[-1]}; "
            f"{len(self.fresh)} start from random (2D network and head); intensities are {seen}"
        )


def start_from_random(detector: Detector, recipe: DetectorRecipe) -> Start:
    """Take nothing."""
    return Start((), tuple(detector.state_dict()), Intensities(None, _seen_by_detector(recipe)))


def start_from(detector: Detector, backbone: Artifact, recipe: DetectorRecipe) -> Start:
    """Take every tensor of a `backbone` into the detector's.

    Raises:
        UsageError: it is no VoxelNet, or one of other widths, or it saw other intensities. A start from part of a
            backbone, or from one that knows another input, would look like a pretraining that brings little.
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
    intensities = _compare_intensities(backbone, recipe)
    detector.backbone.load_state_dict(found)
    taken = tuple(f"backbone.{name}" for name in wanted)
    return Start(taken, tuple(name for name in detector.state_dict() if name not in set(taken)), intensities)


def _compare_intensities(backbone: Artifact, recipe: DetectorRecipe) -> Intensities:
    seen = Intensities(_seen_in_pretraining(backbone), _seen_by_detector(recipe))
    if seen.backbone is not None and not math.isclose(seen.backbone, seen.detector, rel_tol=_TOLERANCE):
        raise UsageError(
            f"backbone {backbone.id[:12]} saw intensities of 0..{seen.backbone:g} in pretraining, and the detector "
            f"would see 0..{seen.detector:g}. Pretrain with a recipe METHOD@voxelnet, or give the detector what the "
            f"backbone saw: --set finetune.intensity_scale={seen.backbone / _KITTI_MAX:g}"
        )
    return seen


def _seen_in_pretraining(backbone: Artifact) -> float | None:
    network = backbone.manifest.recipe["network"]
    # Trained elsewhere and imported, or on drives of another range.
    if "drives" not in backbone.manifest.inputs or network.get("intensity"):
        return None
    return float(network["intensity_scale"]) * _PRETRAINING_MAX


def _seen_by_detector(recipe: DetectorRecipe) -> float:
    return recipe.intensity_scale * _KITTI_MAX
