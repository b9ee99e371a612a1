"""The network's shapes and order, and the boxes that are chosen from its output."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from olivine.detect.anchors import DIRECTION_OFFSET, encode_boxes, facing, make_anchors
from olivine.detect.cloud import detection_cloud
from olivine.detect.find import choose_boxes, find_objects, suppress
from olivine.detect.network import build_detector
from olivine.detect.recipe import CLASSES, DetectionRecipe, DetectorRecipe, GridRecipe, MapNetworkRecipe
from olivine.errors import DataError
from olivine.models.cloud import collate
from olivine.models.voxelnet import VoxelNet

TINY = DetectorRecipe(
    grid=GridRecipe(low=(0, -6.4, -3), high=(12.8, 6.4, 1), voxel_size=(0.1, 0.1, 0.16)),
    widths=(4, 4, 8, 8, 8),
    map_network=MapNetworkRecipe(layers=(1, 1), widths=(8, 8), up_widths=(8, 8)),
)


def points(seed, num_points=500):
    rng = np.random.default_rng(seed)
    xyz = rng.uniform((0, -6.4, -3), (12.8, 6.4, 1), (num_points, 3))
    return np.column_stack([xyz, rng.uniform(size=num_points)]).astype(np.float32)


def clouds(*seeds):
    return [detection_cloud(points(seed), TINY.grid, 1.0, 1000) for seed in seeds]


def test_the_references_sizes():
    with torch.device("meta"):
        detector = build_detector(DetectorRecipe())
    assert detector.backbone.out_channels == 256
    sizes = {name: sum(tensor.numel() for tensor in part.parameters()) for name, part in detector.named_children()}
    # By hand: 256 -> 128 and 5 x (128 -> 128), 128 -> 256 and 5 x (256 -> 256), 3 x 3 each; 128 -> 256 at 1 x 1 and
    # 256 -> 256 at 2 x 2; two numbers for each normalised channel.
    blocks = 9 * (256 * 128 + 5 * 128**2 + 128 * 256 + 5 * 256**2)
    assert sizes["map_network"] == blocks + 128 * 256 + 4 * 256**2 + 2 * (6 * 128 + 6 * 256 + 2 * 256)
    assert sizes["head"] == 513 * (6 * 3 + 6 * 7 + 6 * 2)


def test_output_is_in_the_order_of_the_anchors():
    """The head's kernels are set to tell the place: its output then follows x and y of the anchors."""
    detector = build_detector(TINY).eval()
    num_x, num_y = 16, 16
    maps = torch.zeros(1, 16, num_y, num_x)
    maps[0, 0], maps[0, 1] = torch.arange(num_x), torch.arange(num_y)[:, None]
    with torch.no_grad():
        for layer in (detector.head.kind, detector.head.box, detector.head.direction):
            layer.weight.zero_()
            layer.bias.copy_(torch.arange(len(layer.bias)))
        detector.head.box.weight[:, 0] = 1000
        detector.head.box.weight[:, 1] = 1_000_000
        found = detector.head(maps)
    step = 12.8 / 15
    for row in (0, 7, 100, 16 * 16 * 6 - 1):
        column, line = (
            round(float(detector.anchors_A7[row, 0]) / step),
            round((float(detector.anchors_A7[row, 1]) + 6.4) / step),
        )
        anchor = row % 6
        assert found.offsets_BA7[0, row].tolist() == [1e6 * line + 1000 * column + 7 * anchor + i for i in range(7)]
        assert found.logits_BAK[0, row].tolist() == [3 * anchor + i for i in range(3)]
        assert found.directions_BA2[0, row].tolist() == [2 * anchor + i for i in range(2)]


