"""AP over seeds: mean, deviation and best (`olivine detect table`)."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

from olivine.artifacts import Artifact
from olivine.errors import UsageError


def summarize_seeds(metrics: Sequence[Artifact]) -> dict[str, Any]:
    """Mean, standard deviation (None for one seed) and best AP, by view, class and difficulty.

    The paper reports the best of three runs; by chance alone that lies above the mean by 0.85 deviations. `best` is
    taken of each number by itself.

    Raises:
        UsageError: none are given, a seed comes twice, or they differ in more than the seed.
    """
    if not metrics:
        raise UsageError("say which metrics to put together: --metrics ID, as `olivine detect evaluate` printed it.")
    manifests = [item.manifest for item in metrics]
    kinds = [(item.summary["arm"], item.inputs["frames"].id, item.summary["split"], item.recipe) for item in manifests]
    other = next((row for row, kind in enumerate(kinds) if kind != kinds[0]), None)
    if other is not None:
        raise UsageError(
            f"metrics {manifests[other].id[:12]} differ from {manifests[0].id[:12]} in more than the seed: start, "
            "recipe, frames, split or prediction. Give each arm its own table."
        )
    seeds = [item.seed for item in manifests]
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"seeds are {', '.join(map(str, seeds))}: one comes twice. Give each seed's metrics once.")
    first = manifests[0].summary
    return {
        "init": first["init"],
        "split": first["split"],
        "frames_trained_on": first.get("frames_trained_on", 0),
        "seeds": seeds,
        "ap": {
            view: {
                kind: {
                    difficulty: _statistics([item.summary["ap"][view][kind][difficulty] for item in manifests])
                    for difficulty in by_difficulty
                }
                for kind, by_difficulty in by_kind.items()
            }
            for view, by_kind in first["ap"].items()
        },
    }


def _statistics(values: Sequence[float]) -> dict[str, float | None]:
    return {"mean": mean(values), "std": stdev(values) if len(values) > 1 else None, "best": max(values)}


def summary_lines(summary: dict[str, Any]) -> list[str]:
    """What `summarize_seeds` gave as lines for people, in percent."""
    seeds = summary["seeds"]
    warning = ["learned by heart: these are the frames that the detector was trained on"]
    lines = warning if summary["frames_trained_on"] else []
    lines += [f"start {summary['init']}, split {summary['split']}, AP at 40 recall points [%], seeds {seeds}"]
    for view, by_kind in summary["ap"].items():
        for kind, by_difficulty in by_kind.items():
            parts = [f"{difficulty} {_in_percent(values)}" for difficulty, values in by_difficulty.items()]
            lines.append(f"{view:3}  {kind:10}  {'  '.join(parts)}")
    return [*lines, f"mean +- deviation (best of {len(seeds)})"]


def _in_percent(values: dict[str, float | None]) -> str:
    shown = {name: "-" if value is None else f"{100 * value:.2f}" for name, value in values.items()}
    return f"{shown['mean']} +- {shown['std']} ({shown['best']})"
