"""The labelers behind one seam: a keyframe goes in, one weak-label mask an image (or pair labels alone) comes out."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from olivine.drives import CAMERAS, Drives, Keyframe
from olivine.errors import ConfigError, DataError, IntegrityError, UsageError
from olivine.label.class_list import IGNORE_ID, ClassList, load_class_list
from olivine.label.compose import Composite
from olivine.label.instances import Instances
from olivine.label.recipe import LabelRecipe
from olivine.label.simulate import simulate_masks


@dataclass(frozen=True)
class Labels:
    """Weak labels of one keyframe.

    `pair_label_M` uint8 class ids, 255 unlabelled; `masks` one uint8 [height, width] an image in the order of CAMERAS,
    or None where the labeler knows points alone. `found` is one an image too, where the labeler knows instances.
    """

    pair_label_M: NDArray[np.uint8]
    masks: list[NDArray[np.uint8]] | None
    found: list[Found] | None = None


@dataclass(frozen=True)
class Found:
    """What stands behind the mask of one image: its instances, and what was composed of them."""

    instances: Instances
    composite: Composite


class Labeler(Protocol):
    """Labels keyframes. `kind` is shown beside every result that rests on its labels.

    `is_slow`: a killed run keeps every keyframe that it has labelled, not only whole shards.
    """

    kind: str
    classes: ClassList
    is_slow: bool

    def label(self, drives: Drives, keyframe: Keyframe) -> Labels:
        """Weak labels of one keyframe; DataError when it cannot be labelled."""
        ...


class TruthLabeler:
    """Hand labels as weak labels: the upper bound of the paper's Table 6a."""

    kind = "truth"
    is_slow = False

    def __init__(self, recipe: LabelRecipe) -> None:
        self.classes = load_class_list(recipe.classes)
        self._lookup = self.classes.from_nuscenes()

    def label(self, drives: Drives, keyframe: Keyframe) -> Labels:
        """The hand label of each pair's point."""
        return Labels(self._lookup[drives.lidarseg(keyframe.token)[keyframe.pair_point_M]], None)


class ImportLabeler:
    """Masks made elsewhere: one 8-bit PNG an image, at the image's own path with .png for .jpg."""

    kind = "import"
    is_slow = False

    def __init__(self, recipe: LabelRecipe) -> None:
        if recipe.folder is None:
            raise UsageError(
                "the labeler import reads PNG masks made elsewhere: say where, --set label.folder=FOLDER, or take "
                "another one, --set label.labeler=grounded_sam, truth, simulated or none; docs/labels.md says which."
            )
        if not Path(recipe.folder).is_dir():
            raise UsageError(f"label.folder: {recipe.folder} is not a folder. Give the folder of the PNG masks.")
        self.classes = load_class_list(recipe.classes)
        self._folder = Path(recipe.folder)
        self._valid = np.zeros(256, bool)
        self._valid[[item.id for item in self.classes.classes] + [IGNORE_ID]] = True
        self._meaning = np.arange(256, dtype=np.uint8)
        if recipe.trap == "ignore":
            if self.classes.trap is None:
                raise UsageError(f"label.trap=ignore: class list {self.classes.name!r} has no id with two meanings.")
            self._meaning[self.classes.trap.id] = IGNORE_ID

    def label(self, drives: Drives, keyframe: Keyframe) -> Labels:
        """Read the six masks and look up each pair's pixel."""
        cameras = {camera["name"]: camera for camera in drives.meta(keyframe.token)["cameras"]}
        masks = [self._read(cameras[name]["file"], drives.image_size) for name in CAMERAS]
        return Labels(pair_labels(masks, keyframe), masks)

    def _read(self, image_file: str, image_size: tuple[int, int]) -> NDArray[np.uint8]:
        # The image's path below `samples/`; its stem is what the file contract keeps.
        path = self._folder / Path(*Path(image_file).parts[1:]).with_suffix(".png")
        try:
            with Image.open(path) as image:
                if image.mode not in ("L", "P") or image.size != image_size:
                    raise DataError(f"{path}: {image.mode} {image.size}, but an 8-bit mask of {image_size} is needed.")
                mask = np.asarray(image, np.uint8)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise DataError(f"{path}: no readable mask ({error}). Label this image again.") from error
        unknown = np.unique(mask[~self._valid[mask]])
        if unknown.size:
            raise DataError(f"{path}: ids {unknown[:8].tolist()} are not in class list {self.classes.name!r}.")
        return self._meaning[mask]


