"""KITTI's average precision: by hand, against plain loops that share no code with it, and on the real frames."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from olivine.errors import DataError
from olivine.metrics.kitti_boxes import overlaps, read_boxes
from olivine.metrics.kitti_object import score_kitti_object, score_thresholds

LEVELS = ("easy", "moderate", "hard")


def line(kind="Car", x=0.0, z=20.0, score=None, height=50.0, occluded=0, truncated=0.0, **changes):
    """One box: a car of 4 x 2 x 1.5 m on the ground, 50 pixels high in the image."""
    box = {"h": 1.5, "w": 2.0, "l": 4.0, "y": 1.6, "ry": 0.0} | changes
    fields = [kind, truncated, occluded, 0, 100, 100, 200, 100 + height]
    fields += [box["h"], box["w"], box["l"], x, box["y"], z, box["ry"]]
    return " ".join(map(str, fields if score is None else [*fields, score]))


@pytest.fixture
def folders(tmp_path):
    """Write frames of (truth lines, detection lines); return both folders."""

    def write(*frames):
        made = []
        for name, which in (("label_2", 0), ("found", 1)):
            (tmp_path / name).mkdir(exist_ok=True)
            for number, frame in enumerate(frames):
                (tmp_path / name / f"{number:06d}.txt").write_text("\n".join(frame[which]) + "\n")
            made.append(tmp_path / name)
        return made[1], made[0]

    return write


def many(count, **changes):
    """`count` cars 10 m apart, so that none meets another."""
    return [line(x=10.0 * number, **changes) for number in range(count)]


@pytest.mark.parametrize(("count", "ap"), [(1, 0.0), (2, 1 / 40), (40, 39 / 40), (41, 1.0), (100, 1.0), (1000, 1.0)])
def test_perfect_detections_by_hand(folders, count, ap):
    scored = [line(x=10.0 * number, score=1 - number / 2000) for number in range(count)]
    result = score_kitti_object(*folders((many(count), scored)))
    for view in ("bev", "3d"):
        assert result["ap"][view]["car"] == {level: pytest.approx(ap) for level in LEVELS}
        assert result["ap"][view]["mean"]["easy"] == pytest.approx(ap / 3)
    assert result["num_objects"]["car"] == dict.fromkeys(LEVELS, count)
    assert result["num_objects"]["cyclist"] == dict.fromkeys(LEVELS, 0)


def test_false_alarms_and_misses_by_hand(folders):
    """100 cars, 50 of them found, and a false alarm below each: precision 1/2 up to recall 1/2, none beyond."""
    scored = [line(x=10.0 * number, score=1 - number / 200) for number in range(50)]
    wrong = [line(x=5.0 + 10 * number, z=90, score=1 - number / 200) for number in range(50)]
    result = score_kitti_object(*folders((many(100), [*scored, *wrong])))
    # Thresholds at recall 1/100, then nearest to 1/40, 2/40, ... up to 20/40: 21 of them, of which 20 count.
    assert result["ap"]["3d"]["car"]["easy"] == pytest.approx(0.5 * 20 / 40)


def test_thresholds_are_the_scores_nearest_to_each_recall():
    scores = [1 - number / 80 for number in range(80)]
    thresholds = score_thresholds(scores, 80)
    # The first, and then those at recall 2/80, 4/80, ... = 1/40, 2/40, ...
    assert thresholds == [scores[0], *scores[1::2]]
    assert len(thresholds) == 41
    assert score_thresholds([], 0) == []


@pytest.mark.parametrize(
    ("truth", "found", "ap"),
    [
        ({}, {"ry": np.pi}, 1.0),
        ({}, {"l": 4 * 0.71}, 1.0),
        ({}, {"l": 4 * 0.69}, 0.0),
        ({}, {"h": 1.5 * 0.69}, 0.0),
        ({}, {"kind": "Van"}, 0.0),
        ({}, {"kind": "cAr"}, 1.0),
        ({"kind": "Pedestrian", "l": 1.0, "w": 1.0}, {"kind": "Pedestrian", "l": 0.6, "w": 1.0}, 1.0),
    ],
)
def test_what_is_a_hit(folders, truth, found, ap):
    kind = truth.get("kind", "Car").lower()
    frames = [([line(**truth)], [line(score=0.5, **found)]) for _ in range(41)]
    assert score_kitti_object(*folders(*frames))["ap"]["3d"][kind]["easy"] == ap


def test_height_counts_in_space_alone(folders):
    frames = [([line()], [line(score=0.5, y=0.1)]) for _ in range(41)]
    ap = score_kitti_object(*folders(*frames))["ap"]
    assert (ap["bev"]["car"]["easy"], ap["3d"]["car"]["easy"]) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({"height": 39}, [0, 1, 1]),
        ({"height": 40}, [0, 1, 1]),
        ({"height": 25}, [0, 0, 0]),
        ({"occluded": 1}, [0, 1, 1]),
        ({"occluded": 2}, [0, 0, 1]),
        ({"occluded": 3}, [0, 0, 0]),
        ({"truncated": 0.2}, [0, 1, 1]),
        ({"truncated": 0.4}, [0, 0, 1]),
    ],
)
def test_difficulty(folders, changes, counts):
    result = score_kitti_object(*folders(([line(**changes)], [line(score=1)])))
    assert list(result["num_objects"]["car"].values()) == counts


def test_neighbours_and_hard_objects_are_neither_right_nor_wrong(folders):
    """41 found cars at perfect precision; detections on a van and on an occluded car take nothing away, on a truck do."""
    cars, scored = many(41), [line(x=10.0 * number, score=0.5) for number in range(41)]
    for extra, ap in (({"kind": "Van"}, 1.0), ({"occluded": 3}, 1.0), ({"kind": "Truck"}, 41 / 42)):
        truth = [*cars, line(z=80.0, **extra)]
        result = score_kitti_object(*folders((truth, [*scored, line(z=80.0, score=0.9)])))
        assert result["ap"]["3d"]["car"]["easy"] == pytest.approx(ap), extra


def test_a_detection_in_an_unlabelled_area_is_wrong(folders):
    dont_care = "DontCare -1 -1 -10 0 0 1242 375 -1 -1 -1 -1000 -1000 -1000 -10"
    scored = [line(x=10.0 * number, score=0.5) for number in range(41)]
    result = score_kitti_object(*folders(([*many(41), dont_care], [*scored, line(z=80, score=0.9)])))
    assert result["ap"]["bev"]["car"]["easy"] == pytest.approx(41 / 42)


KINDS = ["Car", "Pedestrian", "Cyclist", "Van", "Person_sitting", "Truck", "DontCare"]


def random_frames(seed, num_frames=10):
    """Crowded frames: objects on each other, neighbouring classes, hard ones; several detections of an object, of
    other classes, too small, with equal scores."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(num_frames):
        truth, found, places = [], [], [(0.0, 10.0)]
        for _ in range(rng.integers(3, 11)):
            near = places[rng.integers(len(places))]
            is_crowded = rng.random() < 0.4
            x, z = np.add(near, rng.normal(0, 0.3, 2)) if is_crowded else (rng.uniform(-20, 20), rng.uniform(5, 45))
            places.append((x, z))
            kind = KINDS[rng.choice(7, p=[0.35, 0.25, 0.15, 0.08, 0.07, 0.05, 0.05])]
            box = {"x": x, "z": z, "ry": rng.uniform(-4, 4), "y": rng.uniform(1, 2)}
            box |= {"l": rng.uniform(1, 5), "w": rng.uniform(0.8, 2), "h": rng.uniform(1, 2)}
            occluded, truncated = rng.choice(4, p=[0.6, 0.2, 0.1, 0.1]), rng.choice([0, 0, 0, 0.2, 0.4, 0.6])
            height = rng.choice([20, 25, 30, 40, 45, 60])
            truth.append(line(kind, height=height, occluded=occluded, truncated=truncated, **box))
            for _ in range(rng.integers(0, 4)):
                moved = {name: value + rng.normal() * 0.04 for name, value in box.items()}
                moved["ry"] += rng.choice([0, 0, 3.14159])
                other = KINDS[rng.integers(6)] if rng.random() < 0.2 else kind
                score = rng.choice([0.1, 0.5, round(rng.random(), 3), round(rng.random(), 3)])
                found.append(line(other, score=score, height=rng.choice([20, 24.9, 25, 39, 40, 60, 60, 60]), **moved))
        frames.append((truth, found))
    return frames


