"""Whole keyframes: every point gets the category of its row, or of the nearest one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from olivine.errors import DataError
from olivine.models.cloud import collate
from olivine.models.network import prepare_cloud
from olivine.models.network_recipe import NetworkRecipe, VoxelNetRecipe, WaffleIronRecipe
from olivine.models.predict import predict_keyframes
from olivine.models.segmenter import Segmenter

NETWORK = NetworkRecipe(coordinates="cartesian", voxel_size=(0.6, 0.5, 0.4), widths=(4,) * 9, blocks=(1,) * 8)


class ByCell(Segmenter):
    """Each cell has a category that follows from where it is, so that no two neighbours share one."""

    def forward(self, clouds):
        coordinates_V4, features_V1 = clouds.coordinates_V4, clouds.features_VF
        assert not self.training
        assert (coordinates_V4[:, 0] == 0).all()
        assert features_V1.shape == (len(coordinates_V4), 1)
        return functional.one_hot(category(coordinates_V4[:, 1:].long()), 17).float()


def category(cells_V3):
    return (cells_V3 @ torch.tensor([1, 3, 7])) % 16 + 1


def test_points_share_the_category_of_their_voxel(chain):
    segmenter = ByCell(NETWORK, 0.05, seed=0).train()
    tokens = chain.drives.tokens("test")
    found = dict(predict_keyframes(segmenter, chain.drives, NETWORK, tokens))
    assert list(found) == tokens
    assert segmenter.training, "its mode is restored"
    for token, category_N in found.items():
        xyz_N3 = chain.drives.keyframe(token).points_N4[:, :3].astype(np.float64)
        cells_N3 = torch.from_numpy(np.floor(xyz_N3 / NETWORK.voxel_size).astype(np.int64))
        assert category_N.dtype == np.uint8
        assert np.array_equal(category_N, category(cells_N3).numpy())
        assert len(np.unique(category_N)) == 16


def test_the_mode_is_restored_when_a_reader_stops_early(chain):
    segmenter = Segmenter(NETWORK, 0.05, seed=0).train()
    predictions = predict_keyframes(segmenter, chain.drives, NETWORK, chain.drives.tokens("test"))
    next(predictions)
    assert not segmenter.training
    predictions.close()
    assert segmenter.training


NARROW = {
    "voxelnet": NetworkRecipe(
        kind="voxelnet", voxelnet=VoxelNetRecipe(radius_m=12.8, voxel_size=(0.8, 0.8, 0.32), widths=(4,) * 5)
    ),
    "waffleiron": NetworkRecipe(
        kind="waffleiron",
        waffleiron=WaffleIronRecipe(
            width=4, depth=3, field_of_view=((-10.0, -10.0, -2.0), (10.0, 10.0, 2.0)), cell_m=2.0
        ),
    ),
}


@pytest.mark.parametrize("kind", NARROW)
def test_points_that_are_not_seen_take_the_nearest_ones_category(chain, kind):
    network = NARROW[kind]
    segmenter, token = Segmenter(network, 0.05, seed=0), chain.drives.tokens("test")[0]
    ((_, category_N),) = predict_keyframes(segmenter, chain.drives, network, [token])
    points_N4 = chain.drives.keyframe(token).points_N4
    cloud = prepare_cloud(points_N4, network)
    category_R = segmenter.eval().predict(collate([cloud])).numpy()
    seen = cloud.row_N >= 0
    assert 0 < seen.sum() < len(seen)
    assert np.array_equal(category_N[seen], category_R[cloud.row_N[seen]])
    xyz = points_N4[:, :3].astype(np.float64)
    for point in np.flatnonzero(~seen)[::50]:
        nearest = np.flatnonzero(seen)[((xyz[seen] - xyz[point]) ** 2).sum(axis=1).argmin()]
        assert category_N[point] == category_N[nearest]


def test_a_sweep_out_of_range_is_named(chain):
    view = WaffleIronRecipe(width=4, depth=3, field_of_view=((900.0, 900.0, 0.0), (910.0, 910.0, 5.0)))
    network = NetworkRecipe(kind="waffleiron", waffleiron=view)
    tokens = chain.drives.tokens("test")
    predictions = predict_keyframes(Segmenter(network, 0.05, 0), chain.drives, network, tokens)
    with pytest.raises(DataError, match=rf"keyframe {tokens[0]}: none of \d+ points lies in the network's range"):
        next(predictions)
