"""Synthetic drives, written as a valid nuScenes v1.0 data set by ray casting.

`write_drives(root, SynthRecipe(seed=1))` makes tables, LiDAR sweeps, six images a keyframe, official-format labels and,
in a folder of their own that no nuScenes tool reads, the true category and instance of every pixel.
"""

from __future__ import annotations

from olivine.synth.drives import write_drives
from olivine.synth.recipe import SynthRecipe

__all__ = ["SynthRecipe", "write_drives"]
