"""Write keyframes into one tar shard: each a run of whole tar members, so that a range of it is a small tar itself.

A keyframe's members are its *head* (arrays that training always reads) and then its *tail* (images, masks). Reading
`head_length` bytes gives the head alone, `length` bytes the whole keyframe.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from olivine.artifacts.digest import sha256_hex

_BLOCK_BYTES = 512


@dataclass(frozen=True)
class Entry:
    """One keyframe to pack: member suffix (`points.npy`) to bytes, and further index columns."""

    keyframe: str
    head: dict[str, bytes]
    tail: dict[str, bytes] = field(default_factory=dict)
    columns: dict[str, Any] = field(default_factory=dict)


def build_shard(path: str, entries: Iterable[Entry]) -> tuple[bytes, list[dict[str, Any]]]:
    """The bytes of a shard and one index row for each of its entries.

    The same entries give the same bytes: members carry no times, owners or modes of the machine.
    """
    buffer = io.BytesIO()
    rows = []
    for entry in entries:
        offset = buffer.tell()
        head, tail = (
            b"".join(_member(f"{entry.keyframe}.{suffix}", data) for suffix, data in part.items())
            for part in (entry.head, entry.tail)
        )
        buffer.write(head + tail)
        rows.append(
            {
                "keyframe": entry.keyframe,
                "shard": path,
                "offset": offset,
                "length": len(head) + len(tail),
                "sha256": sha256_hex(head + tail),
                "head_length": len(head),
                "head_sha256": sha256_hex(head),
                **entry.columns,
            }
        )
    # Two empty blocks end a tar file.
    buffer.write(b"\0" * (2 * _BLOCK_BYTES))
    return buffer.getvalue(), rows


def split_members(segment: bytes) -> dict[str, bytes]:
    """The members of a range of a shard, by suffix (the name after the keyframe's token)."""
    members: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(segment), mode="r:") as archive:
        for info in archive:
            file = archive.extractfile(info)
            members[info.name.split(".", 1)[1]] = file.read() if file else b""
    return members


def _member(name: str, data: bytes) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    header = info.tobuf(tarfile.USTAR_FORMAT)
    return header + data + b"\0" * (-len(data) % _BLOCK_BYTES)
