"""Two arms with two seeds each, made by the real stages at the tiniest scale."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from chain import Chain
from comparison import Compared, run_stage


@pytest.fixture(scope="session")
def compared(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Compared:
    """Seeds 0 and 1 of both arms. Tests must not change the store: see `Compared.copy_to`."""
    folder = tmp_path_factory.mktemp("report") / "store"
    shutil.copytree(chain.store.url.removeprefix("file://"), folder)
    common = {"drives": chain.made["ingest"].id}
    metrics = {}
    # Not in the order in which arms and seeds are shown.
    for arm, start in (("olivine", {"backbone": chain.made["pretrain"].id}), ("random", {})):
        for seed in (1, 0):
            tuned = run_stage("finetune", folder, common | start, f"finetune.seed={seed}")
            metrics[arm, seed] = run_stage("evaluate", folder, common | {"segmenter": tuned.id})
    return Compared(folder, metrics)


@pytest.fixture
def own_compared(compared: Compared, tmp_path: Path) -> Compared:
    return compared.copy_to(tmp_path / "own-report-store")
