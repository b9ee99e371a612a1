"""The devkit's own evaluator beside ours."""

from __future__ import annotations

import gc
import shutil
import warnings

import pytest
from chain import VERSION

from olivine.errors import UsageError
from olivine.evaluate.official import score_artifact, score_officially
from olivine.packs import Pack

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(autouse=True, scope="module")
def close_devkit():
    """The devkit leaves map images open until its objects are collected."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def test_the_official_score_is_ours(chain, capsys):
    pytest.importorskip("nuscenes")
    metrics = chain.made["evaluate"]
    score = score_officially(chain.made["ingest"], metrics, chain.root, VERSION)
    assert (score.eval_set, score.num_sweeps) == ("mini_val", 2)
    assert score.official_miou == pytest.approx(score.our_miou, abs=1e-12)
    assert score.our_miou == metrics.manifest.summary["miou"]
    line = score_artifact(metrics, chain.root)
    miou = metrics.manifest.summary["miou"]
    expected = f"official evaluator (mini_val, 2 sweeps): mIoU {miou:.6f}, ours on the same sweeps: {miou:.6f}"
    assert line == expected


def test_a_version_without_official_split(chain):
    with pytest.raises(UsageError, match=r"fleet-7 has no official evaluation split; known: v1.0-mini, v1.0-trainval"):
        score_officially(chain.made["ingest"], chain.made["evaluate"], chain.root, "fleet-7")


def test_a_folder_without_hand_labels(chain, own_root, tmp_path):
    for root in (tmp_path / "nowhere", own_root):
        (own_root / VERSION / "lidarseg.json").unlink(missing_ok=True)
        with pytest.raises(UsageError, match=r"has no table v1.0-mini/lidarseg.json: give the raw data set"):
            score_artifact(chain.made["evaluate"], root)


def test_predictions_of_another_split(own_chain, tmp_path):
    pytest.importorskip("nuscenes")
    select = own_chain.run("evaluate", "evaluate.split=select")
    assert len(Pack(select)) == 1
    root = shutil.copytree(own_chain.root, tmp_path / "drives")
    with pytest.raises(UsageError, match="2 keyframes of mini_val were not predicted: evaluate the whole split"):
        score_artifact(select, root)
