"""Corruptions: counts, ranges, determinism, and the one line that each is said to be."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olivine.errors import UsageError
from olivine.points.corrupt import CORRUPTIONS, SCATTERED, SEVERITIES, corrupt
from olivine.points.corrupt.weather import find_ground

CASES = [(name, severity) for name in CORRUPTIONS for severity in SEVERITIES]


def street(num_points=6000, seed=0):
    """Half of the points on a slightly sloping ground 1.8 m below the sensor, half on things above it; 32 beams."""
    rng = np.random.default_rng(seed)
    azimuth, distance = rng.uniform(-np.pi, np.pi, num_points), rng.uniform(2, 60, num_points)
    x, y = distance * np.cos(azimuth), distance * np.sin(azimuth)
    height = np.where(np.arange(num_points) % 2, 0.0, rng.uniform(0.5, 4, num_points))
    z = -1.8 + 0.01 * x + height
    rings, intensity = rng.integers(0, 32, num_points), rng.integers(0, 256, num_points)
    return np.column_stack([x, y, z, intensity, rings]).astype(np.float32)


def distances(points):
    return np.linalg.norm(points[:, :3].astype(np.float64), axis=1)


@pytest.mark.parametrize(("name", "severity"), CASES)
def test_what_holds_for_all(name, severity):
    points_N5 = street()
    before = points_N5.copy()
    made = corrupt(points_N5, name, severity, 7)
    assert np.array_equal(points_N5, before), "the sweep itself stays"
    assert made.points_M5.shape == (len(made.source_M), 5)
    assert (made.points_M5.dtype, made.source_M.dtype) == (np.float32, np.int32)
    assert 0 < len(made.source_M) <= len(points_N5)
    assert np.isfinite(made.points_M5).all()
    assert 0 <= made.points_M5[:, 3].min() <= made.points_M5[:, 3].max() <= 255
    real = made.source_M[made.source_M != SCATTERED]
    assert (np.diff(real) > 0).all(), "points keep their order, none twice"
    assert np.array_equal(made.points_M5[made.source_M != SCATTERED][:, 4], points_N5[real, 4])
    again, other = corrupt(points_N5, name, severity, 7), corrupt(points_N5, name, severity, 8)
    assert again.points_M5.tobytes() == made.points_M5.tobytes()
    assert np.array_equal(again.source_M, made.source_M)
    if name != "cross_sensor":
        assert other.points_M5.tobytes() != made.points_M5.tobytes()
    label_N = (np.arange(len(points_N5)) % 16 + 1).astype(np.uint8)
    label_M = made.labels(label_N)
    assert np.array_equal(label_M == 0, made.source_M == SCATTERED)
    assert np.array_equal(label_M[label_M > 0], label_N[real])


@settings(max_examples=40)
@given(case=st.sampled_from(CASES), num_points=st.integers(0, 12), seed=st.integers(0, 99))
def test_tiny_and_empty_sweeps(case, num_points, seed):
    points_N5 = street(num_points, seed)
    points_N5[: num_points // 3, :3] = 0
    made = corrupt(points_N5, *case, seed)
    assert len(made.source_M) == len(made.points_M5) <= num_points
    assert np.isfinite(made.points_M5).all()


@pytest.mark.parametrize("name", [name for name in CORRUPTIONS if name not in ("motion_blur", "cross_talk", "snow")])
def test_less_is_left_with_each_severity(name):
    left = [len(corrupt(street(), name, severity, 0).source_M) for severity in SEVERITIES]
    assert left[0] > left[1] > left[2]
    assert left[0] < 6000


@pytest.mark.parametrize("name", ["snow", "cross_talk"])
def test_more_is_scattered_with_each_severity_and_nothing_lost(name):
    made = [corrupt(street(), name, severity, 0) for severity in SEVERITIES]
    scattered = [np.count_nonzero(item.source_M == SCATTERED) for item in made]
    assert scattered[0] < scattered[1] < scattered[2]
    assert [len(item.source_M) for item in made] == [6000] * 3


@pytest.mark.parametrize("severity", SEVERITIES)
def test_fog(severity):
    points_N5 = street(40_000)
    made, extinction = corrupt(points_N5, "fog", severity, 0), (0.005, 0.02, 0.06)[severity - 1]
    kept = made.source_M[made.source_M != SCATTERED]
    near = distances(points_N5) < 10
    survival = np.isin(np.arange(40_000), kept)
    for part in (near, ~near):
        assert survival[part].mean() == pytest.approx(np.exp(-extinction * distances(points_N5)[part]).mean(), abs=0.02)
    expected = points_N5[kept, 3] * np.exp(-2 * extinction * distances(points_N5[kept]))
    assert made.points_M5[made.source_M != SCATTERED][:, 3] == pytest.approx(expected, rel=1e-5)
    assert np.array_equal(made.points_M5[made.source_M != SCATTERED][:, :3], points_N5[kept, :3])
    fog = made.points_M5[made.source_M == SCATTERED]
    assert fog[:, 3].max() <= 12


@pytest.mark.parametrize("name", ["fog", "snow"])
def test_what_is_scattered_lies_before_the_surface_on_the_same_ray(name):
    points_N5 = street()
    points_N5[:, 4] = np.arange(6000)  # A beam of its own tells which point a return was.
    made = corrupt(points_N5, name, 3, 0)
    is_scattered = made.source_M == SCATTERED
    assert np.count_nonzero(is_scattered) > 100
    was = points_N5[made.points_M5[is_scattered, 4].astype(int)]
    now = made.points_M5[is_scattered]
    assert (distances(now) <= distances(was) + 1e-4).all()
    assert distances(now).min() >= 0.999
    cosine = (now[:, :3] * was[:, :3]).sum(axis=1) / (distances(now) * distances(was))
    assert cosine == pytest.approx(np.ones(len(now)), abs=1e-5)
    if name == "snow":
        assert distances(now).max() <= 20.001


def test_the_ground_is_found_and_grazing_points_of_it_are_lost():
    points_N5 = street()
    is_ground_N, sine_N = find_ground(points_N5)
    assert np.array_equal(is_ground_N, np.arange(6000) % 2 == 1)
    assert sine_N[is_ground_N] == pytest.approx(1.8 / distances(points_N5[is_ground_N]), rel=1e-3)
    kept = corrupt(points_N5, "wet_ground", 2, 0).source_M
    survives_N = np.isin(np.arange(6000), kept)
    assert survives_N[~is_ground_N].all()
    near = distances(points_N5) < 6
    assert survives_N[is_ground_N & near].mean() > 2 * survives_N[is_ground_N & ~near].mean()


def test_motion_blur_has_the_stated_width():
    points_N5 = street()
    for severity, width in zip(SEVERITIES, (0.1, 0.2, 0.3), strict=True):
        made = corrupt(points_N5, "motion_blur", severity, 0)
        moved = made.points_M5[:, :3] - points_N5[:, :3]
        assert moved.std(axis=0) == pytest.approx([width] * 3, rel=0.05)
        assert np.array_equal(made.points_M5[:, 3:], points_N5[:, 3:])


def test_whole_beams_are_missing():
    for severity, left in zip(SEVERITIES, (24, 16, 8), strict=True):
        points_N5 = street()
        made = corrupt(points_N5, "beam_missing", severity, 0)
        beams = set(made.points_M5[:, 4].tolist())
        assert len(beams) == left
        assert np.array_equal(made.points_M5, points_N5[np.isin(points_N5[:, 4], list(beams))])


def test_only_dark_points_lack_their_echo():
    points_N5 = street()
    for severity, lost in zip(SEVERITIES, (0.5, 0.7, 0.9), strict=True):
        gone = np.setdiff1d(np.arange(6000), corrupt(points_N5, "incomplete_echo", severity, 0).source_M)
        assert points_N5[gone, 3].max() <= np.median(points_N5[:, 3])
        assert len(gone) / 3000 == pytest.approx(lost, abs=0.04)


def test_another_sensor_keeps_every_nth_beam_and_point():
    points_N5 = street()
    for severity, (beams, step) in zip(SEVERITIES, ((16, 1), (16, 2), (8, 2)), strict=True):
        made = corrupt(points_N5, "cross_sensor", severity, 0)
        assert set(made.points_M5[:, 4].astype(int)) == set(range(0, 32, 32 // beams))
        ring = points_N5[points_N5[:, 4] == 4]
        assert np.array_equal(made.points_M5[made.points_M5[:, 4] == 4], ring[::step])


def test_wrong_names():
    with pytest.raises(UsageError, match="there is no corruption 'rain': choose one of fog, wet_ground, snow"):
        corrupt(street(), "rain", 1, 0)
    for severity in (0, 4):
        with pytest.raises(UsageError, match=f"severity {severity} of fog: choose one of 1, 2, 3"):
            corrupt(street(), "fog", severity, 0)


def test_the_real_sweep():
    if "OLIVINE_REAL_DATA" not in os.environ:
        pytest.skip("OLIVINE_REAL_DATA is not set: no real sweep to corrupt")
    files = sorted((Path(os.environ["OLIVINE_REAL_DATA"]) / "nuscenes/samples/LIDAR_TOP").glob("*.bin"))
    if not files:
        pytest.skip("no real sweep of nuScenes")
    points_N5 = np.fromfile(files[0], np.float32).reshape(-1, 5)
    for name, severity in CASES:
        made = corrupt(points_N5, name, severity, 0)
        assert np.isfinite(made.points_M5).all()
        assert 0.1 * len(points_N5) < len(made.source_M) <= len(points_N5), (name, severity)
    is_ground_N, _ = find_ground(points_N5)
    assert 0.1 < is_ground_N.mean() < 0.8
    assert -2.5 < np.median(points_N5[is_ground_N, 2]) < -1.2
