"""Packed keyframes: tar shards that `tar` and WebDataset read, and a Parquet index for one range read a keyframe."""

from olivine.packs.arrays import array_bytes, bytes_array
from olivine.packs.cache import DiskCache
from olivine.packs.index import INDEX_COLUMNS, PackIndex, index_bytes
from olivine.packs.pack import Pack
from olivine.packs.shard import Entry, build_shard

__all__ = [
    "INDEX_COLUMNS",
    "DiskCache",
    "Entry",
    "Pack",
    "PackIndex",
    "array_bytes",
    "build_shard",
    "bytes_array",
    "index_bytes",
]
