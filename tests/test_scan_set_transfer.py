"""A backbone pretrained on drives in nuScenes layout, fine-tuned and scored on scans: synthetic ones, and the real one.

The scores mean nothing; every file, number and refusal between does.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from chain import Chain, quietly
from scan_files import write_sequences

from olivine.artifacts import Artifact
from olivine.datasets import load_table, read_labels
from olivine.drives import Drives
from olivine.errors import UsageError
from olivine.evaluate.official import score_artifact
from olivine.evaluate.predict import write_predictions
from olivine.metrics.semantickitti import iou_counting_ignored, score_semantickitti
from olivine.packs import Pack, bytes_array
from olivine.platform.cards import confusion_metadata
from olivine.report.command import run_report
from olivine.steps import StepCall

KITTI = load_table("semantickitti")
# The sensor's 0..1 become the 0..255 that the backbone saw.
SCANS = (
    'finetune.network.intensity={"scale": 255, "for_max": 1}',
    "finetune.fraction_unit=scan",
    "finetune.epochs=1",
)


def call(
    chain: Chain, word: str, source: Path | None = None, settings: tuple[str, ...] = (), **inputs: str
) -> Artifact:
    """A stage with the recipe `tiny_cpu` in the store of a chain, on inputs of its own."""
    return quietly(word, StepCall(chain.store.url, "tiny_cpu", list(settings), inputs, source and str(source)))


def ingest(chain: Chain, root: Path) -> Artifact:
    return call(chain, "ingest", root, ("ingest.dataset=semantickitti",))


def finetune(chain: Chain, drives: Artifact, *settings: str, backbone: bool = True) -> Artifact:
    inputs = {"drives": drives.id} | ({"backbone": chain.made["pretrain"].id} if backbone else {})
    return call(chain, "finetune", None, (*SCANS, *settings), **inputs)


def evaluate(chain: Chain, drives: Artifact, segmenter: Artifact) -> Artifact:
    return call(chain, "evaluate", drives=drives.id, segmenter=segmenter.id)


@pytest.fixture(scope="module")
def scans_root(tmp_path_factory):
    pytest.importorskip("embreex")
    from olivine.synth import ScanSetRecipe, write_scan_set

    root = tmp_path_factory.mktemp("transfer") / "scans"
    write_scan_set(root, ScanSetRecipe(seed=5, scans_per_sequence=1, num_columns=180))
    return root


@pytest.fixture(scope="module")
def transfer(chain, scans_root, tmp_path_factory):
    """Everything from the scans to metrics of both arms, in a copy of the chain's store: by name."""
    from olivine.store import open_store

    folder = tmp_path_factory.mktemp("transfer-store") / "store"
    store = open_store(str(shutil.copytree(chain.store.url.removeprefix("file://"), folder)))
    own = Chain(chain.root, store, {word: Artifact(store, item.manifest) for word, item in chain.made.items()})
    drives = ingest(own, scans_root)
    made = {"drives": drives}
    for arm, backbone in (("random", False), ("olivine", True)):
        made[f"segmenter {arm}"] = finetune(own, drives, backbone=backbone)
        made[arm] = evaluate(own, drives, made[f"segmenter {arm}"])
    return own, made


def test_the_backbone_is_what_fine_tuning_starts_from(transfer):
    own, made = transfer
    tuned = made["segmenter olivine"].manifest
    assert tuned.inputs["backbone"].id == own.made["pretrain"].id
    assert tuned.inputs["drives"].id == made["drives"].id != own.made["ingest"].id
    assert (tuned.summary["init"], tuned.summary["fraction"]) == ("olivine", "1/2 by scan")
    name_of = Drives(made["drives"]).column("lidar_token")
    # `train` without the sequence that models are chosen by, every second scan from the first.
    assert [name_of[token] for token in tuned.summary["keyframes"]] == [f"{n:02d}/000000" for n in (0, 2, 4, 6, 10)]
    assert tuned.summary["class_names"] == KITTI.class_names
    assert made["segmenter random"].manifest.summary["init"] == "random"


def test_what_is_made_from_synthetic_scans_says_so(transfer):
    _, made = transfer
    assert made["drives"].manifest.summary["synthetic"] is True
    for artifact in made.values():
        assert "Apache-2.0 (synthetic drives of olivine)" in artifact.manifest.licences


