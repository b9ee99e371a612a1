"""Tables of arms: numbers by hand, marks, and what the four formats hold."""

from __future__ import annotations

import csv
import io
import json
import math

import pytest

from olivine.errors import DataError, UsageError
from olivine.report.arms import ScoredRun, compare_arms
from olivine.report.arms_command import run_table
from olivine.report.arms_text import as_csv, as_json, as_latex, as_markdown

T_975_1_DEGREE = 12.706204736


def run(arm, seed, miou, car, bus=None):
    return ScoredRun(arm, seed, miou, {"car": car, "bus_|&": bus})


RUNS = [
    run("random", 0, 0.30, 0.50),
    run("random", 1, 0.32, 0.54),
    run("olivine", 0, 0.40, 0.60, 0.2),
    run("olivine", 1, 0.46, 0.66, 0.4),
    run("slidr", 1, 0.35, 0.60),
]


def test_numbers_by_hand():
    rows = compare_arms(RUNS, "random")["rows"]
    assert list(rows) == ["mIoU", "car", "bus_|&"]
    cell = rows["mIoU"]["olivine"]
    assert cell["by_seed"] == {"0": 0.40, "1": 0.46}
    assert cell["mean"] == pytest.approx(0.43)
    assert cell["std"] == pytest.approx(0.06 / math.sqrt(2))
    difference = cell["difference"]
    assert difference["mean"] == pytest.approx(0.12)
    assert difference["std"] == pytest.approx(0.04 / math.sqrt(2))
    half = T_975_1_DEGREE * 0.04 / math.sqrt(2) / math.sqrt(2)
    assert difference["interval"] == pytest.approx([0.12 - half, 0.12 + half])
    assert difference["seeds"] == [0, 1]
    assert rows["mIoU"]["random"]["difference"] is None
    alone = rows["mIoU"]["slidr"]
    assert (alone["std"], alone["difference"]["interval"], alone["difference"]["seeds"]) == (None, None, [1])
    assert alone["difference"]["mean"] == pytest.approx(0.03)


def test_best_and_second_best():
    rows = compare_arms(RUNS)["rows"]
    assert {arm: cell["place"] for arm, cell in rows["mIoU"].items()} == {"random": None, "olivine": 1, "slidr": 2}
    only_one = {arm: cell["place"] for arm, cell in rows["bus_|&"].items()}
    assert only_one == {"random": None, "olivine": 1, "slidr": None}
    tied = compare_arms([run("a", 0, 0.5, 0.1), run("b", 0, 0.5, 0.2), run("c", 0, 0.4, 0.3), run("d", 0, 0.3, 0.3)])
    assert [cell["place"] for cell in tied["rows"]["mIoU"].values()] == [1, 1, 2, None]
    assert [cell["place"] for cell in tied["rows"]["car"].values()] == [None, 2, 1, 1]


def test_a_class_absent_with_one_seed_is_left_out_of_its_mean():
    rows = compare_arms([run("a", 0, 0.5, None), run("a", 1, 0.5, 0.4), run("b", 0, 0.5, 0.1)], "b")["rows"]
    assert (rows["car"]["a"]["mean"], rows["car"]["a"]["std"]) == (0.4, None)
    assert rows["car"]["a"]["difference"] is None, "no seed has both"


@pytest.mark.parametrize(
    ("runs", "baseline", "reason"),
    [
        ([], None, "a table needs scores"),
        ([*RUNS, RUNS[0]], None, "the arm 'random' has seed 0 twice"),
        ([*RUNS, ScoredRun("x", 0, 0.1, {"car": 0.1})], None, r"x with seed 0 was scored on other classes .*'bus_|&'"),
        (RUNS, "nobody", "the baseline 'nobody' is no arm: choose one of random, olivine, slidr"),
    ],
)
def test_what_cannot_be_compared(runs, baseline, reason):
    with pytest.raises(UsageError, match=reason):
        compare_arms(runs, baseline)


def test_markdown():
    lines = as_markdown(compare_arms(RUNS, "random")).splitlines()
    assert lines[0] == "| IoU [%] | random | olivine | slidr | olivine - random | slidr - random |"
    assert lines[2] == "| mIoU | 31.00 ± 1.41 | **43.00 ± 4.24** | _35.00_ | +12.00 | +3.00 |"
    assert lines[4] == "| bus_\\|& | - | **30.00 ± 14.14** | - | - | - |"
    notes = "\n".join(lines[5:])
    assert "(random 2, olivine 2, slidr 1)" in notes
    assert "olivine - random: +12.00 points of mIoU, 95 % interval -13.41 to +37.41 (2 paired seeds)." in notes
    assert "slidr - random: +3.00 points of mIoU, no interval (1 paired seeds). Fewer than 5 paired seeds" in notes


