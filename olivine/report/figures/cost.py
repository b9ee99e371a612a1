"""What each pretraining cost: time, memory, throughput (paper, table 9: OLIVINE against PPKT and SLidR)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from olivine.artifacts import Artifact
from olivine.errors import UsageError
from olivine.report.costs import newest_record
from olivine.report.figures.charts import Bar, arm_colour, bar_chart
from olivine.report.figures.figure import Figure, Panel, Table, described, origins
from olivine.report.trace import behind

_MEASURES = (
    # Field of the record, heading, factor, format.
    ("wall_s", "wall time [min]", 1 / 60, "{:.1f}"),
    ("cpu_s", "CPU time [min]", 1 / 60, "{:.1f}"),
    ("training_gpu_h", "GPU time [h]", 1.0, "{:.2f}"),
    ("peak_rss_mb", "peak memory [MB]", 1.0, "{:.0f}"),
    ("peak_gpu_mb", "peak GPU memory [MB]", 1.0, "{:.0f}"),
    ("samples_per_s", "keyframes per second", 1.0, "{:.2f}"),
)
_DRAWN = ("wall_s", "peak_rss_mb", "peak_gpu_mb", "samples_per_s")


def draw_cost(backbones: Sequence[Artifact]) -> Figure:
    """Bars and a table from the record of the run that finished each backbone.

    Raises:
        UsageError: no backbone, or the same one twice.
    """
    if not backbones:
        raise UsageError("this figure needs backbones: give the id of at least one with --backbone.")
    if len({backbone.id for backbone in backbones}) < len(backbones):
        raise UsageError("the same backbone is there twice: give each once.")
    methods = Counter(str(backbone.manifest.summary["method"]) for backbone in backbones)
    records: dict[str, dict[str, Any]] = {}
    for backbone in backbones:
        method = str(backbone.manifest.summary["method"])
        name = method if methods[method] == 1 else f"{method}, {backbone.id[:6]}"
        records[name] = newest_record(backbone) or {}
    heading = ("measure", *records)
    counts = {
        name: [str(backbone.manifest.counts.get(name, "not recorded")) for backbone in backbones]
        for name in ("keyframes", "steps")
    }
    rows = [(name, *values) for name, values in counts.items()]
    rows += [(measure[1], *(_shown(record, *measure) for record in records.values())) for measure in _MEASURES]
    rows.append(("device", *(_device(record) for record in records.values())))
    return Figure(
        name="cost",
        title="Cost of pretraining",
        caption="From the record of the run that finished each backbone; what a killed run spent before is not in it. "
        "Encoding the images is part of the wall time of the run that found no features of them. Compare runs on one "
        "device alone.",
        panels=_panels(records),
        facts=[
            *origins(item for backbone in backbones for item in behind(backbone.store, [backbone])),
            *(f"{name}: {described(backbone)}." for name, backbone in zip(records, backbones, strict=True)),
        ],
        tables=[Table("Cost of each pretraining", heading, rows)],
    )


def _device(record: dict[str, Any]) -> str:
    return f"{record['device']}, {record['cores']} cores" if record else "not recorded"


def _panels(records: dict[str, dict[str, Any]]) -> list[Panel]:
    panels = []
    for field, heading, factor, form in _MEASURES:
        # On a machine without a GPU there is nothing to compare in it.
        if field in _DRAWN and any(record.get(field) for record in records.values()):
            rows = [
                (
                    name,
                    [
                        Bar(
                            _value(record, field, factor),
                            arm_colour(place),
                            _shown(record, field, heading, factor, form),
                        )
                    ],
                )
                for place, (name, record) in enumerate(records.items())
            ]
            panels.append(Panel(heading[0].upper() + heading[1:], bar_chart(heading, rows, heading)))
    return panels


def _value(record: dict[str, Any], field: str, factor: float) -> float | None:
    return factor * float(record[field]) if field in record else None


def _shown(record: dict[str, Any], field: str, heading: str, factor: float, form: str) -> str:
    value = _value(record, field, factor)
    return "not recorded" if value is None else form.format(value)
