"""A study as Markdown and as one HTML page that opens from disk."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from olivine.report.page import environment
from olivine.report.svg import Axis, figure_svg, text
from olivine.study.miniature import CONTROLS, METHOD_ARMS, REGIMES, TABLE_5, TABLE_6, TABLE_12
from olivine.study.tasks import Arm

_TABLES: tuple[tuple[str, tuple[Arm, ...]], ...] = (
    ("Table 1: methods", METHOD_ARMS),
    ("Table 5: the terms of the objective", TABLE_5),
    *((f"Table 6{letter}: {name}", arms) for letter, (name, arms) in zip("abcd", TABLE_6.items(), strict=True)),
    ("Table 12: label quality", TABLE_12),
    ("Controls: what must not show the gain", CONTROLS),
)
_FOLDER = Path(__file__).parent
_VERBS = {False: "gains", True: "does not gain"}
_ROW_PX, _LEFT_PX, _WIDTH_PX = 24, 210, 760


def write_page(summary: dict[str, Any], out: Path) -> None:
    """Write `summary.md` and `report.html` into the folder `out`."""
    (out / "summary.md").write_text(render_markdown(summary))
    (out / "report.html").write_text(render_html(summary))


def render_markdown(summary: dict[str, Any]) -> str:
    """The tables and the orders as Markdown."""
    lines = ["# The paper in miniature", "", summary["simulated"], "", *_setting(summary), ""]
    for title, regimes, rows in _tables(summary):
        lines += [f"## {title}", "", _row(["arm", *regimes]), _row(["---"] * (len(regimes) + 1))]
        lines += [_row(row) for row in rows]
        lines.append("")
    lines += ["## What the paper says, and what came out", "", _row(["source", "claim", "difference", "verdict"])]
    lines += [_row(["---"] * 4), *(_row(row) for row in _order_rows(summary)), ""]
    return "\n".join(lines)


def render_html(summary: dict[str, Any]) -> str:
    """The same as a page, with a chart of every table."""
    template = environment(_FOLDER).get_template("page.html")
    return template.render(
        summary=summary,
        setting=_setting(summary),
        tables=[
            {"title": title, "regimes": regimes, "rows": rows, "chart": _chart(title, summary, arms)}
            for (title, regimes, rows), (_, arms) in zip(_tables(summary), _present(summary), strict=True)
        ],
        orders=_order_rows(summary),
        curves=_curve_rows(summary),
    )


def _setting(summary: dict[str, Any]) -> list[str]:
    encoder = summary["encoder"] or {}
    lines = [
        f"Size: {summary['size']}"
        + ("" if summary["claims"] else ", which shows that the study runs and claims nothing"),
        f"Image encoder: {encoder.get('encoder')}" + (f" ({encoder['note']})" if encoder.get("note") else ""),
    ]
    for name, label in summary["labels"].items():
        if label["accuracy"] is not None:
            lines.append(
                f"Weak labels ({name}): {label['kind']}, {100 * label['accuracy']:.1f} % right of "
                f"{100 * label['coverage']:.1f} % covered"
            )
    return [f"- {line}." for line in lines]


def _present(summary: dict[str, Any]) -> list[tuple[str, list[Arm]]]:
    """The tables with those of their arms that the study has."""
    return [(title, [arm for arm in arms if arm.name in summary["arms"]]) for title, arms in _TABLES]


def _tables(summary: dict[str, Any]) -> list[tuple[str, list[str], list[list[str]]]]:
    tables = []
    for title, arms in _present(summary):
        found = [summary["arms"][arm.name]["regimes"] for arm in arms]
        regimes = [regime.name for regime in REGIMES if any(regime.name in item for item in found)]
        rows = [
            [arm.title, *(_cell(item.get(name)) for name in regimes)] for arm, item in zip(arms, found, strict=True)
        ]
        tables.append((title, regimes, rows))
    return tables


def _cell(found: dict[str, Any] | None) -> str:
    """Mean mIoU and its interval in points; after a colon, the paired gain over random."""
    if found is None:
        return "-"
    gain = found.get("gain_over_random")
    return show_spread(found) + (f": {show_spread(gain, signed=True)}" if gain else "")


def show_spread(spread: dict[str, Any], signed: bool = False) -> str:
    """Mean and 95 % interval in points; the mean alone where there is no interval."""
    mean = f"{100 * spread['mean']:{'+' if signed else ''}.2f}"
    if spread["interval"] is None:
        return mean
    low, high = spread["interval"]
    return f"{mean} [{100 * low:.2f}, {100 * high:.2f}]"


def _order_rows(summary: dict[str, Any]) -> list[list[str]]:
    return [
        [
            order["source"],
            f"{order['better']} {_VERBS[order['control']]} over {order['worse']} ({order['regime']})",
            show_spread(order["difference"], signed=True) if order["difference"] else "-",
            order["verdict"],
        ]
        for order in summary["orders"]
    ]


def _curve_rows(summary: dict[str, Any]) -> list[list[str]]:
    """mIoU on `select` along the fine-tuning of the random arm: whether it has reached its plateau."""
    return [
        [name or "1 % of the labels", " ".join(f"{100 * point['miou']:.1f}" for point in curve)]
        for name, curve in summary["random_curves"].items()
        if len(curve) > 1
    ]


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _chart(title: str, summary: dict[str, Any], arms: list[Arm]) -> Markup:
    """Means and intervals at 1 % of the labels, one row an arm."""
    found = [(arm, summary["arms"][arm.name]["regimes"].get("1%")) for arm in arms]
    rows = [(arm, spread) for arm, spread in found if spread]
    if not rows:
        return Markup("")
    values = [value for _, spread in rows for value in (*spread["values"], *(spread["interval"] or ()))]
    axis = Axis(100 * min(values) - 1, 100 * max(values) + 1, _LEFT_PX, _WIDTH_PX - 20)
    height = _ROW_PX * len(rows) + 44
    parts = [_tick(axis, tick, height) for tick in axis.ticks()]
    parts += [_whisker(axis, arm.title, spread, 20 + _ROW_PX * place) for place, (arm, spread) in enumerate(rows)]
    parts.append(text((_LEFT_PX + _WIDTH_PX) / 2, height - 4, "mIoU [%] at 1 % of the labels", "label"))
    return figure_svg(title, (_WIDTH_PX, height), parts)


def _tick(axis: Axis, tick: float, height: int) -> str:
    x = axis.place(tick)
    return f'<path class="grid" d="M{x:.1f} 6V{height - 34}"/>' + text(x, height - 20, f"{tick:g}")


def _whisker(axis: Axis, title: str, spread: dict[str, Any], y: float) -> str:
    parts = [text(_LEFT_PX - 8, y + 4, title, "tick", "end")]
    if spread["interval"]:
        low, high = (axis.place(100 * bound) for bound in spread["interval"])
        parts.append(f'<path class="axis" d="M{low:.1f} {y}H{high:.1f}"/>')
    dots = "".join(f'<circle cx="{axis.place(100 * value):.1f}" cy="{y}" r="2"/>' for value in spread["values"])
    mean = axis.place(100 * spread["mean"])
    parts.append(f'<g class="line olivine"><title>{escape(show_spread(spread))}</title>{dots}')
    parts.append(f'<circle cx="{mean:.1f}" cy="{y}" r="5"/></g>')
    return "".join(parts)