def assert_equals_the_loops(found, truth):
    pytest.importorskip("shapely")
    import kitti_slow

    result = score_kitti_object(found, truth)
    names = sorted(path.name for path in found.glob("*.txt"))
    frames = [tuple(kitti_slow.parse((folder / name).read_text()) for folder in (truth, found)) for name in names]
    for view in ("bev", "3d"):
        for kind in ("car", "pedestrian", "cyclist"):
            for level in LEVELS:
                expected = kitti_slow.average_precision(frames, kind, level, view)
                assert result["ap"][view][kind][level] == pytest.approx(expected, abs=1e-12), (view, kind, level)
    return result


@pytest.mark.parametrize("seed", range(3))
def test_equals_plain_loops_on_adversarial_frames(folders, seed):
    result = assert_equals_the_loops(*folders(*random_frames(seed)))
    values = [
        result["ap"][view][kind][level] for view in ("bev", "3d") for kind in ("car", "pedestrian") for level in LEVELS
    ]
    assert sum(0.05 < value < 0.95 for value in values) >= 2, "the cases have something to tell apart"


def test_equals_plain_loops_on_the_real_labels(tmp_path):
    if "OLIVINE_REAL_DATA" not in os.environ:
        pytest.skip("OLIVINE_REAL_DATA is not set: no real labels to read")
    truth = Path(os.environ["OLIVINE_REAL_DATA"]) / "kitti/training/label_2"
    if not truth.is_dir():
        pytest.skip(f"{truth} is missing")
    rng = np.random.default_rng(0)
    for path in truth.glob("*.txt"):
        rows = [row.split() for row in path.read_text().splitlines() if not row.startswith("DontCare")]
        for row in rows:
            row[11] = str(float(row[11]) + rng.normal() * 0.1)
            row.append(str(round(rng.random(), 4)))
        (tmp_path / path.name).write_text("\n".join(" ".join(row) for row in rows) + "\n")
    result = assert_equals_the_loops(tmp_path, truth)
    assert result["num_frames"] == 7
    assert result["num_objects"]["pedestrian"]["hard"] > 20
    assert 0 < result["ap"]["bev"]["pedestrian"]["hard"] < 1


