"""Instances of an image: boxes with their scores and masks, as a segmenter gave them and as they are kept.

Shapes: K instances, H x W pixels. A mask is kept as its runs: lengths of stretches of pixels, row by row, alternately
outside and inside of the mask and beginning outside (the first run may be 0).
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from olivine.errors import IntegrityError
from olivine.packs.parquet import read_parquet

Runs = NDArray[np.int32]

_SCHEMA = pa.schema(
    [
        ("keyframe", pa.string()),
        ("camera", pa.string()),
        ("category", pa.uint8()),
        ("prompt", pa.string()),
        ("score", pa.float32()),
        ("quality", pa.float32()),
        *((name, pa.float32()) for name in ("left", "top", "right", "bottom")),
        ("runs", pa.list_(pa.int32())),
    ]
)
_BOX = ("left", "top", "right", "bottom")


@dataclass(frozen=True)
class Instances:
    """What was found in one image.

    `box_K4` float32: left, top, right, bottom [pixels]; `score_K` float32 0..1: the detector's; `category_K` uint8:
    weak class ids; `quality_K` float32: the segmenter's own estimate of its mask's IoU; `prompts`: what was asked.
    """

    box_K4: NDArray[np.float32]
    score_K: NDArray[np.float32]
    category_K: NDArray[np.uint8]
    quality_K: NDArray[np.float32]
    prompts: list[str]
    runs: list[Runs]

    def __len__(self) -> int:
        return len(self.runs)


def none_found() -> Instances:
    """The instances of an image without any."""
    empty = np.zeros(0, np.float32)
    return Instances(np.zeros((0, 4), np.float32), empty, np.zeros(0, np.uint8), empty, [], [])


def encode_mask(mask_HW: NDArray[np.bool_]) -> Runs:
    """The runs of a mask."""
    flat = mask_HW.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs: Runs = np.diff(np.concatenate([[0], edges, [flat.size]])).astype(np.int32)
    return np.concatenate([np.zeros(1, np.int32), runs]) if flat.size and flat[0] else runs


def decode_mask(runs: Runs, size: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask bool [H, W] of its runs; `size` is (height, width).

    Raises:
        IntegrityError: the runs are not those of a mask of this size.
    """
    if runs.sum(dtype=np.int64) != size[0] * size[1] or (runs < 0).any():
        raise IntegrityError(f"{len(runs)} runs are no mask of {size[1]} x {size[0]} pixels. Label these drives again.")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(size)


def instances_bytes(rows: Iterable[tuple[str, str, Instances]]) -> bytes:
    """Instances of many images, (keyframe, camera, instances) each, as one Parquet file."""
    columns: dict[str, list[object]] = {name: [] for name in _SCHEMA.names}
    for keyframe, camera, found in rows:
        columns["keyframe"] += [keyframe] * len(found)
        columns["camera"] += [camera] * len(found)
        columns["category"] += found.category_K.tolist()
        columns["prompt"] += found.prompts
        columns["score"] += found.score_K.tolist()
        columns["quality"] += found.quality_K.tolist()
        for name, values_K in zip(_BOX, found.box_K4.T, strict=True):
            columns[name] += values_K.tolist()
        columns["runs"] += found.runs
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns, schema=_SCHEMA), buffer, compression="zstd")
    return buffer.getvalue()


def join_instances(files: Iterable[bytes]) -> bytes:
    """Several such files as one."""
    table = pa.concat_tables([read_parquet(data) for data in files]).combine_chunks()
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def read_instances(data: bytes, where: str) -> dict[tuple[str, str], Instances]:
    """Instances by (keyframe, camera); an image without any is not in it.

    Raises:
        IntegrityError: not such a file.
    """
    try:
        table = read_parquet(data).cast(_SCHEMA)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OSError, ValueError) as error:
        raise IntegrityError(f"{where}: no table of instances ({error}). Run the stage label again.") from error
    image = [
        f"{token}/{camera}" for token, camera in zip(*(_list(table, n) for n in ("keyframe", "camera")), strict=True)
    ]
    starts = [row for row in range(len(image)) if row == 0 or image[row] != image[row - 1]]
    return {
        (str(table["keyframe"][start]), str(table["camera"][start])): _slice(table.slice(start, end - start))
        for start, end in zip(starts, [*starts[1:], len(image)], strict=False)
    }


def _slice(table: pa.Table) -> Instances:
    return Instances(
        box_K4=np.stack([table[name].to_numpy() for name in _BOX], axis=1),
        score_K=table["score"].to_numpy(),
        category_K=table["category"].to_numpy(),
        quality_K=table["quality"].to_numpy(),
        prompts=_list(table, "prompt"),
        runs=[np.asarray(runs, np.int32) for runs in _list(table, "runs")],
    )


def _list(table: pa.Table, name: str) -> list[str]:
    values: list[str] = table[name].to_pylist()
    return values
