"""A figure: panels with titles, a legend, and what it was made from. Written as a page or as one SVG."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from olivine.artifacts import Artifact
from olivine.report.birds_eye import Picture
from olivine.report.colours import Swatch
from olivine.report.setting import LABEL_KINDS, SYNTHETIC, caveats

_SCROLLED_FROM_PX = 500


@dataclass(frozen=True)
class Panel:
    """One part of a figure: an SVG element of this page's style sheet, or a picture of pixels."""

    title: str
    body: Markup | Picture
    note: str = ""

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in its own units."""
        if isinstance(self.body, Picture):
            return self.body.width, self.body.height
        found = re.match(r'<svg viewBox="0 0 ([\d.]+) ([\d.]+)"', self.body)
        # A sentence in the place of a chart that has nothing to draw.
        return (float(found[1]), float(found[2])) if found else (470, 60)

    @property
    def least_width_px(self) -> int:
        """Below it the text of a wide drawing could not be read: it is scrolled instead."""
        return round(0.8 * self.size[0]) if self.size[0] > _SCROLLED_FROM_PX else 0

    @property
    def most_width_px(self) -> int:
        """Above it a drawing is only larger, not clearer."""
        return round(1.5 * self.size[0])

    @property
    def picture(self) -> Picture | None:
        """The picture, where it is one: for templates."""
        return self.body if isinstance(self.body, Picture) else None


@dataclass(frozen=True)
class Table:
    """Rows of text below a figure; the first column names the row."""

    caption: str
    heading: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Figure:
    """What one command draws. `facts` are lines on what stands behind it: ids, seeds, counts, what is not real."""

    name: str
    title: str
    caption: str
    panels: Sequence[Panel]
    legend: Sequence[Swatch] = ()
    facts: Sequence[str] = ()
    tables: Sequence[Table] = ()
    columns: int = 2


def described(artifact: Artifact) -> str:
    """Kind and first digits of the id, as figures name what they were made from."""
    return f"{artifact.manifest.kind} {artifact.id[:12]}"


def has_cameras(drives: Artifact) -> bool:
    """Whether there are images; drives made of scans alone have none."""
    return bool(drives.manifest.summary["image_size"])


def origins(artifacts: Iterable[Artifact]) -> list[str]:
    """The same of every artifact behind a figure, each sentence once."""
    return list(dict.fromkeys(line for artifact in artifacts for line in caveats(artifact.manifest)))


def origin_facts(drives: Artifact, weak_labels: Artifact | None = None, backbone: Artifact | None = None) -> list[str]:
    """What is not real about data, labels and encoder, in the words of the report."""
    facts = [SYNTHETIC] if drives.manifest.summary["synthetic"] else []
    if weak_labels is not None:
        kind = str(weak_labels.manifest.summary["kind"])
        facts.append(LABEL_KINDS.get(kind, f"Weak labels: {kind}."))
    note = backbone.manifest.summary.get("encoder", {}).get("note") if backbone is not None else None
    return [*facts, f"STAND-IN: {note}"] if note else facts
