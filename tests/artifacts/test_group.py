"""Groups: together they have every shard once, and only what names one is taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olivine.artifacts.group import Group, make_groups
from olivine.errors import UsageError


@given(number=st.integers(1, 40), num_shards=st.integers(0, 200))
def test_groups_have_every_shard_once_and_differ_by_one_at_most(number: int, num_shards: int) -> None:
    shares = [list(group.shards(num_shards)) for group in make_groups(number)]
    assert sorted(shard for share in shares for shard in share) == list(range(num_shards))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_what_came_last_is_spread_over_all_groups() -> None:
    assert [[shard for shard in group.shards(12) if shard >= 9] for group in make_groups(3)] == [[9], [10], [11]]


@given(number=st.integers(1, 40))
def test_a_text_stands_for_a_group(number: int) -> None:
    groups = make_groups(number)
    assert [Group.parse(str(group)) for group in groups] == groups
    assert [str(group) for group in make_groups(2)] == ["1/2", "2/2"]


@pytest.mark.parametrize(
    "text", ["", "3", "0/3", "4/3", "1/0", "-1/3", "1/3/5", "1.0/3", " 1/3", "1/3\n", "a/b", "1/9999999"]
)
def test_what_names_no_group_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no group: write its number and how many there are, as in 3/8"):
        Group.parse(text)


@pytest.mark.parametrize("number", [0, -2])
def test_there_is_one_group_at_least(number: int) -> None:
    with pytest.raises(UsageError, match=f"shared by {number} groups: one is the least"):
        make_groups(number)