def test_frames_of_a_batch_do_not_mix_and_the_last_may_be_empty():
    detector = build_detector(TINY.model_copy(update={"bn_momentum": 1.0}))
    with torch.no_grad():
        # Statistics of a batch: with those of the start hardly anything comes out.
        detector(collate(clouds(2, 3)), 2)
        detector.eval()
        detector.head.box.weight *= 100
    empty = detection_cloud(points(0) + np.float32(100), TINY.grid, 1.0, 1000)
    assert len(empty.coordinates_V3) == 0
    with torch.no_grad():
        batch = detector(collate([*clouds(0, 1), empty]), 3)
        alone = detector(collate(clouds(1)), 1)
    assert batch.logits_BAK.shape == (3, 16 * 16 * 6, 3)
    assert torch.allclose(batch.offsets_BA7[1], alone.offsets_BA7[0], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(batch.offsets_BA7[0], alone.offsets_BA7[0], atol=0.1)
    nothing = find_objects(detector, points(0) + np.float32(100), TINY, DetectionRecipe())
    assert len(nothing.boxes_D7) == 0


def test_another_grid_than_the_pretrained_one_takes_its_parameters():
    backbone = build_detector(TINY).backbone
    pretrained = VoxelNet(backbone._recipe, 0.1)
    assert {name: tensor.shape for name, tensor in pretrained.state_dict().items()} == {
        name: tensor.shape for name, tensor in backbone.state_dict().items()
    }
    far = clouds(0)[0]
    with pytest.raises(DataError, match=r"cells span .* and the grid is \(128, 128, 26\)"):
        backbone(collate([detection_cloud(points(0), GridRecipe(), 1.0, 1000)]))
    assert backbone(collate([far])).cells == (16, 16, 1)


def test_voxels_by_hand():
    grid = TINY.grid.model_copy(update={"max_points_per_voxel": 2})
    given = np.array(
        [
            [0.01, -6.39, -2.99, 0.1],
            [0.05, -6.35, -2.9, 0.3],
            [0.01, -6.31, -2.9, 9],
            [12.8, 0, 0, 1],
            [3, 0, 1, 1],
            [1, 6.39, 0.99, 1],
        ],
        np.float32,
    )
    cloud = detection_cloud(given, grid, 2.0, 10)
    # The third point is one too many for its voxel; the fourth and fifth lie on upper faces.
    assert cloud.coordinates_V3.tolist() == [[0, 0, 0], [10, 127, 24]]
    assert cloud.features_VF[0] == pytest.approx([0.03, -6.37, -2.945, 0.4], abs=1e-6)
    assert len(detection_cloud(given, grid, 2.0, 1).coordinates_V3) == 1


ANCHORS = make_anchors(TINY.grid, CLASSES)


def said(*found):
    """Output of a head that has found (anchor, box, class, score) and is sure of nothing else."""
    logits, offsets, directions = (
        torch.full((len(ANCHORS), 3), -9.0),
        torch.zeros(len(ANCHORS), 7),
        torch.zeros(len(ANCHORS), 2),
    )
    for anchor, box, kind, score in found:
        logits[anchor, kind] = math.log(score / (1 - score))
        offsets[anchor] = encode_boxes(torch.tensor([box]), ANCHORS[anchor : anchor + 1])[0]
        directions[anchor, facing(torch.tensor(box[6:]))] = 5
    return logits, offsets, directions, ANCHORS


def test_boxes_are_chosen_by_hand():
    car, behind, walker = (
        [5.0, 0, -1, 4, 1.6, 1.5, 0.1],
        [9.5, 0, -1, 4, 1.6, 1.5, -2.0],
        [5.5, 0.5, -1, 0.8, 0.6, 1.7, 1.0],
    )
    output = said(
        (600, car, 0, 0.6),
        (606, [5.2, *car[1:]], 0, 0.9),
        (700, behind, 0, 0.5),
        (602, walker, 1, 0.3),
        (0, car, 0, 0.09),
    )
    found = choose_boxes(*output, DetectionRecipe())
    # The first car overlaps a better one; the walker too, and another class does not save it; the last is unsure.
    assert found.score_D == pytest.approx([0.9, 0.5], abs=1e-6)
    assert found.kind_D.tolist() == [0, 0]
    assert found.boxes_D7[0] == pytest.approx([5.2, *car[1:6], car[6] + 2 * math.pi], abs=1e-5)
    assert found.boxes_D7[1, 6] - 2 * math.pi == pytest.approx(behind[6], abs=1e-5)
    assert DIRECTION_OFFSET <= found.boxes_D7[1, 6] < DIRECTION_OFFSET + 2 * math.pi
    wider = choose_boxes(*output, DetectionRecipe(nms_iou=0.5, min_score=0.01))
    assert wider.score_D == pytest.approx([0.9, 0.5, 0.3], abs=1e-6)
    assert len(choose_boxes(*output, DetectionRecipe(most=1)).score_D) == 1
    assert choose_boxes(*output, DetectionRecipe(nms_candidates=2)).score_D == pytest.approx([0.9], abs=1e-6)
    assert len(choose_boxes(*output, DetectionRecipe(min_score=0.95)).score_D) == 0


def test_boxes_that_are_not_finite_are_left_out():
    logits, offsets, directions, anchors = said(
        (600, [5.0, 0, -1, 4, 1.6, 1.5, 0.1], 0, 0.6), (6, [0, 0, 0, 4, 2, 1, 0], 0, 0.9)
    )
    offsets[6, 3] = 1e4
    assert choose_boxes(logits, offsets, directions, anchors, DetectionRecipe()).score_D == pytest.approx([0.6])


box = st.tuples(
    *(st.floats(low, high) for low, high in ((0, 8), (-4, 4), (-2, 1), (0.3, 5), (0.3, 3), (0.5, 3), (-3, 3)))
)


@settings(max_examples=50)
@given(st.lists(box, max_size=12), st.sampled_from([0.01, 0.2, 0.6]), st.integers(1, 12))
def test_suppression_equals_a_slow_version(boxes, max_iou, most):
    shapely = pytest.importorskip("shapely")
    from shapely.affinity import rotate, translate

    flats = [
        translate(
            rotate(shapely.box(-length / 2, -width / 2, length / 2, width / 2), yaw, origin=(0, 0), use_radians=True),
            x,
            y,
        )
        for x, y, _, length, width, _, yaw in boxes
    ]
    kept = []
    for row, flat in enumerate(flats):
        ious = [flat.intersection(flats[k]).area / flat.union(flats[k]).area for k in kept]
        if any(abs(iou - max_iou) < 1e-6 for iou in ious):
            return  # too close to call
        if not any(iou > max_iou for iou in ious) and len(kept) < most:
            kept.append(row)
    assert suppress(np.array(boxes).reshape(-1, 7), max_iou, most).tolist() == kept
