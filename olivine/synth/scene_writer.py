"""Makes one scene: world, drive, sensors; writes its files and returns its table rows."""

from __future__ import annotations

import errno
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from olivine.errors import DiskFullError
from olivine.synth.annotations import Annotation, annotate
from olivine.synth.arrays import U8, U16
from olivine.synth.camera import Renderer, View
from olivine.synth.drive import KEYFRAME_PERIOD_S, Drive, draw_drive, travel_m
from olivine.synth.lidar import Sweep, scan
from olivine.synth.lighting import draw_light
from olivine.synth.map_mask import draw_map_mask
from olivine.synth.poses import Pose
from olivine.synth.raycast import RayCaster
from olivine.synth.recipe import ScenePlan, SynthRecipe, scene_seed
from olivine.synth.records import Tables
from olivine.synth.rig import LIDAR, Camera, Rig, build_rig, camera_rays
from olivine.synth.scene_tables import SceneTables
from olivine.synth.world import World, build_world

TRUTH_FOLDER: Final = "synth_truth"
_FIRST_TIME_US: Final = 1_600_000_000_000_000
_SCENE_SPACING_US: Final = 3_600_000_000
_JPEG_QUALITY: Final = 90


class FileSink:
    """Writes files below one folder and keeps a running digest of their names and bytes."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._hash = hashlib.sha256()

    def write(self, name: str, content: bytes) -> None:
        """Writes one file; `name` is relative to the root, with forward slashes."""
        path = self._root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise DiskFullError(
                    f"no room for {len(content)} bytes at {path}; free some space and try again"
                ) from error
            raise
        self._hash.update(f"{name}\0{len(content)}\0".encode())
        self._hash.update(content)

    def digest(self) -> str:
        """SHA-256 (hex) of all names and bytes so far, in the order of writing."""
        return self._hash.hexdigest()


@dataclass(frozen=True)
class SceneResult:
    """What a worker sends back: the scene's table rows and the digest of its files."""

    tables: Tables
    digest: str


def write_scene(root: Path, recipe: SynthRecipe, plan: ScenePlan) -> SceneResult:
    """Writes all files of one scene below `root`; the bytes depend on `recipe` and `plan` alone."""
    rng = np.random.default_rng(scene_seed(recipe.seed, plan.name))
    speed_mps = rng.uniform(5.0, 10.0)
    world = build_world(rng, travel_m(plan.num_keyframes, speed_mps))
    writer = _SceneWriter(FileSink(root), recipe, plan, world, draw_drive(rng, world.street, speed_mps), rng)
    return writer.run()


