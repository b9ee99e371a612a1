"""What a model card says of detection: the frames, and AP over the seeds of everything that was scored of a model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from statistics import fmean

from olivine.artifacts import Manifest
from olivine.lineage.source import Place, Source
from olivine.lineage.trace import descendants
from olivine.report.interval import paired_interval

AP_HEADING = ("AP at 40 recall points [%]", "split", "detectors", "easy", "moderate", "hard")
_VIEWS = {"3d": "in space", "bev": "from above"}


def frames_lines(behind: Sequence[Manifest]) -> Iterable[str]:
    """What the frames behind a detector are, and which of them it was trained on."""
    for item in behind:
        if item.kind == "frames":
            splits = ", ".join(f"{name} {count}" for name, count in item.summary["splits"].items())
            names = ", ".join(item.summary["drives"])
            yield f"Frames {item.id[:12]}: {item.counts['frames']} labelled frames of {names} ({splits})."
            if size := item.summary["assumed_image_size"]:
                yield f"Frames without an image were taken as {size[0]} x {size[1]} pixels, which is a guess."
            if item.quarantined:
                yield f"{len(item.quarantined)} frames were left out; the manifest gives each with its reason."
        if item.kind == "detector":
            yield f"Labels of {item.counts['frames']} frames were read, those of the split {item.recipe['split']}."


def ap_lines(source: Source, place: Place) -> Iterable[str]:
    """A line for each set of seeds that was scored: from what, on what, and whether it had seen these frames."""
    for metrics in _by_arm(source, place):
        first, known = metrics[0].summary, _classes(source, metrics[0])
        found = ", ".join(f"{kind} {_shown(metrics, known, '3d', kind, 'moderate')}" for kind in first["num_objects"])
        yield (
            f"Detector from {first['init']}, scored on {first['num_frames']} frames of the split {first['split']}, "
            f"seed(s) {', '.join(str(item.seed) for item in metrics)}: AP [%] in space at moderate: {found}."
        )
        if _by_heart(metrics):
            yield "LEARNED BY HEART: these are the frames that it was trained on. This says nothing about others."


def ap_rows(source: Source, place: Place) -> list[list[str]]:
    """AP by class and view under `AP_HEADING`: means over seeds, with the 95 % interval where there are several."""
    rows = []
    for metrics in _by_arm(source, place):
        first, known = metrics[0].summary, _classes(source, metrics[0])
        scored = f"{first['init']}, {len(metrics)} seed(s)" + (", by heart" if _by_heart(metrics) else "")
        for view, name in _VIEWS.items():
            for kind in first["num_objects"]:
                cells = [_shown(metrics, known, view, kind, difficulty) for difficulty in AP_HEADING[3:]]
                rows.append([f"{kind}, {name}", str(first["split"]), scored, *cells])
    return rows


def _by_arm(source: Source, place: Place) -> list[list[Manifest]]:
    """Metrics of detectors, those together that differ in their seed alone."""
    arms: dict[str, list[Manifest]] = {}
    for item in descendants(source, [place]):
        if item.kind == "detection_metrics":
            key = json.dumps([item.summary["arm"], item.inputs["frames"].id, item.recipe], sort_keys=True)
            arms.setdefault(key, []).append(item)
    return [sorted(arm, key=lambda item: item.seed) for arm in arms.values()]


def _classes(source: Source, metrics: Manifest) -> list[str]:
    """Classes that the detector was trained for: metrics have AP 0 for the others."""
    ref = metrics.inputs["detector"]
    detector = source.manifest(Place(ref.stage, ref.id))
    return list(detector.summary["classes"]) if detector else list(metrics.summary["num_objects"])


def _by_heart(metrics: Sequence[Manifest]) -> bool:
    # Metrics of the first release did not count them.
    return bool(metrics[0].summary.get("frames_trained_on"))


def _shown(metrics: Sequence[Manifest], known: Sequence[str], view: str, kind: str, difficulty: str) -> str:
    """Mean over seeds in percent; the official evaluator gives 0 where there is nothing to find, and this says so."""
    if kind not in known:
        return "not trained"
    if not metrics[0].summary["num_objects"][kind][difficulty]:
        return "no objects"
    values = [100 * float(item.summary["ap"][view][kind][difficulty]) for item in metrics]
    interval = paired_interval(values)
    return f"{fmean(values):.2f}" + (f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else "")
