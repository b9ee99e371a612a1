"""Error maps of several arms on the same sweep, from above and in a camera (paper, figures 3 and 8 to 11)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from olivine.artifacts import Artifact
from olivine.drives import Drives
from olivine.errors import DataError
from olivine.nuscenes_categories import IGNORE_CATEGORY
from olivine.packs import Pack, bytes_array
from olivine.report.birds_eye import Picture, draw_birds_eye
from olivine.report.colours import (
    RIGHT,
    WRONG,
    Swatch,
    colour_table,
    draw_in_palettes,
    hand_classes,
    recolour,
    right_or_wrong,
)
from olivine.report.figures.cameras import camera_number, draw_over_image, read_image
from olivine.report.figures.figure import Figure, Panel, described, has_cameras, origins
from olivine.report.figures.runs import choose_keyframes, open_runs
from olivine.report.palette import Palette
from olivine.report.trace import Run, behind, open_input
from olivine.store import Store

_NUM_SCANS = 2
_VIEWS = {
    True: "the vehicle in the middle and driving up, and what {camera} sees of them",
    False: "the sensor in the middle and its x axis up; these drives have no cameras",
}


@dataclass(frozen=True)
class _Sweep:
    """The scored points of a keyframe (N), and those of its pairs that fall into the camera (K): rows and places."""

    token: str
    scene: str
    points_N4: NDArray[np.float32]
    truth_N: NDArray[np.uint8]
    scored_P: NDArray[np.bool_]
    row_K: NDArray[np.int64]
    place_K2: NDArray[np.float64]


def draw_errors(
    store: Store, metrics: Sequence[Artifact], keyframes: Sequence[str], camera: str, palette: Palette
) -> Figure:
    """For each keyframe the hand labels and what each arm got right and wrong, from above and in `camera`.

    Without keyframes two are taken by their place in the split, not by any result.

    Raises:
        UsageError: metrics that do not show the same sweeps, no such keyframe or camera. DataError: no hand labels.
    """
    runs, number = open_runs(store, metrics), camera_number(camera)
    first = next(iter(runs.values())).metrics
    artifact = open_input(store, first, "drives")
    drives, predictions = Drives(artifact), {name: Pack(run.metrics) for name, run in runs.items()}
    tokens = predictions[next(iter(runs))].index.column("keyframe")
    where = f"the split {first.manifest.summary['split']} of {described(artifact)}"
    legend, looks = recolour(hand_classes(artifact), palette), has_cameras(artifact)
    panels = []
    for token in choose_keyframes(tokens, keyframes, _NUM_SCANS, where):
        sweep = _read_sweep(drives, token, number)
        shown = _shown(sweep, runs, predictions, legend)
        panels += _draw_above(sweep, shown)
        if looks:
            panels += _draw_ahead(read_image(drives, token, number), camera, sweep, shown)
    return Figure(
        name="errors",
        title="Error maps",
        caption=f"Sweeps of {where}, {_VIEWS[looks].format(camera=camera)}. Points without a scored hand label are "
        "left out.",
        panels=panels,
        legend=[Swatch("right", RIGHT), Swatch("wrong", WRONG), *legend],
        facts=[*origins(behind(store, [run.metrics for run in runs.values()])), *_sources(runs)],
        columns=1 + len(runs),
    )


def _sources(runs: dict[str, Run]) -> list[str]:
    return [f"{name}: {described(run.metrics)}, fine-tuning seed {run.seed}." for name, run in runs.items()]


def _read_sweep(drives: Drives, token: str, camera: int) -> _Sweep:
    keyframe, truth_P = drives.keyframe(token), drives.lidarseg(token)
    scored_P = truth_P != IGNORE_CATEGORY
    if not scored_P.any():
        raise DataError(
            f"keyframe {token}: no point has a scored hand label, so nothing is right or wrong. Choose another."
        )
    row_P = np.cumsum(scored_P) - 1
    mine_M = (keyframe.pair_pixel_M3[:, 0] == camera) & scored_P[keyframe.pair_point_M]
    point_K, pixel_K2 = keyframe.pair_point_M[mine_M], keyframe.pair_pixel_M3[mine_M, 1:]
    # The far ones first, so that the near ones cover them.
    order = np.argsort(-np.linalg.norm(keyframe.points_N4[point_K, :3], axis=1), kind="stable")
    points_N4 = keyframe.points_N4[scored_P]
    if not has_cameras(drives.artifact):
        # Scans have x ahead and y to the left; nuScenes sweeps have y ahead and x to the right.
        points_N4 = points_N4[:, [1, 0, 2, 3]] * np.array([-1, 1, 1, 1], np.float32)
    width, height = drives.image_size if has_cameras(drives.artifact) else (1, 1)
    return _Sweep(
        token,
        str(drives.column("scene")[token]),
        points_N4,
        truth_P[scored_P],
        scored_P,
        row_P[point_K][order],
        pixel_K2[order] / np.array([height, width], np.float64),
    )


def _shown(
    sweep: _Sweep, runs: Mapping[str, Run], predictions: Mapping[str, Pack], legend: Sequence[Swatch]
) -> list[tuple[str, str, NDArray[np.uint8]]]:
    """By column its name, what is right in numbers, and the colour of each point: hand labels first."""
    shown = [("hand labels", "", colour_table(list(legend), first_id=1)[sweep.truth_N])]
    for name in runs:
        category_P = bytes_array(predictions[name].head(sweep.token)["category.npy"])
        right_N = category_P[sweep.scored_P] == sweep.truth_N
        note = f"{100 * right_N.mean():.1f} % of {len(right_N)} points right"
        if len(sweep.row_K):
            note += f", {100 * right_N[sweep.row_K].mean():.1f} % of the {len(sweep.row_K)} in the image"
        shown.append((name, f"{note}.", right_or_wrong(right_N)))
    return shown


def _draw_above(sweep: _Sweep, shown: Sequence[tuple[str, str, NDArray[np.uint8]]]) -> list[Panel]:
    return [
        Panel(
            f"{sweep.scene}: {name}",
            draw_birds_eye(sweep.points_N4, rgb_N3, f"{sweep.scene} from above, {name}."),
            note,
        )
        for name, note, rgb_N3 in shown
    ]


def _draw_ahead(
    image: Image.Image, view: str, sweep: _Sweep, shown: Sequence[tuple[str, str, NDArray[np.uint8]]]
) -> list[Panel]:
    return [Panel(f"{view}: {name}", _draw_dots(image, view, sweep, name, rgb_N3)) for name, _, rgb_N3 in shown]


def _draw_dots(image: Image.Image, view: str, sweep: _Sweep, name: str, rgb_N3: NDArray[np.uint8]) -> Picture:
    return draw_over_image(image, sweep.place_K2, rgb_N3[sweep.row_K], f"{view} of {sweep.scene}, points: {name}.")


def draw_errors_in_camera(drives_artifact: Artifact, runs: Mapping[str, Run], token: str, camera: str) -> list[Panel]:
    """One sweep in one camera, for the report: hand labels in both palettes, and an error map for each run by name."""
    drives, number = Drives(drives_artifact), camera_number(camera)
    sweep, swatches = _read_sweep(drives, token, number), hand_classes(drives_artifact)
    predictions = {name: Pack(run.metrics) for name, run in runs.items()}
    image = read_image(drives, token, number)
    labelled, *errors = _draw_ahead(image, camera, sweep, _shown(sweep, runs, predictions, swatches))

    def draw(chosen: Sequence[Swatch]) -> Picture:
        [(name, _, rgb_N3)] = _shown(sweep, {}, {}, chosen)
        return _draw_dots(image, camera, sweep, name, rgb_N3)

    return [replace(labelled, body=draw_in_palettes(draw, swatches)), *errors]
