"""The page: one HTML file that opens from disk and asks no server for anything. One script may draw one figure."""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from olivine import __version__
from olivine.artifacts import Artifact
from olivine.errors import DiskFullError, UsageError
from olivine.report.classes import count_classes, draw_weights
from olivine.report.colours import hand_classes
from olivine.report.costs import stage_costs
from olivine.report.curves import draw_finetuning, draw_pretraining, measure_plateaus
from olivine.report.figures.in_report import draw_report_figures
from olivine.report.lineage_graph import draw_lineage
from olivine.report.results import draw_confusions, draw_seeds
from olivine.report.scans import draw_scans
from olivine.report.setting import read_setting
from olivine.report.summary import SEEDS_FOR_A_CLAIM, summarise_trace
from olivine.report.table import difference, percent, points
from olivine.report.trace import Trace, trace
from olivine.report.weak import draw_weak_labels
from olivine.store import Store

_FOLDER = Path(__file__).parent
STYLE = _FOLDER / "page.css"
_SECONDS_A_MINUTE = 60


def write_report(store: Store, metrics: Sequence[Artifact], out: Path, title: str) -> Path:
    """Write the page about `metrics` to `out`, whole or not at all; return `out`.

    Raises:
        UsageError: the metrics cannot be compared, or `out` cannot be written. DiskFullError: no room for it.
        IntegrityError: an artifact that they were made from is missing or damaged.
    """
    page = render_report(store, metrics, title)
    write_whole(out, page.encode())
    return out


def render_report(store: Store, metrics: Sequence[Artifact], title: str) -> str:
    """The page about `metrics` as HTML text."""
    traced = trace(store, metrics)
    summary = summarise_trace(traced)
    backbone, weak_labels = traced.of_kind("backbone"), traced.of_kind("weak_labels")
    density_weights = traced.of_kind("density_weights")
    return (
        environment()
        .get_template("page.html")
        .render(
            title=title,
            trace=traced,
            summary=summary,
            setting=read_setting(traced),
            seeds_for_a_claim=SEEDS_FOR_A_CLAIM,
            categories=hand_classes(traced.drives),
            seeds_chart=draw_seeds(summary),
            confusions=draw_confusions(traced),
            class_bars=count_classes(traced),
            weak_labels=draw_weak_labels(traced.input_of(weak_labels, "drives"), weak_labels) if weak_labels else None,
            weights=draw_weights(density_weights) if density_weights else [],
            weight_variant=density_weights.manifest.summary["variant"] if density_weights else None,
            pretraining=draw_pretraining(backbone) if backbone else [],
            num_backbones=sum(artifact.manifest.kind == "backbone" for artifact in traced.artifacts),
            finetuning=draw_finetuning(traced),
            plateaus=measure_plateaus(traced),
            scans=draw_scans(traced),
            costs=stage_costs(traced),
            licences=_licences(traced),
            lineage=draw_lineage(traced),
            figures=draw_report_figures(traced),
        )
    )


def _licences(traced: Trace) -> dict[str, list[str]]:
    """Kinds of artifact by licence of the data in them."""
    kinds: dict[str, list[str]] = {}
    for artifact in traced.artifacts:
        for licence in artifact.manifest.licences:
            under = kinds.setdefault(licence, [])
            under += [artifact.manifest.kind] if artifact.manifest.kind not in under else []
    return kinds


def environment(*folders: Path) -> jinja2.Environment:
    """Templates of `folders` and of this one, whose `base.html` is the frame of every page; filters for numbers."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, _FOLDER]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "percent": percent,
        "points": points,
        "count": _format_count,
        "seconds": _format_seconds,
        "bytes": _format_bytes,
        "script_hash": hash_script,
    }
    made.globals |= {"difference": difference, "version": __version__, "style": Markup(STYLE.read_text())}
    return made


def hash_script(script: str) -> str:
    """The digest by which a page's Content-Security-Policy names the one script that may run in it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _format_count(number: int) -> str:
    """1234567 as 1 234 567, with spaces that do not break."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _format_seconds(seconds: float | None) -> str:
    if seconds is None:
        return "not recorded"
    if seconds < 2 * _SECONDS_A_MINUTE:
        return f"{seconds:.1f} s"
    return f"{seconds / _SECONDS_A_MINUTE:,.1f} min"


def _format_bytes(size: int | None) -> str:
    if size is None:
        return "not recorded"
    value: Any = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


def write_whole(path: Path, data: bytes) -> None:
    """Write beside the target and rename, so that a page is never half there."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        kind = DiskFullError if error.errno == errno.ENOSPC else UsageError
        raise kind(f"{path}: the report ({len(data)} bytes) cannot be written: {error.strerror}.") from error