def test_the_score_is_that_of_an_independent_count(transfer):
    _, made = transfer
    reader, pack = Drives(made["drives"]), Pack(made["olivine"])
    tokens = reader.tokens("test")
    assert pack.index.column("keyframe") == tokens
    target = np.concatenate([reader.lidarseg(token) for token in tokens])
    found = np.concatenate([bytes_array(pack.head(token)["category.npy"]) for token in tokens])
    assert 1 <= found.min() <= found.max() <= 19
    per_category = made["olivine"].manifest.summary["per_category"]
    assert set(per_category) == set(KITTI.class_names)
    for number, name in enumerate(KITTI.class_names, start=1):
        hit = ((target == number) & (found == number)).sum()
        union = (((target == number) | (found == number)) & (target > 0)).sum()
        assert per_category[name] == (None if union == 0 else pytest.approx(hit / union, rel=1e-6)), name
    known = [value for value in per_category.values() if value is not None]
    assert made["olivine"].manifest.summary["miou"] == pytest.approx(np.mean(known), rel=1e-6)


@pytest.mark.parametrize("arm", ["random", "olivine"])
def test_predictions_are_a_folder_that_the_benchmarks_evaluator_scores(transfer, scans_root, tmp_path, arm):
    _, made = transfer
    predicted = write_predictions(made["drives"], made[f"segmenter {arm}"], "test", tmp_path / "out")
    assert (predicted.predictions, predicted.eval_set) == (str(tmp_path / "out/sequences"), "test")
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert files == [tmp_path / "out/sequences/08/predictions/000000.label"]
    raw_N = np.fromfile(files[0], np.uint32)
    assert set(raw_N.tolist()) <= set(KITTI.class_to_raw()[1:].tolist())
    (token,) = Drives(made["drives"]).tokens("test")
    assert np.array_equal(read_labels(KITTI, files[0]), bytes_array(Pack(made[arm]).head(token)["category.npy"]))
    scored = score_semantickitti(tmp_path / "out", scans_root)
    iou_C = iou_counting_ignored(bytes_array(made[arm].read("confusion.npy")))
    ours = [None if math.isnan(value) else value for value in iou_C.tolist()]
    assert list(scored["per_category"].values()) == ours
    assert scored["miou_present"] == pytest.approx(made[arm].manifest.summary["miou"], rel=1e-6)
    with pytest.raises(UsageError, match="which the nuScenes devkit does not score"):
        score_artifact(made[arm], scans_root)


def test_the_report_shows_the_classes_of_the_scans(transfer, tmp_path, capsys):
    own, made = transfer
    page = run_report(own.store.url, [made["random"].id, made["olivine"].id], tmp_path / "report.html", "Transfer")
    text = page.read_text()
    for name in ("other-vehicle", "traffic-sign"):
        assert f">{name}</th>" in text
    # Weak labels are those of the backbone, on drives of their own.
    assert "CAM_FRONT" in text
    printed = " ".join(capsys.readouterr().out.split())
    assert "SYNTHETIC drives" in printed
    assert "Backbones were pretrained on other drives, and fine-tuned and scored on scans of semantickitti." in printed
    assert "motorcyclist" in printed
    names = confusion_metadata(made["olivine"])["confusionMatrix"]["annotationSpecs"]
    assert [item["displayName"] for item in names] == KITTI.class_names


@pytest.mark.parametrize("frozen", ["augmented", "cached"])
def test_linear_probing(transfer, frozen):
    own, made = transfer
    probe = finetune(own, made["drives"], f"finetune.frozen={frozen}", "finetune.curve_points=0")
    from olivine.training.tensors import bytes_tensors

    tensors = bytes_tensors(probe.read("segmenter.safetensors"), "")
    backbone = bytes_tensors(own.made["pretrain"].read("backbone.safetensors"), "")
    assert all(np.array_equal(tensors[f"backbone.{name}"], tensor) for name, tensor in backbone.items())
    assert tensors["head.kernel"].shape[-1] == 20


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("finetune.network.coordinates=cylindrical",), "with another network: coordinates cartesian instead of cyl"),
        (("finetune.network.voxel_feature=first",), "with another network: voxel_feature mean instead of first"),
        (("finetune.network.intensity_scale=1",), "with another network: intensity_scale 0.0039.* instead of 1.0"),
        (("finetune.network.intensity=null",), r"hold intensities of 0\.\.1, and the recipe is for 0\.\.255\. Say how"),
        (("finetune.every_nth=10",), "every_nth 10 keeps none of 9 scans of train: give at most 9"),
    ],
)
def test_starts_that_are_refused(transfer, settings, message):
    own, made = transfer
    with pytest.raises(UsageError, match=message):
        finetune(own, made["drives"], *settings)


