"""W7, from stored keyframe to training sample: `python -m benchmarks.w7_loader`.

Keyframes of nuScenes' shape (34 000 points, six JPEGs of 1600 x 900, 20 000 pairs), one process on one core, everything
in the page cache. The reference reads the sweep, six JPEGs and six label PNGs at full size, projects the points through
four rigid steps a camera, divides the images in float64, crops and resizes them to 224 x 416 and voxelises. Ours reads
the packed keyframe with its pairs, labels and weights: with images cropped at every step (JPEGs decoded whole, or at a
reduced size), and without images, as recipes do that keep the teacher's features. What the loader does over a network,
beside the reference and WebDataset, is measured by `benchmarks.streaming`, and its rows are this benchmark's as well.
"""

from __future__ import annotations

import io
import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import compare, main, repeat, row

Read = Callable[[str], bytes]

NUM_KEYFRAMES, NUM_POINTS, NUM_PAIRS, NUM_CLASSES = 8, 34_000, 20_000, 17
HEIGHT, WIDTH, SIZE = 900, 1600, (224, 416)
NAMES = ("reference", "ours_full", "ours_reduced", "ours_no_images")


def run() -> list[dict[str, Any]]:
    """Rows: processor time and memory of a sample, then those from a server; the memory is what a worker adds."""
    from benchmarks import streaming

    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        found = compare("benchmarks.w7_loader", NAMES, "--folder", folder)
    theirs, rows = found["reference"], []
    for name in NAMES[1:]:
        ours = found[name]
        rows.append(row("W7", ours["cpu_ms"], theirs["cpu_ms"], 5.0, "ms of a core a sample", what=name))
        rows.append(row("W7", ours["peak_mb"], theirs["peak_mb"], 4.0, "MB", what=name))
    return rows + streaming.run()


def measure(contender: str, folder: str) -> dict[str, Any]:
    """One sample after the other, each keyframe in turn."""
    import torch

    torch.set_num_threads(1)
    sample = (
        reference(lambda name: Path(folder, name).read_bytes())
        if contender == "reference"
        else ours(Path(folder), contender)
    )
    numbers = itertools.cycle(range(NUM_KEYFRAMES))
    return repeat(lambda: sample(next(numbers)), fewest=NUM_KEYFRAMES)


def token(number: int) -> str:
    return f"{number + 1:08x}" * 4


def picture(rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """Smooth shapes with a little noise: a JPEG of it has about the size of a photograph's, 150 kB."""
    small = rng.integers(0, 256, (57, 100, 3), dtype=np.uint8)
    from PIL import Image

    wide = np.asarray(Image.fromarray(small).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)).astype(np.int16)
    return (wide + rng.integers(-6, 7, wide.shape)).clip(0, 255).astype(np.uint8)


def write(folder: Path, url: str = "", num_keyframes: int = NUM_KEYFRAMES) -> list[Any]:
    """Raw files as the reference reads them, and the same keyframes as packs in a store, in the folder or at `url`.

    From NUM_KEYFRAMES on keyframes have the bytes of earlier ones. Returns entries with all members of each keyframe.
    """
    from PIL import Image

    from olivine.artifacts import begin
    from olivine.drives import CAMERAS
    from olivine.packs import Entry, array_bytes, build_shard, index_bytes
    from olivine.store import open_store

    rng, made = np.random.default_rng(0), []
    entries, weights, members = [], [], []
    for number in range(NUM_KEYFRAMES):
        points_N5 = (rng.normal(0, 20, (NUM_POINTS, 5)) * [1, 1, 0.1, 1, 1]).astype(np.float32)
        points_N5.tofile(folder / f"{number}.bin")
        jpegs = {}
        for camera, name in enumerate(CAMERAS):
            buffer = io.BytesIO()
            Image.fromarray(picture(rng)).save(buffer, "JPEG", quality=75)
            jpegs[f"{name}.jpg"] = buffer.getvalue()
            (folder / f"{number}-{camera}.jpg").write_bytes(buffer.getvalue())
            labels = np.kron(rng.integers(0, NUM_CLASSES, (9, 16)), np.ones((100, 100))).astype(np.uint8)
            Image.fromarray(labels).save(folder / f"{number}-{camera}.png")
        pixel_M3 = rng.integers(0, (6, HEIGHT, WIDTH), (NUM_PAIRS, 3)).astype(np.int16)
        head = {
            "points.npy": array_bytes(points_N5[:, :4]),
            "pair_point.npy": array_bytes(rng.integers(0, NUM_POINTS, NUM_PAIRS).astype(np.int32)),
            "pair_pixel.npy": array_bytes(pixel_M3),
        }
        pair = {
            "pair_label.npy": array_bytes(rng.integers(0, NUM_CLASSES, NUM_PAIRS).astype(np.uint8)),
            "pair_weight.npy": array_bytes(rng.random(NUM_PAIRS).astype(np.float32)),
        }
        made.append((head, jpegs, pair))
    for number in range(num_keyframes):
        head, jpegs, pair = made[number % NUM_KEYFRAMES]
        entries.append(Entry(token(number), head, jpegs, {"split": "train", "scene": "scene"}))
        weights.append(Entry(token(number), pair))
        members.append(Entry(token(number), head | pair, jpegs))
    import pyarrow as pa

    store = open_store(url or str(folder / "store"))
    (folder / "store.url").write_text(store.url)
    columns = {"split": pa.string(), "scene": pa.string()}
    for stage, kind, packed, extra in (
        ("ingest", "drives", entries, columns),
        ("weigh", "density_weights", weights, {}),
    ):
        out: Any = begin(store, stage, kind, {}, {}, seed=0)
        data, rows = build_shard("shards/0.tar", packed)
        out.put("shards/0.tar", data)
        out.put("index.parquet", index_bytes(rows, extra))
        published = out.publish({"keyframes": num_keyframes}, {"image_size": [WIDTH, HEIGHT]}, ())
        (folder / f"{stage}.id").write_text(published.id)
    return members


