"""W14, compiling all pipelines by KFP's compiler: `python -m benchmarks.w14_compile`.

There is no other compiler to compare with: what counts is the time, and that nothing differs from the golden YAML.
"""

from __future__ import annotations

from typing import Any

from benchmarks.measure import compare, main, repeat, row

GOAL_S = 3.0


def measure(contender: str) -> dict[str, Any]:
    """Compile in this process; the import of KFP is not counted."""
    from pipelines.compile import PIPELINES, compile_pipeline, find_drift

    found = repeat(lambda: [compile_pipeline(name) for name in PIPELINES])
    return found | {"pipelines": len(PIPELINES), "drift": find_drift()}


def run() -> list[dict[str, Any]]:
    """Seconds for all pipelines, and what differs from the repository's copies."""
    found = compare("benchmarks.w14_compile", ("kfp compiler",))
    compiled = found["kfp compiler"]
    seconds = compiled["median_ms"] / 1e3
    what = f"{compiled['pipelines']} pipelines, {len(compiled['drift'])} differ from their golden YAML"
    line = row("W14", seconds, None, 1, "s", contenders=found, what=what)
    met = seconds < GOAL_S and not compiled["drift"]
    return [line | {"goal": f"< {GOAL_S:g}", "met": met, "reference": 0.0}]


if __name__ == "__main__":
    main(__doc__, run, measure)
