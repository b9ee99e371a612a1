"""The model card, made from records and never typed: data and licences, labels, recipe, metrics, cost, limits."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

from olivine.artifacts import Manifest
from olivine.errors import UsageError
from olivine.lineage.card_detection import AP_HEADING, ap_lines, ap_rows, frames_lines
from olivine.lineage.diff import flatten
from olivine.lineage.impact import MODELS
from olivine.lineage.source import Place, StoreSource
from olivine.lineage.trace import ancestors, descendants
from olivine.lineage.withdrawal import withdrawn_behind
from olivine.report.interval import paired_interval
from olivine.store import Store

_TAGS = ("lidar", "point-cloud", "autonomous-driving")
_LABELS = {
    "simulated": "SIMULATED: a simulator's own renderings, made wrong on purpose. No labeler ran.",
    "truth": "the HAND LABELS themselves: an upper bound, not a result.",
    "import": "made elsewhere and imported; how right they are was not measured.",
}
_NON_COMMERCIAL = ("non-commercial", "-nc", "cc by-nc")
_WATTS_A_CORE, _WATTS_A_GPU = 10.0, 400.0
"""Assumed mean power of a busy core and of a GPU, for an estimate of energy; both are stated beside it."""


def write_card(store: Store, place: Place) -> str:
    """The card of a model as a file: `render_card` below the front matter that Hugging Face reads."""
    behind = ancestors(StoreSource(store), place)
    return "\n".join([*_front_matter(_licences(behind)), render_card(store, place)])


def render_card(store: Store, place: Place) -> str:
    """The card of a backbone, segmenter or detector as Markdown. What manifests say stays text: none of it is markup.

    Raises:
        UsageError: the artifact is no model. IntegrityError: something behind it is missing.
    """
    source = StoreSource(store)
    behind = ancestors(source, place)
    model = next(item for item in behind if item.id == place.id)
    if model.kind not in MODELS:
        raise UsageError(f"{model.kind} {model.id[:12]} is no model: a card is of a {', '.join(MODELS)}.")
    parts = [
        f"# {model.kind.capitalize()} {model.id[:12]}",
        "",
        "Written from the records of the store; no line was typed.",
        "",
        *_section("Withdrawn", withdrawn_behind(store, place)),
        *_section("Data", [*_data_lines(behind), *frames_lines(behind)]),
        *_section("Licences", _licence_lines(_licences(behind))),
        *_section("Weak labels", _label_lines(behind)),
        *_section("Metrics", [*_metric_lines(source, place), *ap_lines(source, place)]),
        *_table(("category", "split", "IoU [%]"), _category_rows(source, place)),
        *_table(AP_HEADING, ap_rows(source, place)),
        *_section("Cost", _cost_lines(source, behind)),
        *_section("Limits", _limit_lines(behind)),
        *_section("Make it again", _again_lines(model)),
        "## Recipe",
        "",
        "| field | value |",
        "|---|---|",
        *(f"| {_plain(name)} | {_plain(value)} |" for name, value in flatten(model.recipe).items()),
        "",
        "## Made from",
        "",
        "| stage | kind | id | data digest | commit |",
        "|---|---|---|---|---|",
        *(
            f"| {item.stage} | {item.kind} | `{item.id}` | `{item.data_digest[:16]}` | {_commit(item)} |"
            for item in behind
        ),
        "",
    ]
    return "\n".join(parts)


def _licences(behind: Sequence[Manifest]) -> list[str]:
    return list(dict.fromkeys(licence for item in behind for licence in item.licences))


def _front_matter(licences: Sequence[str]) -> list[str]:
    # What the data allow decides, not the licence of the code: no identifier of the hub says that.
    front = {"library_name": "olivine", "license": "other", "license_name": "; ".join(licences), "tags": list(_TAGS)}
    return ["---", *(f"{name}: {_quoted(value)}" for name, value in front.items()), "---", ""]


def _quoted(value: Any) -> str:
    """A value as YAML and JSON both read it; a viewer that takes it for HTML finds no tag."""
    return json.dumps(value).replace("<", "\\u003c")


def _section(title: str, lines: Iterable[str]) -> list[str]:
    listed = [f"- {_plain(line)}" for line in lines]
    return [f"## {title}", "", *listed, ""] if listed else []


def _data_lines(behind: Sequence[Manifest]) -> Iterable[str]:
    for item in behind:
        if item.kind == "drives":
            drives = item.summary.get("drives", [])
            kind = "SYNTHETIC: ray-cast streets, not recordings" if item.summary.get("synthetic") else "recorded"
            yield f"Drives {item.id[:12]} ({kind}): {item.counts.get('keyframes')} keyframes of {len(drives)} drives."
            if item.quarantined:
                yield f"{len(item.quarantined)} keyframes were left out; the manifest gives each with its reason."
    labelled = next((item.summary.get("keyframes") for item in behind if item.kind == "segmenter"), None)
    if labelled:
        yield f"Hand labels of {len(labelled)} keyframes were read, of no others."


def _licence_lines(licences: Sequence[str]) -> Iterable[str]:
    yield from licences
    if any(mark in licence.lower() for licence in licences for mark in _NON_COMMERCIAL):
        yield (
            "Non-commercial data are behind these weights: whether they may be used commercially is open, and is not "
            "answered here."
        )


def _label_lines(behind: Sequence[Manifest]) -> Iterable[str]:
    for item in behind:
        if item.kind == "weak_labels":
            kind, accuracy = str(item.summary.get("kind")), item.summary.get("accuracy")
            yield f"{kind}: {_LABELS.get(kind, 'made by a labeler; the manifest holds its recipe.')}"
            if accuracy is not None:
                yield f"{100 * accuracy:.1f} % of the labelled pairs are right, by the truth that these drives have."


def _metrics(source: StoreSource, place: Place) -> list[Manifest]:
    """Everything that was evaluated of a model."""
    reached = descendants(source, [place])
    return [item for item in reached if item.kind == "metrics" and item.summary.get("miou") is not None]


def _metric_lines(source: StoreSource, place: Place) -> Iterable[str]:
    """mIoU by split and fraction over the seeds of everything that was evaluated of this model."""
    groups: dict[tuple[Any, ...], list[float]] = {}
    for item in _metrics(source, place):
        key = tuple(item.summary.get(name) for name in ("split", "fraction", "frozen"))
        groups.setdefault(key, []).append(float(item.summary["miou"]))
    for (split, fraction, frozen), values in groups.items():
        interval = paired_interval(values)
        spread = f" ({100 * interval[0]:.2f} to {100 * interval[1]:.2f})" if interval else ""
        tuned = f", fine-tuned on {fraction} of the labels" if fraction else ""
        probe = "" if frozen in (None, "no") else ", backbone frozen"
        yield f"mIoU {100 * fmean(values):.2f} %{spread} on the split {split}{tuned}{probe}, {len(values)} seed(s)."


def _category_rows(source: StoreSource, place: Place) -> list[list[str]]:
    """IoU by category and split, the mean over all that was evaluated."""
    found: dict[tuple[str, str], list[float | None]] = {}
    for item in _metrics(source, place):
        for category, iou in (item.summary.get("per_category") or {}).items():
            found.setdefault((str(item.summary.get("split")), category), []).append(iou)
    rows = []
    for (split, category), values in found.items():
        present = [value for value in values if value is not None]
        rows.append([category, split, f"{100 * fmean(present):.2f}" if present else "absent"])
    return rows


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    lines = (f"| {' | '.join(map(_plain, row))} |" for row in rows)
    return [f"| {' | '.join(heading)} |", "|---" * len(heading) + "|", *lines, ""]


def _cost_lines(source: StoreSource, behind: Sequence[Manifest]) -> Iterable[str]:
    runs = [run for item in behind if (run := source.run(item))]
    cpu_h = sum(float(run.get("cpu_s", 0)) for run in runs) / 3600
    gpu_h = sum(float(run.get("wall_s", 0)) for run in runs if run.get("device") not in (None, "cpu")) / 3600
    if not runs:
        return
    yield f"{cpu_h:.2f} CPU hours and {gpu_h:.2f} GPU hours, of the runs that finished each artifact."
    energy_kwh = (cpu_h * _WATTS_A_CORE + gpu_h * _WATTS_A_GPU) / 1000
    yield (
        f"About {energy_kwh:.3f} kWh, an estimate: {_WATTS_A_CORE:.0f} W a busy core and {_WATTS_A_GPU:.0f} W a GPU "
        "are assumed, nothing was metered."
    )


def _limit_lines(behind: Sequence[Manifest]) -> Iterable[str]:
    if any(item.kind == "drives" and item.summary.get("synthetic") for item in behind):
        yield "Synthetic drives: nothing is known of how it does on recorded ones."
    for item in behind:
        note = (item.summary.get("encoder") or {}).get("note") if item.kind == "backbone" else None
        if note:
            yield f"STAND-IN: {note}"
        if item.code.dirty:
            yield f"{item.kind} {item.id[:12]} was made by code with changes that were not committed."
    if behind[-1].kind == "detector":
        yield "Trained on what one camera ahead shows of each sweep: nothing is known of objects elsewhere."


def _again_lines(model: Manifest) -> Iterable[str]:
    ports = " ".join(f"--{port.replace('_', '-')} {ref.id[:12]}" for port, ref in model.inputs.items())
    command = f"detect {model.stage}" if model.kind == "detector" else model.stage
    yield f"`olivine {command} --store STORE {ports}` with the recipe below finds it or makes the same bytes."


def _commit(item: Manifest) -> str:
    return (item.code.commit or "not recorded")[:12] + (" (changed)" if item.code.dirty else "")


def _plain(value: Any) -> str:
    """One line that Markdown shows as it is: nothing from a manifest becomes a tag, a link or another cell."""
    text = " ".join((value if isinstance(value, str) else json.dumps(value)).split()).replace("\\", "\\\\")
    for sign in "|[]*_":
        text = text.replace(sign, f"\\{sign}")
    return text.replace("<", "&lt;").replace(">", "&gt;")