class _SceneWriter:
    def __init__(
        self,
        sink: FileSink,
        recipe: SynthRecipe,
        plan: ScenePlan,
        world: World,
        drive: Drive,
        rng: np.random.Generator,
    ) -> None:
        self._sink, self._recipe, self._plan, self._world, self._drive, self._rng = (
            sink,
            recipe,
            plan,
            world,
            drive,
            rng,
        )
        self._rig: Rig = build_rig(recipe, rng)
        self._light = draw_light(rng)
        self._caster = RayCaster(world.mesh.triangles_T33)
        self._renderer = Renderer(world.mesh, self._caster, self._light)
        self._panoptic = world.panoptic_numbers()
        self._size = (recipe.image_width, recipe.image_height)
        self._rays = {camera.channel: camera_rays(camera, *self._size) for camera in self._rig.cameras}
        self._tables = SceneTables(recipe.seed, plan.name)
        self._logfile = f"synth-{recipe.seed}-{plan.name.removeprefix('scene-')}"

    def run(self) -> SceneResult:
        """Writes the scene."""
        self._add_scene_rows()
        annotations = [self._keyframe(number) for number in range(self._plan.num_keyframes)]
        self._tables.add_annotations(annotations)
        return SceneResult(self._tables.tables, self._sink.digest())

    def _add_scene_rows(self) -> None:
        map_file = f"maps/{self._logfile}.png"
        self._sink.write(map_file, _png(draw_map_mask(self._world.street)))
        street = self._world.street
        description = (
            f"Synthetic drive, {self._light.name}, {len(street.lanes)} lanes, "
            f"{len(street.crossings)} side roads, {len(self._world.instances)} objects"
        )
        log = {
            "logfile": self._logfile,
            "vehicle": "synth",
            "date_captured": "2020-09-13",
            "location": f"synthetic-{self._plan.name.removeprefix('scene-')}",
        }
        self._tables.add_scene(description, self._plan.num_keyframes, log, map_file)
        self._tables.add_rig(self._rig)

    def _keyframe(self, number: int) -> list[Annotation]:
        """Writes one keyframe; times within the drive are microseconds since the first keyframe."""
        time_us = round(number * KEYFRAME_PERIOD_S * 1e6 + self._rng.uniform(-2_000, 2_000))
        self._tables.add_sample(number, self._plan.num_keyframes, self._clock(time_us))
        lidar_pose = self._drive.pose(time_us)
        lidar_on_map = lidar_pose @ self._rig.lidar.pose
        sweep = scan(self._world.mesh, self._caster, self._rig.lidar, lidar_on_map, self._rng)
        self._write_sweep(number, time_us, lidar_pose, sweep)
        views = [self._write_view(number, time_us + camera.clock_us, camera) for camera in self._rig.cameras]
        return annotate(self._world.instances, sweep, lidar_on_map, views)

    def _write_sweep(self, number: int, time_us: int, ego: Pose, sweep: Sweep) -> None:
        file = f"samples/{LIDAR}/{self._stem(LIDAR, time_us)}.pcd.bin"
        self._sink.write(file, sweep.points_N5.astype("<f4").tobytes())
        token = self._add_data(number, LIDAR, time_us, ego, file, (0, 0))
        version = self._recipe.version
        lidarseg_file = f"lidarseg/{version}/{token}_lidarseg.bin"
        panoptic_file = f"panoptic/{version}/{token}_panoptic.npz"
        panoptic = sweep.raw_N.astype(np.uint16) * np.uint16(1000) + self._panoptic[sweep.instance_N]
        packed = io.BytesIO()
        np.savez_compressed(packed, data=panoptic)
        self._sink.write(lidarseg_file, sweep.raw_N.tobytes())
        self._sink.write(panoptic_file, packed.getvalue())
        self._tables.add_point_labels(token, lidarseg_file, panoptic_file)

    def _write_view(self, number: int, time_us: int, camera: Camera) -> tuple[Camera, Pose, View]:
        ego = self._drive.pose(time_us)
        pose = ego @ camera.pose
        focal_px = float(camera.intrinsic_33[0, 0])
        view = self._renderer.render(pose, self._rays[camera.channel], self._size, focal_px, self._rng)
        stem = self._stem(camera.channel, time_us)
        file = f"samples/{camera.channel}/{stem}.jpg"
        truth = f"{TRUTH_FOLDER}/{camera.channel}/{stem}"
        self._sink.write(file, _jpeg(view.colour_HW3))
        self._sink.write(f"{truth}_category.png", _png(view.category_HW))
        self._sink.write(f"{truth}_instance.png", _png(view.instance_HW))
        self._add_data(number, camera.channel, time_us, ego, file, self._size)
        return camera, pose, view

    def _add_data(self, number: int, channel: str, time_us: int, ego: Pose, file: str, size: tuple[int, int]) -> str:
        count = self._plan.num_keyframes
        return self._tables.add_sample_data(number, count, channel, self._clock(time_us), ego, file, size)

    def _clock(self, time_us: int) -> int:
        return _FIRST_TIME_US + self._plan.index * _SCENE_SPACING_US + time_us

    def _stem(self, channel: str, time_us: int) -> str:
        return f"{self._logfile}__{channel}__{self._clock(time_us)}"


def _jpeg(colour_HW3: U8) -> bytes:
    packed = io.BytesIO()
    Image.fromarray(colour_HW3).save(packed, "JPEG", quality=_JPEG_QUALITY)
    return packed.getvalue()


def _png(values_HW: U8 | U16) -> bytes:
    """An 8-bit or 16-bit greyscale PNG."""
    packed = io.BytesIO()
    Image.fromarray(values_HW).save(packed, "PNG", compress_level=1)
    return packed.getvalue()
