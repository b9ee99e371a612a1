"""From packed keyframes to samples: augment, give points their rows, let pairs and segments follow, collate.

Nothing random is kept between samples: each draws from a generator seeded by (seed, epoch, keyframe), so a resumed run
and any number of processes see the same samples.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from olivine.artifacts import sha256_hex
from olivine.drives import CAMERAS, Drives, Keyframe
from olivine.models.cloud import Cloud, collate, row_offsets
from olivine.models.network import prepare_cloud
from olivine.packs import Pack, bytes_array
from olivine.packs.superpixels import NO_SUPERPIXEL, read_superpixels
from olivine.points.augment import drop_cuboid, remap_pairs, rotate_flip
from olivine.points.occlusion import visible_pairs
from olivine.points.voxelize import radial_index
from olivine.pretrain.batch import LaterSweep, PretrainBatch, SecondView, Segments
from olivine.pretrain.images import decode_crop, draw_crop
from olivine.pretrain.labels import batch_weights, resolve_labels
from olivine.pretrain.recipe import PretrainRecipe
from olivine.pretrain.views import carry_segments, match_views, point_segments
from olivine.store import Traffic

_CACHED_KEYFRAMES = 256


@dataclass(frozen=True)
class Sources:
    """The packs that samples are read from. `features` is None for a method without images and for images that are
    encoded at every step; `labels` is None unless superpixels or confidences are read."""

    drives: Drives
    weights: Pack
    features: Pack | None
    labels: Pack | None
    num_classes: int


@dataclass(frozen=True)
class _Pairs:
    """Pairs of one keyframe, row by row the same. `segment_M` counts within the image, -1 for none."""

    point_M: NDArray[np.int32]
    pixel_M3: NDArray[Any]
    label_M: NDArray[np.uint8]
    weight_M: NDArray[np.float32]
    segment_M: NDArray[np.int64]

    def keep(self, keep_M: NDArray[np.bool_]) -> _Pairs:
        """Some of the pairs."""
        return _Pairs(*(array[keep_M] for array in vars(self).values()))


@dataclass(frozen=True)
class _Stored:
    """What is stored of one keyframe; `jpegs` where images are cropped at every step."""

    keyframe: Keyframe
    jpegs: list[bytes]
    pairs: _Pairs
    maps_ICHW: NDArray[np.float16] | None
    superpixels_IHW: NDArray[np.uint16] | None


@dataclass(frozen=True)
class _Sample:
    """One augmented keyframe, before collation."""

    raw_N4: NDArray[np.float32]
    cloud: Cloud
    pairs: _Pairs
    maps_ICHW: NDArray[np.float16] | None
    images_IHW3: Tensor | None
    superpixels_IHW: NDArray[np.uint16] | None
    view: Cloud | None
    matches_K2: NDArray[np.int64] | None
    later: Cloud | None
    later_segment_P: NDArray[np.int64] | None


class PretrainSamples:
    """Samples and batches by keyframe token."""

    def __init__(self, sources: Sources, recipe: PretrainRecipe) -> None:
        self._sources, self._recipe = sources, recipe
        width, height = sources.drives.image_size
        self._full_size = (height, width)
        self._crop_size = (recipe.encoder.height, recipe.encoder.width)
        # JPEGs are large, and one range read brings them with all else: then nothing is kept.
        kept = 0 if recipe.augment_images.enabled else _CACHED_KEYFRAMES
        self._stored = functools.lru_cache(maxsize=kept)(self._load)
        self.hidden_pairs: dict[str, int] = {}
        self._later = later_keyframes(sources.drives, recipe.temporal.keyframes_ahead)

    def __reduce__(self) -> tuple[type[PretrainSamples], tuple[Sources, PretrainRecipe]]:
        """What was read stays behind: a worker process reads its own."""
        return PretrainSamples, (self._sources, self._recipe)

    @property
    def traffic(self) -> Traffic:
        """What this process read from the store."""
        return self._sources.drives.artifact.store.traffic

    def batch(self, tokens: list[str], epoch: int) -> PretrainBatch:
        """The batch of these keyframes in this epoch."""
        samples = [self._sample(token, epoch) for token in tokens]
        rows = row_offsets([sample.cloud for sample in samples])
        augmented = self._recipe.augment_images.enabled
        batch = PretrainBatch(
            clouds=collate([sample.cloud for sample in samples]),
            pair_row_M=_join(
                [sample.cloud.row_N[sample.pairs.point_M] + row for sample, row in zip(samples, rows, strict=True)]
            ),
            pixel_M3=_join(
                [sample.pairs.pixel_M3 + np.array([6 * place, 0, 0]) for place, sample in enumerate(samples)]
            ),
            label_M=_join([sample.pairs.label_M.astype(np.int64) for sample in samples]),
            weight_M=self._weights(samples),
            num_keyframes=len(samples),
            image_size=self._crop_size if augmented else self._full_size,
            keys=tuple(int(sha256_hex(token.encode())[:15], 16) for token in tokens),
            maps_ICHW=_join_given([sample.maps_ICHW for sample in samples]),
            images_IHW3=torch.cat([s.images_IHW3 for s in samples if s.images_IHW3 is not None]) if augmented else None,
        )
        return replace(batch, **_extras(samples, rows))

    def _weights(self, samples: Sequence[_Sample]) -> Tensor:
        if self._recipe.sampling == "precomputed":
            return _join([sample.pairs.weight_M.astype(np.float64) for sample in samples])
        radial = [
            radial_index(sample.raw_N4[:, :3], self._recipe.radial_bin_m, self._recipe.radial_rounding)[
                sample.pairs.point_M
            ]
            for sample in samples
        ]
        label_M = np.concatenate([sample.pairs.label_M for sample in samples])
        return torch.from_numpy(batch_weights(np.concatenate(radial), label_M, self._recipe))

    def _load(self, token: str) -> _Stored:
        sources, head = self._sources, self._sources.weights.head(token)
        drives, label_M = sources.drives, bytes_array(head["pair_label.npy"])
        augmented = self._recipe.augment_images.enabled
        keyframe, jpegs = drives.keyframe_and_images(token) if augmented else (drives.keyframe(token), [])
        confidence_M, segment_M, superpixels_IHW = None, np.full(len(label_M), -1), None
        if sources.labels:
            weak = sources.labels.head(token)
            confidence_M = bytes_array(weak["pair_confidence.npy"])
            if self._recipe.needs_superpixels:
                superpixels = read_superpixels(weak)
                id_M = superpixels.pair_superpixel_M
                segment_M, superpixels_IHW = (
                    np.where(id_M == NO_SUPERPIXEL, -1, id_M.astype(np.int64)),
                    superpixels.maps_IHW,
                )
        pairs = _Pairs(
            keyframe.pair_point_M,
            keyframe.pair_pixel_M3,
            resolve_labels(label_M, confidence_M, sources.num_classes, self._recipe),
            bytes_array(head["pair_weight.npy"]),
            segment_M,
        )
        if self._recipe.occlusion.enabled:
            pairs = pairs.keep(self._visible(keyframe))
        maps = bytes_array(sources.features.head(token)["maps.npy"]) if sources.features else None
        return _Stored(keyframe, jpegs, pairs, maps, superpixels_IHW)

    def _visible(self, keyframe: Keyframe) -> NDArray[np.bool_]:
        """Pairs that the camera sees, bool [M]; `hidden_pairs` counts the others."""
        cameras = self._sources.drives.meta(keyframe.token)["cameras"]
        # The third row of each camera's transform gives the depth.
        depth_row_I4 = np.array([camera["lidar_to_camera_44"][2] for camera in cameras])[keyframe.pair_pixel_M3[:, 0]]
        xyz_M3 = keyframe.points_N4[keyframe.pair_point_M, :3]
        depth_M = (depth_row_I4[:, :3] * xyz_M3).sum(axis=1) + depth_row_I4[:, 3]
        recipe = self._recipe.occlusion
        visible_M = visible_pairs(depth_M, keyframe.pair_pixel_M3, recipe.cell_px, recipe.tolerance)
        self.hidden_pairs[keyframe.token] = int((~visible_M).sum())
        return visible_M

    def _sample(self, token: str, epoch: int) -> _Sample:
        stored, recipe = self._stored(token), self._recipe
        rng = np.random.default_rng((recipe.seed, epoch, int(token[:8], 16)))
        raw_N4, pairs = stored.keyframe.points_N4, stored.pairs
        points_N4 = rotate_flip(raw_N4, rng)
        keep_N = drop_cuboid(
            points_N4,
            pairs.point_M,
            pairs.pixel_M3[:, 0],
            rng,
            recipe.drop_cuboid_share,
            recipe.drop_cuboid_min_pairs,
        )
        if keep_N is not None:
            keep_M, point_M = remap_pairs(pairs.point_M, keep_N)
            points_N4, raw_N4, pairs = points_N4[keep_N], raw_N4[keep_N], replace(pairs.keep(keep_M), point_M=point_M)
        cloud = prepare_cloud(points_N4, recipe.network, rng)
        pairs = pairs.keep(cloud.row_N[pairs.point_M] >= 0)
        images, superpixels = None, stored.superpixels_IHW
        if recipe.augment_images.enabled:
            pairs, images, superpixels = self._augment_images(stored.jpegs, pairs, superpixels, rng)
        view = prepare_cloud(rotate_flip(raw_N4, rng), recipe.network, rng) if recipe.needs_second_view else None
        return _Sample(
            # Distances do not change with the augmentation, but for rounding.
            raw_N4=raw_N4,
            cloud=cloud,
            pairs=pairs,
            maps_ICHW=stored.maps_ICHW,
            images_IHW3=images,
            superpixels_IHW=superpixels,
            view=view,
            matches_K2=match_views(cloud, view, recipe.num_pairs, rng) if view else None,
            **self._later_sweep(token, raw_N4, pairs, rng),
        )

    def _augment_images(
        self, jpegs: list[bytes], pairs: _Pairs, superpixels_IHW: NDArray[np.uint16] | None, rng: np.random.Generator
    ) -> tuple[_Pairs, Tensor, NDArray[np.uint16] | None]:
        """Crops and flips of the six images; pairs whose pixel is cut away go."""
        recipe = self._recipe.augment_images
        pixel_M3, keep_M = pairs.pixel_M3.astype(np.int64), np.zeros(len(pairs.label_M), bool)
        images, maps = [], []
        for image, jpeg in enumerate(jpegs):
            mine = np.flatnonzero(pixel_M3[:, 0] == image)
            crop = draw_crop(pixel_M3[mine, 1:], self._full_size, self._crop_size, recipe, rng)
            pixel_M3[mine, 1:], keep_M[mine] = crop.map_pixels(pixel_M3[mine, 1:])
            images.append(decode_crop(jpeg, crop, recipe))
            if superpixels_IHW is not None:
                maps.append(crop.cut_map(superpixels_IHW[image], self._full_size))
        return replace(pairs, pixel_M3=pixel_M3).keep(keep_M), torch.stack(images), np.stack(maps) if maps else None

    def _later_sweep(
        self, token: str, raw_N4: NDArray[np.float32], pairs: _Pairs, rng: np.random.Generator
    ) -> dict[str, Any]:
        """The later sweep's cloud and the segment of each of its points, numbered through the sample's six images."""
        if not self._recipe.temporal.weight:
            return {"later": None, "later_segment_P": None}
        drives, later = self._sources.drives, self._later.get(token)
        # The last keyframe of a scene has none after it: its own sweep gives no point a segment.
        later_P4 = drives.keyframe(later or token).points_N4
        segment_P = np.full(len(later_P4), -1)
        if later:
            poses = [np.array(drives.meta(name)["lidar_to_global_44"]) for name in (token, later)]
            moved_44 = np.linalg.inv(poses[0]) @ poses[1]
            there_P3 = later_P4[:, :3] @ moved_44[:3, :3].T + moved_44[:3, 3]
            code_M = np.where(pairs.segment_M < 0, -1, pairs.segment_M * 6 + pairs.pixel_M3[:, 0])
            segment_N = point_segments(pairs.point_M, code_M, len(raw_N4))
            segment_P = carry_segments(raw_N4[:, :3], segment_N, there_P3, self._recipe.temporal.cell_m)
        return {
            "later": prepare_cloud(rotate_flip(later_P4, rng), self._recipe.network, rng),
            "later_segment_P": segment_P,
        }


def later_keyframes(drives: Drives, ahead: int) -> dict[str, str]:
    """The keyframe `ahead` places later in the scene of each keyframe that has one."""
    tokens, scenes = drives.tokens(), drives.column("scene")
    return {
        token: later for token, later in zip(tokens, tokens[ahead:], strict=False) if scenes[token] == scenes[later]
    }


def _extras(samples: Sequence[_Sample], rows: NDArray[np.int64]) -> dict[str, Any]:
    """Segments, second views and later sweeps, where the samples have them."""
    extras: dict[str, Any] = {}
    segments, offsets = _number_segments(samples)
    if segments:
        extras["segments"] = segments
    if samples[0].view is not None:
        views = [sample.view for sample in samples if sample.view]
        matches = [sample.matches_K2 for sample in samples if sample.matches_K2 is not None]
        starts = np.stack([rows, row_offsets(views)], axis=1)
        matched_K2 = _join([match_K2 + start for match_K2, start in zip(matches, starts, strict=True)])
        extras["view"] = SecondView(collate(views), matched_K2[:, 0], matched_K2[:, 1])
    if samples[0].later is not None:
        extras["later"] = _join_later(samples, offsets)
    return extras


def _number_segments(samples: Sequence[_Sample]) -> tuple[Segments | None, NDArray[np.int64]]:
    """Superpixels of all images numbered through, and the first number of each image int64 [B, 6]."""
    if samples[0].superpixels_IHW is None:
        return None, np.zeros((len(samples), len(CAMERAS)), np.int64)
    maps_IHW = np.concatenate([sample.superpixels_IHW for sample in samples if sample.superpixels_IHW is not None])
    ids_IHW = np.where(maps_IHW == NO_SUPERPIXEL, -1, maps_IHW.astype(np.int64))
    pair_ids = [sample.pairs.segment_M for sample in samples]
    pair_image = [sample.pairs.pixel_M3[:, 0].astype(np.int64) + 6 * place for place, sample in enumerate(samples)]
    image_M, id_M = np.concatenate(pair_image), np.concatenate(pair_ids)
    # Small maps may lack a segment that a pair lies in.
    sizes_I = ids_IHW.reshape(len(ids_IHW), -1).max(axis=1) + 1
    np.maximum.at(sizes_I, image_M, id_M + 1)
    first_I = np.cumsum(np.concatenate([[0], sizes_I]))
    pair_M = np.where(id_M < 0, -1, id_M + first_I[image_M])
    numbered_IHW = np.where(ids_IHW < 0, -1, ids_IHW + first_I[:-1, None, None])
    segments = Segments(torch.from_numpy(pair_M), torch.from_numpy(numbered_IHW), int(first_I[-1]))
    return segments, first_I[:-1].reshape(len(samples), -1)


def _join_later(samples: Sequence[_Sample], offsets_B6: NDArray[np.int64]) -> LaterSweep:
    clouds = [sample.later for sample in samples if sample.later]
    row_lists, segment_lists = [], []
    for place, (sample, row) in enumerate(zip(samples, row_offsets(clouds), strict=True)):
        assert sample.later is not None
        assert sample.later_segment_P is not None
        seen = np.flatnonzero((sample.later_segment_P >= 0) & (sample.later.row_N >= 0))
        code = sample.later_segment_P[seen]
        row_lists.append(sample.later.row_N[seen] + row)
        segment_lists.append(code // 6 + offsets_B6[place][code % 6])
    return LaterSweep(collate(clouds), _join(row_lists), _join(segment_lists))


def _join(arrays: Sequence[NDArray[Any]]) -> Tensor:
    return torch.from_numpy(np.concatenate(arrays))


def _join_given(arrays: Sequence[NDArray[Any] | None]) -> Tensor | None:
    given = [array for array in arrays if array is not None]
    return _join(given).float() if given else None
