"""A figure as a page of its own (.html) or as one drawing (.svg)."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup, escape

from olivine.errors import UsageError
from olivine.report.colours import Swatch
from olivine.report.figures.figure import Figure, Panel
from olivine.report.page import STYLE, environment, write_whole
from olivine.report.svg import text

_SVG_COLOURS = (
    "--card:#fff;--ink:#1c2127;--soft:#5b6570;--line:#e2e4e0;--grid:#eceeea;--random:#5d7392;--olivine:#74871a;"
    "--reference:#a8622a;--wrong:#d61c2c;--right:#3c7d4e"
)
_PANEL_PX, _GAP_PX, _LINE_PX, _MARGIN_PX = 470, 28, 16, 16
_NOTE_LETTERS, _LETTER_PX, _SWATCH_PX = 78, 6.6, 12


def write_figure(figure: Figure, out: Path) -> Path:
    """Write the figure to `out`, in the format that its suffix names; return `out`.

    Raises:
        UsageError: another suffix than .html or .svg, a figure of tables alone as .svg, or a place that cannot be
            written. DiskFullError: no room.
    """
    renderers = {".html": render_page, ".svg": render_svg}
    if out.suffix not in renderers:
        raise UsageError(f"--out {out}: a figure is written as .html (a page) or .svg (a drawing).")
    write_whole(out, renderers[out.suffix](figure).encode())
    return out


def render_page(figure: Figure) -> str:
    """The figure as a page without a script."""
    template = environment().get_template("figures/figure.html")
    return template.render(figure=figure, title=figure.title, name=figure.name)


def render_svg(figure: Figure) -> str:
    """Panels in rows, the legend below; text is that of the page, but tables are left out.

    Raises:
        UsageError: there is no panel.
    """
    if not figure.panels:
        raise UsageError(f"the figure {figure.name} has nothing to draw here, only text: write it as .html (a page).")
    columns = min(figure.columns, len(figure.panels))
    # A drawing that stands alone keeps its own size.
    panel_px = _PANEL_PX if columns > 1 else max(_PANEL_PX, *(panel.size[0] for panel in figure.panels))
    width = columns * (panel_px + _GAP_PX) - _GAP_PX
    y = _MARGIN_PX + 18.0
    parts = [text(0, y, figure.title, "title", "start")]
    for line in textwrap.wrap(figure.caption, round(width / _LETTER_PX)):
        y += _LINE_PX
        parts.append(text(0, y, line, "note", "start"))
    y += 1.5 * _LINE_PX
    for start in range(0, len(figure.panels), columns):
        drawn = [
            _draw_panel(panel, column * (panel_px + _GAP_PX), y, panel_px)
            for column, panel in enumerate(figure.panels[start : start + columns])
        ]
        parts += [part for part, _ in drawn]
        y += max(height for _, height in drawn) + _GAP_PX
    legend, y = _draw_legend(figure.legend, y, width)
    parts += legend
    for fact in figure.facts:
        for line in textwrap.wrap(fact, round(width / _LETTER_PX)):
            parts.append(text(0, y, line, "note", "start"))
            y += _LINE_PX
    return _document(figure.title, "".join(parts), width, y)


def _draw_panel(panel: Panel, x: float, y: float, width: float) -> tuple[str, float]:
    """The panel with its title above and its note below, and how high all of it is."""
    own_width, own_height = panel.size
    height = width * own_height / own_width
    place = f'x="{x:g}" y="{y + 8:g}" width="{width:g}" height="{height:.2f}"'
    if panel.picture:
        body = f'<image {place} href="{panel.picture.src}"><title>{escape(panel.picture.alt)}</title></image>'
    elif panel.body.startswith("<svg"):  # type: ignore[union-attr]
        body = f"<svg {place}>{panel.body}</svg>"
    else:
        body = text(x, y + 40, Markup(str(panel.body)).striptags(), "note", "start")
    lines = textwrap.wrap(panel.note, _NOTE_LETTERS)
    notes = [text(x, y + height + 24 + row * _LINE_PX, line, "note", "start") for row, line in enumerate(lines)]
    return text(x, y, panel.title, "heading", "start") + body + "".join(notes), height + 12 + len(lines) * _LINE_PX


def _draw_legend(legend: Sequence[Swatch], y: float, width: float) -> tuple[list[str], float]:
    parts, x = [], 0.0
    for swatch in legend:
        length = _SWATCH_PX + 6 + len(swatch.name) * _LETTER_PX + 14
        if x and x + length > width:
            x, y = 0.0, y + 20
        size = f'width="{_SWATCH_PX}" height="{_SWATCH_PX}"'
        parts.append(f'<rect x="{x:g}" y="{y - 10:g}" {size} fill="{swatch.css}" stroke="#999" stroke-width="0.5"/>')
        parts.append(text(x + _SWATCH_PX + 6, y, swatch.name, "note", "start"))
        x += length
    return parts, y + (24 if parts else 0)


def _document(title: str, body: str, width: float, height: float) -> str:
    """The drawing with the part of the page's style sheet that is about drawings, in light colours."""
    rules = "\n".join(line for line in STYLE.read_text().splitlines() if line.startswith(("svg text", "svg .")))
    size = f"{-_MARGIN_PX} 0 {width + 2 * _MARGIN_PX:g} {height + _MARGIN_PX:.0f}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}" width="{width + 2 * _MARGIN_PX:g}" '
        f'height="{height + _MARGIN_PX:.0f}" role="img" aria-label="{escape(title)}">'
        f"<style>svg{{{_SVG_COLOURS};font-family:system-ui,'Segoe UI',Roboto,Arial,sans-serif}}\n{rules}\n"
        "svg text.title{font-size:19px;font-weight:650;fill:#1c2127}"
        "svg text.heading{font-size:14px;font-weight:600;fill:#1c2127}</style>"
        f'<rect x="{-_MARGIN_PX}" width="100%" height="100%" fill="#fff"/>{body}</svg>\n'
    )
