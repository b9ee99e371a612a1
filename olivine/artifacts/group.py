"""A group of shards: the share of one of several processes that work for one artifact and meet in its store alone."""

from __future__ import annotations

import re
from dataclasses import dataclass

from olivine.errors import UsageError


@dataclass(frozen=True)
class Group:
    """The `number`-th of `of` groups, counted from 1. As a text, in the parameter of a step: `3/8`."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Group:
        """The group that a text names; UsageError when it names none."""
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise UsageError(f"{text[:40]!r} is no group: write its number and how many there are, as in 3/8.")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def shards(self, num_shards: int) -> range:
        """Numbers of its shards: every `of`-th, so that drives which came last are spread over all groups."""
        return range(self.number - 1, num_shards, self.of)


def make_groups(number: int) -> list[Group]:
    """So many groups, which have every shard once; UsageError when there is to be none."""
    if number < 1:
        raise UsageError(f"the work cannot be shared by {number} groups: one is the least.")
    return [Group(position, number) for position in range(1, number + 1)]
