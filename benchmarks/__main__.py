"""`python -m benchmarks [--only W1]`: run the benchmarks, print their ratios, keep them in build/bench/results.json.

Each figure compares contenders in one run on one machine: the ratio counts, not the time.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import time
from pathlib import Path
from typing import Any

import benchmarks

RESULTS = Path("build/bench/results.json")


def main() -> None:
    """Run what was asked for and keep the rows of earlier runs of the others."""
    modules = {
        name.split("_")[0].upper(): name for _, name, _ in pkgutil.iter_modules(benchmarks.__path__) if name[:1] == "w"
    }
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=sorted(modules, key=_number), help="run one benchmark")
    only = parser.parse_args().only
    rows = json.loads(RESULTS.read_text()) if only and RESULTS.exists() else []
    for id in [only] if only else sorted(modules, key=_number):
        started = time.monotonic()
        fresh = importlib.import_module(f"benchmarks.{modules[id]}").run()
        rows = [row for row in rows if row["id"].split(" ")[0] != id] + fresh
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
        for row in fresh:
            print(_line(row))
        print(f"  ({time.monotonic() - started:.0f} s)")
    print(f"all rows: {RESULTS}")


def _line(row: dict[str, Any]) -> str:
    ratio = "-" if row["ratio"] is None else f"{row['ratio']:.3g}x"
    measured = f"ours {row['ours']:.4g}, reference {row['reference']:.4g} {row['unit']}"
    return f"{row['id']:5} {ratio:>9}  goal {row['goal']!s:12} {measured}  {row.get('what', '')}"


def _number(id: str) -> int:
    return int(id[1:])


if __name__ == "__main__":
    main()
