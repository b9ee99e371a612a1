"""The page of the similarity to an anchor: features as integers, and one script that draws the maps at a click."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olivine.report.birds_eye import encode_jpeg
from olivine.report.figures.similarity import SPACE_NAMES, Similarities, Space
from olivine.report.figures.similarity_maps import VIRIDIS, caption

_SCRIPT = Path(__file__).with_name("similarity.js")


@dataclass(frozen=True)
class Map:
    """One canvas: which pair of heads, and whether it shows `pixels` or `points`."""

    title: str
    space: int
    over: str


@dataclass(frozen=True)
class SimilarityPage:
    """What a template needs."""

    caption: str
    facts: list[str]
    maps: list[Map]
    data: str
    script: str


def similarity_page(given: Similarities) -> SimilarityPage:
    """The maps over pixels first, then those over points; each pair of heads in a column of its own."""
    maps = [
        Map(f"{SPACE_NAMES[space.name]}: {over}", number, over)
        for over in ("pixels", "points")
        for number, space in enumerate(given.spaces)
        if over == "points" or space.pixels_GD is not None
    ]
    # No name in it can end the element that it stands in.
    data = json.dumps(page_data(given), separators=(",", ":"), sort_keys=True).replace("<", "\\u003c")
    return SimilarityPage(caption(given), given.facts, maps, data, _SCRIPT.read_text())


def page_data(given: Similarities) -> dict[str, Any]:
    """Everything that the page's script reads, as JSON values: features as int8, about half a megabyte in all."""
    return {
        "image": encode_jpeg(given.image, "").src,
        "size": list(given.image.size),
        "grid": list(given.grid),
        "places": _base64((given.place_K2 * 65535).round().astype("<u2")),
        "labels": _base64(given.label_K),
        "names": given.label_names,
        "anchor": given.anchor,
        "viridis": [list(rgb) for rgb in VIRIDIS],
        "spaces": [_quantise(space) for space in given.spaces],
    }


def _quantise(space: Space) -> dict[str, Any]:
    """int8 features, one step for all of a space: a cosine is a sum of integer products times `step` squared."""
    parts = [space.points_KD, *([] if space.pixels_GD is None else [space.pixels_GD])]
    step = max(float(np.abs(part).max()) for part in parts) / 127 or 1.0
    whole = [_base64(np.rint(part / step).astype(np.int8)) for part in parts]
    return {
        "name": SPACE_NAMES[space.name],
        "dim": space.points_KD.shape[1],
        "step": step,
        "points": whole[0],
        "pixels": whole[1] if len(whole) > 1 else None,
    }


def _base64(array: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
