"""Corruptions of sweeps in the style of nuScenes-C (Robo3D, Kong et al. 2023): what weather and sensors do to points.

They are models of our own, simple enough to be stated in a line each, with three severities. They are NOT the files of
nuScenes-C: scores under them compare arms with one another, never with the numbers of the paper's Table 8.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from olivine.errors import UsageError
from olivine.points.corrupt.corrupted import SCATTERED, Corrupted
from olivine.points.corrupt.sensor import drop_beams, drop_dark_echoes, jitter, mix_crosstalk, thin_out
from olivine.points.corrupt.weather import add_fog, add_snow, wet_ground

Corruption = Callable[[NDArray[np.float32], int, np.random.Generator], Corrupted]

CORRUPTIONS: Final[dict[str, Corruption]] = {
    "fog": add_fog,
    "wet_ground": wet_ground,
    "snow": add_snow,
    "motion_blur": jitter,
    "beam_missing": drop_beams,
    "cross_talk": mix_crosstalk,
    "incomplete_echo": drop_dark_echoes,
    "cross_sensor": thin_out,
}
"""The eight by name, in the order of the benchmark."""

SEVERITIES: Final = (1, 2, 3)
"""Light, moderate, heavy."""

__all__ = ["CORRUPTIONS", "SCATTERED", "SEVERITIES", "Corrupted", "corrupt"]


def corrupt(points_N5: NDArray[np.float32], name: str, severity: int, seed: int) -> Corrupted:
    """A corrupted copy of a sweep; the same arguments give the same bytes.

    Args:
        points_N5: float32 x, y, z [m] in the LiDAR frame, intensity 0..255, ring.
        name, severity: which of CORRUPTIONS and SEVERITIES.
        seed: of everything that is drawn; give another one to each sweep.

    Raises:
        UsageError: no such corruption or severity.
    """
    if name not in CORRUPTIONS:
        raise UsageError(f"there is no corruption {name!r}: choose one of {', '.join(CORRUPTIONS)}.")
    if severity not in SEVERITIES:
        raise UsageError(f"severity {severity} of {name}: choose one of {', '.join(map(str, SEVERITIES))}.")
    rng = np.random.default_rng((seed, list(CORRUPTIONS).index(name), severity))
    return CORRUPTIONS[name](points_N5, severity, rng)
