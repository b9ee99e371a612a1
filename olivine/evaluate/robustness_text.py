"""What `olivine robustness` prints for people: a line for each corruption, and what the means say."""

from __future__ import annotations

from typing import Any

from olivine.points.corrupt import SEVERITIES

_SEVERITY_WORDS = dict(zip(SEVERITIES, ("light", "moderate", "heavy"), strict=True))


def robustness_lines(result: dict[str, Any]) -> list[str]:
    """The result of `measure_robustness`, with or without a baseline, as lines of text; numbers in percent."""
    has_baseline = "corruption_errors" in result
    headings = [*_SEVERITY_WORDS.values(), "RR", *(["CE"] if has_baseline else [])]
    lines = [
        f"mIoU [%] of segmenter {result['segmenter'][:12]} ({result['init']}) on {result['num_sweeps']} sweeps of the "
        f"split {result['split']}, by corruption and severity; {100 * result['clean_miou']:.2f} without corruption",
        "",
        _line("", headings),
    ]
    for name, by_severity in result["miou"].items():
        values = [by_severity[str(severity)] for severity in SEVERITIES]
        values += [result["resilience_rates"][name], *([result["corruption_errors"][name]] if has_baseline else [])]
        lines.append(_line(name, [f"{100 * value:.2f}" for value in values]))
    lines += [
        "",
        f"mRR {100 * result['mean_resilience_rate']:.2f}: mean of RR, the share of the mIoU without corruption that is "
        "left, over the severities; more is better.",
    ]
    if has_baseline:
        lines.append(
            f"mCE {100 * result['mean_corruption_error']:.2f}: mean of CE, the error relative to that of segmenter "
            f"{result['baseline']}; less is better, 100 is as much."
        )
    return [*lines, result["simulated"]]


def _line(name: str, cells: list[str]) -> str:
    return f"{name:16}" + "".join(f"{cell:>10}" for cell in cells)