def test_overlap_in_space_by_hand(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join([line(), line(h=-1, w=-1, l=-1), line(y=-3.4)]))
    (tmp_path / "b.txt").write_text(line(score=1, x=2.0, y=1.1))
    iou = overlaps(read_boxes(tmp_path / "a.txt", False), read_boxes(tmp_path / "b.txt", True))
    assert iou["bev"] == pytest.approx(np.array([[4 / 12], [0], [4 / 12]]))
    # The third hangs above the detection: nothing in common in space.
    assert iou["3d"] == pytest.approx(np.array([[4 / (12 + 12 - 4)], [0], [0]]))


def test_bad_files_are_named(folders):
    found, truth = folders(([line()], [line(score=1)]))
    list_file = found.parent / "val.txt"
    good = (found / "000000.txt").read_text()
    for text, reason in (
        (line(), r"000000\.txt, line 1: 15 fields, but detections have 16, the last a score"),
        (good + "Car x" + " 1" * 14, "line 2: could not convert string to float: 'x'"),
        (good + "Car nan" + " 1" * 14, "line 2: a number is not finite"),
        (good + "Car \x80", "cannot be read as text"),
    ):
        (found / "000000.txt").write_text(text, "utf-8")
        with pytest.raises(DataError, match=reason):
            score_kitti_object(found, truth)
    (found / "000000.txt").write_text(good)
    for text, reason in (
        ("000000 000001", r"000001\.txt is missing \(and 0 more of 2\): predict every frame of the list"),
        ("../label_2/000000", "is no frame"),
        ("", "lists no frame"),
    ):
        list_file.write_text(text)
        with pytest.raises(DataError, match=reason):
            score_kitti_object(found, truth, list_file)
    (found / "000007.txt").write_text("")
    with pytest.raises(DataError, match=r"label_2/000007\.txt is missing .* it is predicted, not labelled"):
        score_kitti_object(found, truth)
    with pytest.raises(DataError, match="nowhere is not a folder"):
        score_kitti_object(found / "nowhere", truth)
    (found.parent / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds no \*\.txt file"):
        score_kitti_object(found.parent / "empty", truth)
    with pytest.raises(DataError, match="cannot be read as text"):
        score_kitti_object(found, truth, found / "none")


def test_the_command(olivine, folders):
    found, truth = folders(([], []), (many(41), [line(x=10.0 * number, score=0.5) for number in range(41)]))
    call = ["score", "kitti-object", "--predictions", found, "--ground-truth", truth]
    code, out, _ = olivine(*call, "--json")
    assert code == 0
    assert json.loads(out) == score_kitti_object(found, truth)
    text = olivine(*call)[1]
    assert "3d   car         easy 100.00  moderate 100.00  hard 100.00" in text
    assert "2 of 2 labelled frames" in text
