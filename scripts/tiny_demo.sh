#!/usr/bin/env bash
# The demo at a tiny scale, end to end, and its summary checked: what CI runs in place of the whole demo.
set -euo pipefail
cd "$(dirname "$0")/.."
out=build/tiny-demo
rm -rf "$out"
export OMP_NUM_THREADS=1
.venv/bin/python -m olivine demo --scale tiny --seeds 2 --out "$out"
.venv/bin/python - "$out" <<'PY'
import json, pathlib, sys

out = pathlib.Path(sys.argv[1])
summary = json.loads((out / "summary.json").read_text())
assert set(summary["arms"]) == {"random", "olivine"}, summary["arms"].keys()
for arm in summary["arms"].values():
    assert len(arm["miou_by_seed"]) == 2 and 0 <= arm["miou"] <= 1, arm
assert summary["seeds"] == [0, 1], summary["seeds"]
assert summary["labels"]["kind"] == "simulated" and summary["labels"]["accuracy"] < 0.85, summary["labels"]
stages = ["ingest", "label", "weigh", "pretrain", "finetune", "evaluate"]
assert set(summary["artifacts"]) == set(summary["wall_s"]) == set(summary["peak_rss_mb"]) == set(stages)
assert len(summary["artifacts"]["finetune"]) == len(summary["artifacts"]["evaluate"]) == 4
page = (out / "report.html").read_text()
assert "simulated" in page and "<table" in page and len(page) > 20_000
print("tiny demo: summary and report are whole")
PY