class SimulatedLabeler:
    """Perturbed renderings of synthetic drives. Not a real label generator, and named so wherever it matters."""

    kind = "simulated"
    is_slow = False

    def __init__(self, recipe: LabelRecipe) -> None:
        self.classes = load_class_list(recipe.classes)
        self._recipe = recipe

    def label(self, drives: Drives, keyframe: Keyframe) -> Labels:
        """Perturb the six rendered category images and look up each pair's pixel."""
        try:
            rendered = drives.simulation(keyframe.token)
        except IntegrityError:
            raise
        except DataError as error:
            raise ConfigError(f"labeler simulated works on synthetic drives alone: {error}") from error
        masks = [
            simulate_masks(
                _png(rendered[f"{camera}.category.png"]),
                _png(rendered[f"{camera}.instance.png"]),
                self.classes,
                self._recipe.simulated,
                (self._recipe.seed, keyframe.token, camera),
            )
            for camera in CAMERAS
        ]
        return Labels(pair_labels(masks, keyframe), masks)


class NoLabeler:
    """No category at all: for methods that need superpixels alone."""

    kind = "none"
    is_slow = False

    def __init__(self, recipe: LabelRecipe) -> None:
        self.classes = load_class_list(recipe.classes)

    def label(self, drives: Drives, keyframe: Keyframe) -> Labels:
        """Every pair unlabelled."""
        return Labels(np.full(len(keyframe.pair_point_M), IGNORE_ID, np.uint8), None)


class ShuffledLabeler:
    """A control, not a labeler: the masks of a keyframe are those of the one half the drives away."""

    # What is kept of a keyframe goes by its own bytes, and these labels come from another one's.
    is_slow = False

    def __init__(self, inner: Labeler) -> None:
        self._inner, self.kind, self.classes = inner, inner.kind, inner.classes

    def label(self, drives: Drives, keyframe: Keyframe) -> Labels:
        """The masks of the other keyframe, looked up at this one's pairs."""
        tokens = drives.tokens()
        other = tokens[(tokens.index(keyframe.token) + len(tokens) // 2) % len(tokens)]
        masks = self._inner.label(drives, drives.keyframe(other)).masks
        if masks is None:
            raise UsageError(f"label.shuffled needs masks, and the labeler {self.kind} makes none: leave it out.")
        return Labels(pair_labels(masks, keyframe), masks)


def make_labeler(recipe: LabelRecipe) -> Labeler:
    """The labeler of a recipe.

    Raises:
        UsageError: a class list or folder that is not there. What `load_detector` raises, for `grounded_sam`.
    """
    if recipe.labeler == "grounded_sam":
        # Here, so that the other labelers need nothing that it needs.
        from olivine.label.grounded import GroundedSamLabeler

        labeler: Labeler = GroundedSamLabeler(recipe)
    else:
        labeler = LABELERS[recipe.labeler](recipe)
    return ShuffledLabeler(labeler) if recipe.shuffled else labeler


def pair_labels(masks: list[NDArray[np.uint8]], keyframe: Keyframe) -> NDArray[np.uint8]:
    """The mask's id under each pair's pixel, read at full resolution before any crop (reference code)."""
    image, row, column = keyframe.pair_pixel_M3.T
    label_M: NDArray[np.uint8] = np.stack(masks)[image, row, column]
    return label_M


def _png(data: bytes) -> NDArray[np.int32]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image).astype(np.int32)


LABELERS: dict[str, type[TruthLabeler] | type[ImportLabeler] | type[SimulatedLabeler] | type[NoLabeler]] = {
    "import": ImportLabeler,
    "truth": TruthLabeler,
    "simulated": SimulatedLabeler,
    "none": NoLabeler,
}
