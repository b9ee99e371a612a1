"""Synthetic drives, written as a valid nuScenes v1.0 data set by ray casting.

`write_drives(root, SynthRecipe(seed=1))` makes tables, LiDAR sweeps, six images a keyframe, official-format labels and,
in a folder of their own that no nuScenes tool reads, the true category and instance of every pixel.
`write_scan_set(root, ScanSetRecipe(seed=1))` makes scans of 64 beams with labels in the layout of SemanticKITTI.
"""

from __future__ import annotations

from olivine.synth.drives import write_drives
from olivine.synth.recipe import SynthRecipe
from olivine.synth.scan_set import ScanSetRecipe, write_scan_set

__all__ = ["ScanSetRecipe", "SynthRecipe", "write_drives", "write_scan_set"]
