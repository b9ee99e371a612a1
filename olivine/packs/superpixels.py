"""Superpixels as the stage `label` stores them in the head of a keyframe's entry, and as pretraining reads them."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from olivine.errors import DataError
from olivine.packs.arrays import array_bytes, bytes_array

NO_SUPERPIXEL = 65_535
PAIR_MEMBER = "pair_superpixel.npy"
_MAP_MEMBER = "superpixels_{image}.png"


@dataclass(frozen=True)
class Superpixels:
    """`pair_superpixel_M` uint16 id, within its image, of the superpixel under each pair's pixel; `maps_IHW` uint16 ids
    of the six images, perhaps at a smaller size. 65 535 = none."""

    pair_superpixel_M: NDArray[np.uint16]
    maps_IHW: NDArray[np.uint16]


def superpixel_members(superpixels: Superpixels) -> dict[str, bytes]:
    """Members of an entry's head by name; maps as 16-bit PNGs."""
    members = {PAIR_MEMBER: array_bytes(superpixels.pair_superpixel_M.astype(np.uint16))}
    for image, map_HW in enumerate(superpixels.maps_IHW):
        buffer = io.BytesIO()
        Image.fromarray(map_HW.astype(np.uint16)).save(buffer, "png", compress_level=3)
        members[_MAP_MEMBER.format(image=image)] = buffer.getvalue()
    return members


def read_superpixels(head: dict[str, bytes]) -> Superpixels:
    """The superpixels in a head.

    Raises:
        DataError: the weak labels were made without superpixels.
    """
    if PAIR_MEMBER not in head:
        raise DataError("the weak labels hold no superpixels: label with label.superpixels=slic or masks.")
    names = [_MAP_MEMBER.format(image=image) for image in range(6)]
    maps = []
    for name in names:
        with Image.open(io.BytesIO(head[name])) as image:
            maps.append(np.asarray(image).astype(np.uint16))
    return Superpixels(bytes_array(head[PAIR_MEMBER]), np.stack(maps))
