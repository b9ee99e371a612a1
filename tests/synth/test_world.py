"""Worlds: nothing overlaps, the ego vehicle's way is free, the ground is closed."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olivine.synth.drive import draw_drive
from olivine.synth.model import Rectangle
from olivine.synth.plot import corridor
from olivine.synth.poses import Pose, euler_rotation, quaternion_of
from olivine.synth.raycast import RayCaster
from olivine.synth.street_plan import draw_street
from olivine.synth.world import build_world

angles = st.floats(-3.1, 3.1)
lengths = st.floats(0.2, 20.0)
places = st.floats(-15.0, 15.0)
rectangles = st.builds(Rectangle, places, places, lengths, lengths, angles)


@pytest.fixture(scope="module", params=[1, 2, 3])
def world(request):
    return build_world(np.random.default_rng(request.param), 15.0)


def test_footprints_do_not_overlap(world):
    claims = [placed.claim for placed in world.plot.placed]

    assert len(claims) > 60
    assert [pair for pair in combinations(claims, 2) if pair[0].overlaps(pair[1])] == []


def test_way_of_the_ego_vehicle_is_free(world):
    """No corner of anything that stands lower than a lorry lies in the corridor, whatever its footprint claims."""
    strips = corridor(world.street)
    for placed in world.plot.placed:
        local = np.concatenate([patch.triangles_T33.reshape(-1, 3) for patch, _ in placed.model.parts])
        pose = Pose(euler_rotation(placed.yaw_rad), np.array([placed.x_m, placed.y_m, 0.0]))
        corners = pose.apply(local[local[:, 2] < 2.2].astype(np.float64))
        for strip in strips:
            cos, sin = np.cos(strip.yaw_rad), np.sin(strip.yaw_rad)
            dx, dy = corners[:, 0] - strip.x_m, corners[:, 1] - strip.y_m
            inside = (np.abs(cos * dx + sin * dy) < 1.2) & (np.abs(cos * dy - sin * dx) < 1.25)
            assert not inside.any()


def test_ego_vehicle_stays_in_the_corridor(world):
    drive = draw_drive(np.random.default_rng(0), world.street, 10.0)
    strips = corridor(world.street)
    for time_us in range(0, 1_500_001, 100_000):
        x, y, _ = drive.pose(time_us).translation_3
        assert any(strip.overlaps(Rectangle(float(x), float(y), 0.01, 1.75, strip.yaw_rad)) for strip in strips)
        st_2 = world.street.from_map_many(np.array([[x, y]]))[0]
        assert abs(st_2[1] - world.street.lanes[world.street.ego_lane].t_m) < 0.25


def test_ground_has_no_holes(world):
    rng = np.random.default_rng(7)
    s_low, s_high = world.street.s_range_m
    street_points = np.stack([rng.uniform(s_low + 1, s_high - 1, 3000), rng.uniform(-85.0, 85.0, 3000)], axis=1)
    xy = world.street.to_map_many(street_points)
    caster = RayCaster(world.mesh.triangles_T33)
    for x, y in xy[:300]:
        hits = caster.cast(np.array([x, y, 60.0], np.float32), np.array([[0.0, 0.0, -1.0]], np.float32))
        height = 60.0 - float(hits.distance_N[0])
        assert height > -0.4


def test_triangles_have_area_and_instances_have_one_category(world):
    assert np.isfinite(world.mesh.triangles_T33).all()
    for number in np.unique(world.mesh.instance_T):
        assert len(np.unique(world.mesh.raw_T[world.mesh.instance_T == number])) == 1


def test_boxes_hold_their_objects(world):
    for instance in world.instances:
        corners = world.mesh.triangles_T33[world.mesh.instance_T == instance.number].reshape(-1, 3).astype(np.float64)
        box = Pose(euler_rotation(instance.yaw_rad), np.array(instance.centre_m))
        width, length, height = instance.size_wlh_m
        reach = np.abs(box.unapply(corners)).max(axis=0)
        np.testing.assert_allclose(reach * 2, [length, width, height], atol=2e-3)


@settings(max_examples=60, deadline=None)
@given(one=rectangles, two=rectangles)
def test_overlap_test_agrees_with_sampling(one, two):
    grid = np.stack(np.meshgrid(np.linspace(-0.499, 0.499, 25), np.linspace(-0.499, 0.499, 25)), axis=-1).reshape(-1, 2)
    cos, sin = np.cos(one.yaw_rad), np.sin(one.yaw_rad)
    along, across = grid[:, 0] * one.length_m, grid[:, 1] * one.width_m
    dx = one.x_m + cos * along - sin * across - two.x_m
    dy = one.y_m + sin * along + cos * across - two.y_m
    cos, sin = np.cos(two.yaw_rad), np.sin(two.yaw_rad)
    hit = (np.abs(cos * dx + sin * dy) < two.length_m / 2) & (np.abs(cos * dy - sin * dx) < two.width_m / 2)
    if hit.any():
        assert one.overlaps(two)
    assert one.overlaps(two) == two.overlaps(one)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), s=st.floats(-100, 140), t=st.floats(-80, 80))
def test_street_coordinates_and_map_are_inverse(seed, s, t):
    street = draw_street(np.random.default_rng(seed), 20.0)
    back = street.from_map_many(street.to_map_many(np.array([[s, t]])))[0]

    np.testing.assert_allclose(back, [s, t], atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(yaw=angles, pitch=st.floats(-1.5, 1.5), roll=angles)
def test_quaternion_is_the_rotation(yaw, pitch, roll):
    rotation = euler_rotation(yaw, pitch, roll)
    w, x, y, z = quaternion_of(rotation)
    expected = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )

    assert w >= 0
    np.testing.assert_allclose(rotation, expected, atol=1e-12)