def test_five_paired_seeds_may_claim():
    runs = [run(arm, seed, 0.3 + 0.01 * seed + (arm == "b") * 0.1, 0.5) for arm in "ab" for seed in range(5)]
    assert "claims nothing" not in as_markdown(compare_arms(runs, "a"))
    assert "claims nothing" in as_markdown(compare_arms(runs[:-1], "a"))


def test_latex():
    text = as_latex(compare_arms([*RUNS, run("50 % ^x_", 0, 0.1, 0.1)], "random"))
    assert r"mIoU & 31.00 $\pm$ 1.41 & \textbf{43.00 $\pm$ 4.24} & \underline{35.00} & 10.00 & +12.00" in text
    assert r"bus\_|\& & - &" in text
    assert r"50 \% \textasciicircum{}x\_" in text
    body = [line for line in text.splitlines() if not line.startswith("%")]
    assert body[0] == r"\begin{tabular}{lrrrrrrr}"
    assert all(line.count(" & ") == 7 for line in body if line.endswith("\\\\")), "as many columns as announced"


def test_json_and_csv_hold_shares():
    comparison = compare_arms(RUNS, "random")
    assert json.loads(as_json(comparison)) == comparison
    rows = list(csv.DictReader(io.StringIO(as_csv(comparison))))
    assert len(rows) == 3 * 3
    found = next(row for row in rows if (row["class"], row["arm"]) == ("mIoU", "olivine"))
    assert float(found["mean"]) == pytest.approx(0.43)
    assert (found["place"], found["num_seeds"], found["paired_seeds"]) == ("1", "2", "2")
    assert float(found["low"]) < float(found["difference"]) < float(found["high"])
    absent = next(row for row in rows if (row["class"], row["arm"]) == ("bus_|&", "random"))
    assert (absent["mean"], absent["std"], absent["difference"]) == ("", "", "")


def write(path, miou, car):
    path.write_text(json.dumps({"miou": miou, "per_category": {"car": car}, "num_points": 3}))
    return path


def test_the_command_reads_files_and_writes_all_formats(olivine, tmp_path):
    files = [write(tmp_path / f"{arm}.json", 0.3 + shift, 0.5) for arm, shift in (("a", 0.0), ("b", 0.1))]
    call = ["table", "--scores", f"a:0={files[0]}", "--scores", f"b:0={files[1]}", "--baseline", "a"]
    outs = [tmp_path / f"out/table{suffix}" for suffix in (".md", ".tex", ".csv", ".json")]
    code, out, _ = olivine(*call, *(item for path in outs for item in ("--out", path)))
    assert code == 0
    assert "| mIoU | _30.00_ | **40.00** | +10.00 |" in out
    assert outs[0].read_text() == out
    assert json.loads(outs[3].read_text())["rows"]["mIoU"]["b"]["place"] == 1
    assert all(path.stat().st_size for path in outs)


def test_bad_calls_are_named(tmp_path):
    good = write(tmp_path / "good.json", 0.3, 0.5)
    for text in ("a=x.json", "a:x=x.json", ":0=x.json", "a:0=", "a:0"):
        with pytest.raises(UsageError, match="is not ARM:SEED=FILE"):
            run_table("", [], [text], "", [])
    with pytest.raises(UsageError, match=r"table\.pdf: give a file that ends in one of \.json, \.csv, \.md, \.tex"):
        run_table("", [], [f"a:0={good}"], "", [tmp_path / "table.pdf"])
    with pytest.raises(DataError, match="cannot be read"):
        run_table("", [], [f"a:0={tmp_path / 'none.json'}"], "", [])
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(DataError, match="is not JSON"):
        run_table("", [], [f"a:0={tmp_path / 'bad.json'}"], "", [])
    for content in (
        [],
        {},
        {"miou": 0.1},
        {"miou": 40, "per_category": {"car": 0.1}},
        {"miou": 0.1, "per_category": {}},
    ):
        (tmp_path / "bad.json").write_text(json.dumps(content))
        with pytest.raises(DataError, match="is no score: it needs miou and per_category"):
            run_table("", [], [f"a:0={tmp_path / 'bad.json'}"], "", [])


def test_metrics_of_the_store(chain, tmp_path):
    metrics = chain.made["evaluate"]
    score = tmp_path / "score.json"
    score.write_bytes(metrics.read("metrics.json"))
    text = run_table(chain.store.url, [metrics.id], [f"theirs:0={score}"], "theirs", [tmp_path / "t.json"])
    made = json.loads((tmp_path / "t.json").read_text())
    assert made["arms"] == ["olivine", "theirs"]
    assert made["rows"]["mIoU"]["olivine"]["mean"] == metrics.manifest.summary["miou"]
    assert made["rows"]["mIoU"]["olivine"]["difference"]["mean"] == 0.0
    assert "**" in text