def test_segmenters_and_drives_of_two_data_sets_are_kept_apart(transfer, tmp_path):
    own, made = transfer
    with pytest.raises(UsageError, match=r"trained on other classes than those of drives .* \(16 and 19; barrier is"):
        evaluate(own, made["drives"], own.made["finetune"])
    with pytest.raises(UsageError, match=r"\(19 and 16; "):
        write_predictions(own.made["ingest"], made["segmenter olivine"], "test", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_the_intensities_become(transfer):
    from olivine.models.network import prepare_cloud
    from olivine.models.network_recipe import IntensityRecipe
    from olivine.recipes import load_recipe

    _, made = transfer
    reader = Drives(made["drives"])
    points_N4 = reader.keyframe(reader.tokens()[0]).points_N4
    network = load_recipe("semantickitti").finetune.network
    assert network.voxel_feature == "first"
    cloud = prepare_cloud(points_N4, network)
    first_R = np.unique(cloud.row_N, return_index=True)[1]
    # Reference code: the intensity of one point, plus 1.
    assert np.allclose(cloud.features_VF[:, 0], points_N4[first_R, 3] + 1.0)
    other = network.model_copy(update={"intensity": IntensityRecipe(scale=255.0), "intensity_scale": 1 / 255})
    assert np.allclose(prepare_cloud(points_N4, other).features_VF[:, 0], points_N4[first_R, 3], atol=1e-6)


def test_a_set_whose_evaluator_is_unknown_is_scored_and_not_written(chain, tmp_path):
    table = load_table("daps3d")
    own = Chain(chain.root, chain.store, dict(chain.made))
    write_sequences(tmp_path / "daps", table, num_scans=2, num_points=40)
    from olivine.store import open_store

    own.store = open_store(str(tmp_path / "store"))
    drives = call(own, "ingest", tmp_path / "daps", ("ingest.dataset=daps3d",))
    with pytest.raises(UsageError, match=r"of a range that their table does not state, and the recipe is for 0\.\.1\."):
        finetune(own, drives, backbone=False)
    segmenter = finetune(own, drives, "finetune.network.intensity.for_max=null", backbone=False)
    assert set(evaluate(own, drives, segmenter).manifest.summary["per_category"]) == set(table.class_names)
    with pytest.raises(UsageError, match="the table of daps3d does not say where predictions lie"):
        write_predictions(drives, segmenter, "test", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["daps", "store"]


def test_the_real_scan(chain, tmp_path):
    """One scan is train and test at once, under two names: that it runs is all that this shows."""
    if "OLIVINE_REAL_DATA" not in os.environ:
        pytest.skip("OLIVINE_REAL_DATA is not set: no real scan to run")
    source = Path(os.environ["OLIVINE_REAL_DATA"]) / "semantickitti/sequences/08"
    if not source.is_dir():
        pytest.skip(f"{source} is missing")
    root = tmp_path / "real"
    for sequence in ("00", "08"):
        for folder in ("velodyne", "labels"):
            shutil.copytree(source / folder, root / "sequences" / sequence / folder)
    (root / "splits.json").write_text(json.dumps({"train": ["00"], "select": [], "test": ["08"]}))
    from olivine.store import open_store

    store = open_store(str(shutil.copytree(chain.store.url.removeprefix("file://"), tmp_path / "store")))
    own = Chain(chain.root, store, {word: Artifact(store, item.manifest) for word, item in chain.made.items()})
    drives = ingest(own, root)
    assert drives.manifest.counts["points"] == 2 * 123_389
    assert drives.manifest.summary["synthetic"] is False
    segmenter = finetune(own, drives, "finetune.every_nth=1")
    assert (segmenter.manifest.counts, segmenter.manifest.licences[0]) == ({"keyframes": 1, "steps": 1}, KITTI.licence)
    metrics = evaluate(own, drives, segmenter)
    assert metrics.manifest.summary["num_points"] == np.count_nonzero(
        read_labels(KITTI, root / "sequences/08/labels/000000.label")
    )
    write_predictions(drives, segmenter, "test", tmp_path / "out")
    scored = score_semantickitti(tmp_path / "out", root)
    assert scored["miou_present"] == pytest.approx(metrics.manifest.summary["miou"], rel=1e-6)
