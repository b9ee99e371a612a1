"""Folders of predictions: the devkit's own checker and evaluator take them, and they equal what `evaluate` keeps."""

from __future__ import annotations

import gc
import json
import warnings

import numpy as np
import pytest
from chain import VERSION

from olivine.artifacts.withdrawn import withdraw
from olivine.drives import Drives
from olivine.errors import DataError, UsageError
from olivine.evaluate.predict import write_predictions
from olivine.evaluate.submission import Submission
from olivine.ingest.nuscenes import lidarseg_files
from olivine.metrics.score import score_nuscenes_lidarseg
from olivine.packs import Pack, bytes_array


@pytest.fixture(scope="module")
def written(chain, tmp_path_factory):
    folder = tmp_path_factory.mktemp("predict") / "out"
    return write_predictions(chain.made["ingest"], chain.made["finetune"], "test", folder), folder


def test_files_hold_what_evaluate_predicted(chain, written):
    predicted, folder = written
    pack, lidar_token = Pack(chain.made["evaluate"]), chain.drives.column("lidar_token")
    assert {file.name for file in (folder / "lidarseg/mini_val").iterdir()} == {
        f"{lidar_token[token]}_lidarseg.bin" for token in chain.drives.tokens("test")
    }
    for token in chain.drives.tokens("test"):
        found_N = np.fromfile(folder / f"lidarseg/mini_val/{lidar_token[token]}_lidarseg.bin", np.uint8)
        assert np.array_equal(found_N, bytes_array(pack.head(token)["category.npy"]))
    assert (predicted.eval_set, predicted.keyframes) == ("mini_val", 2)
    assert predicted.predictions == str(folder / "lidarseg/mini_val")
    assert [file.name for file in folder.parent.iterdir()] == ["out"], "nothing partial is left"


@pytest.mark.filterwarnings("ignore")
def test_the_devkits_checker_and_evaluator_take_them(chain, written):
    pytest.importorskip("nuscenes")
    from nuscenes import NuScenes
    from nuscenes.eval.lidarseg.evaluate import LidarSegEval
    from nuscenes.eval.lidarseg.validate_submission import validate_submission

    _, folder = written
    nusc = NuScenes(VERSION, str(chain.root), verbose=False)
    validate_submission(nusc, str(folder), "mini_val")
    official = LidarSegEval(nusc, str(folder), "mini_val").evaluate()["miou"]
    ours = score_nuscenes_lidarseg(
        folder / "lidarseg/mini_val", lidarseg_files(chain.root, VERSION, "test"), raw_labels=True
    )
    assert ours["miou"] == pytest.approx(official, abs=1e-9)
    assert ours["miou"] == chain.made["evaluate"].manifest.summary["miou"]
    del nusc
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def test_the_meta_says_what_was_used(chain, written, tmp_path):
    _, folder = written
    meta = json.loads((folder / "mini_val/submission.json").read_text())["meta"]
    assert {name for name, value in meta.items() if value} == {"use_lidar", "use_external"}
    Submission(tmp_path, "val").write_meta(uses_external_data=False)
    meta = json.loads((tmp_path / "val/submission.json").read_text())["meta"]
    assert {name for name, value in meta.items() if value} == {"use_lidar"}


def test_another_split_bears_its_own_name(chain, tmp_path):
    folder = tmp_path / "new" / "select"
    predicted = write_predictions(chain.made["ingest"], chain.made["finetune"], "select", folder)
    assert predicted.eval_set == "select"
    truth = lidarseg_files(chain.root, VERSION, "select")
    score = score_nuscenes_lidarseg(folder / "lidarseg/select", truth, raw_labels=True)
    assert score["miou"] == chain.made["finetune"].manifest.summary["select_miou"]


def test_a_folder_that_is_there_is_not_touched(chain, tmp_path):
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(UsageError, match=r"is there already: give --out a new folder"):
        write_predictions(chain.made["ingest"], chain.made["finetune"], "test", tmp_path)
    assert (tmp_path / "mine").read_text() == "kept"


def test_an_empty_split_and_a_token_that_climbs(chain, tmp_path, monkeypatch):
    monkeypatch.setattr(Drives, "tokens", lambda self, split: [])
    with pytest.raises(DataError, match="have no keyframe in the split 'test'"):
        write_predictions(chain.made["ingest"], chain.made["finetune"], "test", tmp_path / "out")
    for token in ("../up", "a/b", "", "x" * 129):
        with pytest.raises(DataError, match="cannot name a file: tokens are letters, digits"):
            Submission(tmp_path / f"of{len(token)}", "val").add(token, np.ones(3, np.uint8))
    assert not (tmp_path / "up_lidarseg.bin").exists()
    assert not (tmp_path / "out").exists()


def test_the_command(olivine, own_chain, tmp_path):
    ids = ["--drives", own_chain.made["ingest"].id[:8], "--segmenter", own_chain.made["finetune"].id[:8]]
    call = ["predict", *ids, "--store", own_chain.store.url, "--out", tmp_path / "out"]
    code, out, _ = olivine(*call, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["segmenter"] == own_chain.made["finetune"].id
    assert len(list((tmp_path / "out/lidarseg/mini_val").iterdir())) == found["keyframes"] == 2
    code, _, err = olivine(*call)
    assert code == 64
    assert "is there already" in err


def test_nothing_is_predicted_on_withdrawn_drives(olivine, own_chain, tmp_path):
    withdraw(own_chain.store, own_chain.made["ingest"].manifest.summary["drives"][0], "a face is seen")
    ids = ["--drives", own_chain.made["ingest"].id, "--segmenter", own_chain.made["finetune"].id]
    code, _, err = olivine("predict", *ids, "--store", own_chain.store.url, "--out", tmp_path / "out")
    assert code == 64
    assert "hold what was withdrawn" in err
    assert not (tmp_path / "out").exists()
