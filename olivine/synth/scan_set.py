"""Synthetic scans in the layout of SemanticKITTI: another sensor on the same kind of streets, and no cameras.

    write_scan_set(Path("scans"), ScanSetRecipe(seed=1))

64 beams at the elevations of an HDL-64E, 1.73 m above the ground, x forward, intensities 0..1 in steps of 0.01; one
street for each of the eleven labelled sequences. Labels are uint32: raw id below, instance above. No calibrations, no
poses: fine-tuning needs neither.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from olivine.datasets import load_table
from olivine.synth.arrays import F32
from olivine.synth.drive import KEYFRAME_PERIOD_S, draw_drive, travel_m
from olivine.synth.drives import Progress, write_whole_set
from olivine.synth.lidar import RAW_EGO, Sweep, scan
from olivine.synth.poses import Pose, euler_rotation
from olivine.synth.raycast import RayCaster
from olivine.synth.recipe import GENERATOR_VERSION, ScenePlan, scene_seed
from olivine.synth.rig import Lidar, turn_rays
from olivine.synth.scene_writer import FileSink, SceneResult
from olivine.synth.world import World, build_world

_POSITION_M: Final = (0.81, 0.0, 1.73)
_UPPER_BEAMS: Final = (2.0, -8.33, 32)
_LOWER_BEAMS: Final = (-8.83, -24.33, 32)
"""First and last elevation in degrees, and how many beams: an HDL-64E is two blocks."""


class ScanSetRecipe(BaseModel):
    """Everything that determines the bytes of the scans (on one machine and one set of libraries)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=0, ge=0)
    """Root of all random draws."""
    scans_per_sequence: int = Field(default=10, ge=1, le=60)
    """Scans of each sequence, 0.5 s apart: ten sequences to train on, sequence 08 to test on."""
    num_columns: int = Field(default=2083, ge=8, le=8192)
    """Firings in one turn (azimuth steps)."""

    def digest(self) -> str:
        """SHA-256 (hex) of the recipe and the generator's version."""
        text = f"olivine-synth-semantickitti-{GENERATOR_VERSION}\n{self.model_dump_json()}"
        return hashlib.sha256(text.encode()).hexdigest()


def write_scan_set(
    root: Path, recipe: ScanSetRecipe, progress: Progress | None = None, *, num_workers: int | None = None
) -> None:
    """Write the scans to the folder `root`, or return at once if they are there; whole or not at all.

    Arguments and errors are those of `write_drives`; `progress` counts scans.
    """
    write_whole_set(root, recipe, _plan(recipe), _write_sequence, _no_tables, progress, num_workers)


def _plan(recipe: ScanSetRecipe) -> list[ScenePlan]:
    sequences = load_table("semantickitti").sequences
    names = sorted((*sequences["train"], *sequences["val"]))
    return [
        ScenePlan(index, name, "test" if name in sequences["val"] else "train", recipe.scans_per_sequence)
        for index, name in enumerate(names)
    ]


def _no_tables(partial: Path, recipe: ScanSetRecipe, plans: list[ScenePlan], results: list[SceneResult]) -> bytes:
    return b""


def _write_sequence(root: Path, recipe: ScanSetRecipe, plan: ScenePlan) -> SceneResult:
    rng = np.random.default_rng(scene_seed(recipe.seed, f"semantickitti/{plan.name}"))
    speed_mps = rng.uniform(5.0, 10.0)
    world = build_world(rng, travel_m(plan.num_keyframes, speed_mps))
    drive = draw_drive(rng, world.street, speed_mps)
    lidar, caster, sink = _mount(recipe, rng), RayCaster(world.mesh.triangles_T33), FileSink(root)
    for number in range(plan.num_keyframes):
        pose = drive.pose(round(number * KEYFRAME_PERIOD_S * 1e6))
        sweep = scan(world.mesh, caster, lidar, pose @ lidar.pose, rng)
        _write_scan(sink, f"sequences/{plan.name}", f"{number:06d}", sweep, world)
    return SceneResult({}, sink.digest())


def _mount(recipe: ScanSetRecipe, rng: np.random.Generator) -> Lidar:
    """The LiDAR of one sequence, tilted by about 0.4 degrees."""
    pose = Pose(euler_rotation(*np.radians(rng.normal(0.0, 0.4, 3))), np.array(_POSITION_M))
    elevation = np.radians(np.concatenate([np.linspace(*_UPPER_BEAMS), np.linspace(*_LOWER_BEAMS)]))
    directions_N3, rings_N = turn_rays(elevation, recipe.num_columns, start_rad=0.0)
    return Lidar(pose, directions_N3, rings_N)


def _write_scan(sink: FileSink, folder: str, frame: str, sweep: Sweep, world: World) -> None:
    # The recordings hold no echoes of the vehicle itself.
    kept_N = sweep.raw_N != RAW_EGO
    points_N4: F32 = sweep.points_N5[kept_N, :4].copy()
    points_N4[:, 3] = np.round(points_N4[:, 3] / 255.0, 2)
    instance_N = world.panoptic_numbers()[sweep.instance_N[kept_N]].astype(np.uint32)
    labels_N = sweep.kitti_N[kept_N].astype(np.uint32) | (instance_N << 16)
    sink.write(f"{folder}/velodyne/{frame}.bin", points_N4.astype("<f4").tobytes())
    sink.write(f"{folder}/labels/{frame}.label", labels_N.astype("<u4").tobytes())