def ours(folder: Path, contender: str) -> Callable[[int], Any]:
    """Samples as pretraining makes them, read from the store every time."""
    sources, epochs = packs(folder), itertools.count()

    def sample(number: int) -> Any:
        # Fresh, so that nothing is kept in memory from the epoch before.
        return samples_of(*sources, contender).batch([token(number)], next(epochs))

    return sample


def packs(folder: Path) -> tuple[Any, Any]:
    """The packed keyframes and weights that `write` has put into its store."""
    from olivine.artifacts import find_artifact
    from olivine.drives import Drives
    from olivine.packs import Pack
    from olivine.store import open_store

    store = open_store((folder / "store.url").read_text())
    drives, weights = (
        find_artifact(store, stage, (folder / f"{stage}.id").read_text()) for stage in ("ingest", "weigh")
    )
    return Drives(drives), Pack(weights)


def samples_of(drives: Any, weights: Any, contender: str) -> Any:
    """Pretraining's samples from what answers as `Drives` and `Pack` do."""
    from olivine.pretrain.samples import PretrainSamples, Sources
    from olivine.recipes import load_recipe

    images = contender != "ours_no_images"
    settings = [f"pretrain.augment_images.enabled={'true' if images else 'false'}"]
    if contender == "ours_reduced":
        settings.append("pretrain.augment_images.decode=reduced")
    recipe = load_recipe("olivine", settings).pretrain
    assert recipe is not None
    return PretrainSamples(Sources(drives, weights, None, None, NUM_CLASSES), recipe)


def reference(read: Read) -> Callable[[int], Any]:
    """The reference's loader, step by step; `read` gives the bytes of a file by name."""
    import torch
    from PIL import Image
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.functional import resized_crop

    from olivine.points.voxelize import voxelize
    from olivine.recipes import load_recipe

    recipe = load_recipe("olivine").pretrain
    assert recipe is not None
    network = recipe.network
    rng = np.random.default_rng(0)
    steps = [(np.eye(3), np.full(3, 0.1)) for _ in range(4)]
    intrinsic = np.array([[1266.0, 0, 800], [0, 1266, 450], [0, 0, 1]])

    def project(points_N3: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        moved = points_N3.T.astype(np.float64)
        for rotation, shift in steps:
            moved = rotation @ moved + shift[:, None]
        flat = intrinsic @ moved[[1, 2, 0]]
        pixel_N2 = (flat[:2] / flat[2]).T
        inside_N = (flat[2] > 1) & (pixel_N2 > 1).all(axis=1)
        inside_N &= (pixel_N2[:, 0] < WIDTH - 1) & (pixel_N2[:, 1] < HEIGHT - 1)
        return np.flatnonzero(inside_N), np.round(pixel_N2[inside_N]).astype(np.int32)

    def sample(number: int) -> Any:
        points_N5 = np.frombuffer(read(f"{number}.bin"), np.float32).reshape(-1, 5)
        images, labels, pairs = [], [], []
        for camera in range(6):
            image = np.array(Image.open(io.BytesIO(read(f"{number}-{camera}.jpg"))))
            mask = np.array(Image.open(io.BytesIO(read(f"{number}-{camera}.png"))))
            index_M, pixel_M2 = project(points_N5[:, :3])
            labels.append(mask[pixel_M2[:, 1], pixel_M2[:, 0]])
            images.append(image / 255)
            pairs.append((index_M, pixel_M2))
        whole = torch.tensor(np.array(images, dtype=np.float32)).permute(0, 3, 1, 2)
        crops = []
        for image in whole:
            height = int(rng.integers(500, HEIGHT))
            box = (0, 0, height, min(WIDTH, int(height * 1.7)))
            crops.append(resized_crop(image, *box, list(SIZE), InterpolationMode.BILINEAR, antialias=False))
        voxels = voxelize(
            points_N5[:, :4], network.coordinates, network.voxel_size, network.voxel_feature, network.intensity_scale
        )
        return torch.stack(crops), voxels, np.concatenate(labels), pairs

    return sample


if __name__ == "__main__":
    main(__doc__, run, measure, "folder")
