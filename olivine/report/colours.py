"""Colours of classes: those of the benchmark for hand labels, and the nearest of them for weak classes."""

from __future__ import annotations

import colorsys
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olivine.artifacts import Artifact
from olivine.drives.classes import class_colours, class_names
from olivine.nuscenes_categories import CATEGORY_COLORS, CATEGORY_NAMES
from olivine.report.birds_eye import Picture
from olivine.report.palette import RGB, Palette, safe_colours

RIGHT, WRONG = (180, 180, 186), (214, 28, 44)
UNLABELLED, NOT_SEEN = (150, 150, 156), (226, 226, 230)
_BACKGROUND = (120, 120, 140)
_GOLDEN = 0.618034


@dataclass(frozen=True)
class Swatch:
    """One entry of a legend: a name, its colour, and its colour in the safe palette where it has both."""

    name: str
    rgb: RGB
    safe: RGB | None = None

    @property
    def css(self) -> str:
        """The colour as a style sheet writes it."""
        return _css(self.rgb)

    @property
    def style(self) -> str:
        """Its colours as properties between which the style sheet chooses (class `hue`)."""
        return f"--official:{self.css}" + (f";--safe:{_css(self.safe)}" if self.safe else "")


def _css(rgb: RGB) -> str:
    return "#{:02x}{:02x}{:02x}".format(*rgb)


def _in_both_palettes(names: Iterable[str], official: Sequence[RGB]) -> list[Swatch]:
    return [Swatch(*entry) for entry in zip(names, official, safe_colours(official), strict=True)]


CATEGORIES = tuple(_in_both_palettes(CATEGORY_NAMES, CATEGORY_COLORS))
"""The classes 1..16 of nuScenes in order."""


def hand_classes(drives: Artifact) -> list[Swatch]:
    """The classes 1, 2, ... of the hand labels, each in the colour that its data set gives it, or in one of its own."""
    official = [rgb or _spread_hue(number) for number, rgb in enumerate(class_colours(drives.manifest))]
    return _in_both_palettes(class_names(drives.manifest), official)


def _spread_hue(number: int) -> RGB:
    """Colours that keep apart however many there are: hues by the golden ratio, in three lightnesses."""
    red, green, blue = colorsys.hls_to_rgb(number * _GOLDEN % 1, (0.42, 0.58, 0.3)[number % 3], 0.7)
    return round(255 * red), round(255 * green), round(255 * blue)


def weak_classes(weak_labels: Artifact) -> list[Swatch]:
    """The weak classes in the order of their ids, each in the colour of the first category that it covers."""
    colours = {swatch.name: swatch.rgb for swatch in CATEGORIES}
    listed = _class_list(weak_labels)
    official = [colours[item["nuscenes"][0]] if item["nuscenes"] else _BACKGROUND for item in listed]
    return _in_both_palettes([item["name"] for item in listed], official)


def recolour(swatches: Iterable[Swatch], palette: Palette) -> list[Swatch]:
    """The legend in one palette alone."""
    return [Swatch(swatch.name, swatch.safe or swatch.rgb if palette == "safe" else swatch.rgb) for swatch in swatches]


def draw_in_palettes(draw: Callable[[Sequence[Swatch]], Picture], swatches: Sequence[Swatch]) -> Picture:
    """What `draw` makes of classes in their colours; where they have safe ones, in those too."""
    picture = draw(swatches)
    if not any(swatch.safe for swatch in swatches):
        return picture
    return replace(picture, safe_src=draw(recolour(swatches, "safe")).src)


def covered_by(weak_labels: Artifact) -> NDArray[np.uint8]:
    """Look-up uint8 [17] from category (0 = ignore) to the weak class that covers it, 255 where none does."""
    table = np.full(len(CATEGORY_NAMES) + 1, 255, np.uint8)
    for item in _class_list(weak_labels):
        for name in item["nuscenes"]:
            table[CATEGORY_NAMES.index(name) + 1] = item["id"]
    return table


def _class_list(weak_labels: Artifact) -> list[dict[str, Any]]:
    """Classes by id: `id`, `name`, and the `nuscenes` categories that each covers."""
    listed: list[dict[str, Any]] = json.loads(weak_labels.read("classes.json"))["classes"]
    return listed


def right_or_wrong(right_N: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Colours uint8 [N, 3] of an error map: grey where right, red where wrong (paper, figure 3)."""
    return np.array([WRONG, RIGHT], np.uint8)[right_N.astype(np.intp)]


def colour_table(swatches: Sequence[Swatch], first_id: int) -> NDArray[np.uint8]:
    """Look-up uint8 [256, 3] from class id to colour; `UNLABELLED` for ids without one."""
    table = np.full((256, 3), UNLABELLED, np.uint8)
    table[first_id : first_id + len(swatches)] = [swatch.rgb for swatch in swatches]
    return table
