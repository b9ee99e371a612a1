"""Superpixels as the stage `label` stores them in the head of a keyframe's entry, and as pretraining reads them."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from olivine.errors import DataError, IntegrityError
from olivine.packs.arrays import array_bytes, bytes_array

NO_SUPERPIXEL = 65_535
PAIR_MEMBER = "pair_superpixel.npy"
_NUM_IMAGES = 6


@dataclass(frozen=True)
class Superpixels:
    """Superpixels of one keyframe, numbered 0, 1, 2, ... in each image; 65 535 = none.

    `pair_superpixel_M` uint16: the superpixel, in its own image, under each pair's pixel, read at full resolution.
    `maps_IHW` uint16: the six images, perhaps at a smaller size, where a small superpixel may be missing.
    """

    pair_superpixel_M: NDArray[np.uint16]
    maps_IHW: NDArray[np.uint16]


def superpixel_members(superpixels: Superpixels) -> dict[str, bytes]:
    """Members of an entry's head by name; maps as 16-bit PNGs."""
    members = {PAIR_MEMBER: array_bytes(superpixels.pair_superpixel_M)}
    for image, map_HW in enumerate(superpixels.maps_IHW):
        buffer = io.BytesIO()
        Image.fromarray(map_HW).save(buffer, "png", compress_level=3)
        members[_map_member(image)] = buffer.getvalue()
    return members


def read_superpixels(head: dict[str, bytes]) -> Superpixels:
    """The superpixels in a head.

    Raises:
        DataError: the weak labels were made without superpixels. IntegrityError: they are not what was written.
    """
    if PAIR_MEMBER not in head:
        raise DataError("the weak labels hold no superpixels: label with label.superpixels=slic or masks.")
    maps = [_read_map(head.get(_map_member(image), b""), _map_member(image)) for image in range(_NUM_IMAGES)]
    return Superpixels(bytes_array(head[PAIR_MEMBER]), np.stack(maps))


def _map_member(image: int) -> str:
    return f"superpixels_{image}.png"


def _read_map(data: bytes, name: str) -> NDArray[np.uint16]:
    try:
        with Image.open(io.BytesIO(data)) as image:
            # In 8 bits the ids above 255 would be others.
            if image.mode != "I;16":
                raise IntegrityError(f"{name}: not a 16-bit map but {image.mode}. Run the stage label again.")
            map_HW: NDArray[np.uint16] = np.array(image, np.uint16)
    except (OSError, ValueError, SyntaxError) as error:
        raise IntegrityError(f"{name}: no readable superpixel map ({error}). Run the stage label again.") from error
    return map_HW
