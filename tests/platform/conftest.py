"""A bench for runs of the pipeline with stand-in steps; see runner_bench.py."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from runner_bench import Bench, use_stand_in


@pytest.fixture(scope="session")
def make_bench(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Bench]:
    def make() -> Bench:
        bench = Bench(tmp_path_factory.mktemp("bench"))
        bench.notes.mkdir()
        return bench

    return make


@pytest.fixture
def bench(make_bench: Callable[[], Bench], monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = make_bench()
    use_stand_in(monkeypatch, made)
    return made
