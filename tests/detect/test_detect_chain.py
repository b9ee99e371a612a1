"""From frames to AP: a detector that learns synthetic frames by heart, resuming, starts, and the command line."""

from __future__ import annotations

import json
import os
import re
import shutil
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from synthetic_kitti import car, write_frame, write_split

from olivine.artifacts import begin, find_artifact, verify
from olivine.artifacts.withdrawn import withdraw
from olivine.detect import evaluate, finetune
from olivine.detect.frames import pack_frames
from olivine.detect.network import build_detector
from olivine.detect.results import write_results
from olivine.detect.seeds import summarize_seeds, summary_lines
from olivine.detect.start import start_from
from olivine.errors import DataError, Interrupted, UsageError
from olivine.lineage.card_detection import ap_lines
from olivine.lineage.source import Place, StoreSource
from olivine.lineage.trace import trace
from olivine.models.network import build_backbone
from olivine.models.network_recipe import IntensityRecipe, NetworkRecipe, VoxelNetRecipe
from olivine.packs import Pack
from olivine.recipes.detection import load_detect_recipe
from olivine.store import open_store
from olivine.training.tensors import bytes_tensors, tensors_bytes

NEAR = 'finetune.grid={"low": [0, -12.8, -3], "high": [25.6, 12.8, 1], "voxel_size": [0.2, 0.2, 0.16]}'
UNCHANGED = 'finetune.augment={"flip": false, "rotation_rad": 0, "scale": [1, 1]}'
WIDTHS = (8, 8, 16, 16, 16)


def recipe(*settings):
    return load_detect_recipe("tiny_cpu", [NEAR, *settings])


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic") / "kitti"
    write_frame(folder, "000001", [("Car", car(8, 1, 0.3)), ("Car", car(15, -4, 2.0))])
    write_frame(folder, "000002", [("Car", car(10, 3, -1.2)), ("Car", car(18, 2, 3.0))], seed=1)
    write_frame(folder, "000003", [("Car", car(12, 0, 1))], seed=2)
    write_split(folder, "train", ["000001", "000002"])
    write_split(folder, "val", ["000003"])
    return folder


@pytest.fixture
def frames(root, tmp_path):
    return pack_frames(root, open_store(str(tmp_path / "store")), recipe().ingest)


def test_it_learns_two_frames_by_heart(frames):
    chosen = recipe(UNCHANGED, "finetune.epochs=60", "finetune.optimizer.lr=0.01", "evaluate.split=train")
    made = finetune.run(frames, None, chosen.finetune)
    history = json.loads(made.read("history.json"))
    assert len(history) == made.manifest.counts["steps"] == 60
    assert history[-1]["loss"] < history[0]["loss"] / 20
    metrics = evaluate.run(frames, made, chosen.evaluate)
    # With four objects and all found, three of the forty recall points are reached; two objects alone would give one.
    for view in ("bev", "3d"):
        assert metrics.manifest.summary["ap"][view]["car"]["moderate"] >= 1 / 40
    assert metrics.manifest.counts["frames"] == metrics.manifest.summary["frames_trained_on"] == 2
    assert summary_lines(summarize_seeds([metrics]))[0].startswith("learned by heart: ")
    assert verify(metrics) == []
    behind = trace(StoreSource(frames.store), Place("evaluate", metrics.id))
    assert [step.kind for step in behind.steps] == ["frames", "detector", "detection_metrics"]
    assert behind.drives == ("kitti_object",)
    assert any("KITTI" in licence for licence in behind.licences)


def test_what_is_published(frames):
    made = finetune.run(frames, None, recipe("finetune.epochs=1").finetune)
    assert verify(made) == []
    assert json.loads(made.read("frames.json")) == ["000001", "000002"]
    assert made.manifest.summary["init"] == "random"
    assert made.manifest.summary["tensors_taken"] == 0
    assert finetune.run(frames, None, recipe("finetune.epochs=1").finetune).manifest == made.manifest
    other = finetune.run(frames, None, recipe("finetune.epochs=1", "finetune.seed=1").finetune)
    assert other.manifest.data_digest != made.manifest.data_digest
    assert evaluate.arm_of(other) == evaluate.arm_of(made)


def test_batches_made_ahead_give_the_same_detector(root, frames, tmp_path, monkeypatch):
    def one_by_one(samples, names, places):
        for place in places:
            yield place, samples.batch([names[position] for position in place.positions], place.epoch)

    chosen = recipe("finetune.epochs=6", "finetune.batch_size=1").finetune
    made = finetune.run(frames, None, chosen)
    monkeypatch.setattr(finetune, "batches_ahead", one_by_one)
    second = pack_frames(root, open_store(str(tmp_path / "second")), recipe().ingest)
    assert finetune.run(second, None, chosen).manifest.data_digest == made.manifest.data_digest


def test_a_stopped_training_goes_on_to_the_same_detector(root, frames, tmp_path, monkeypatch):
    chosen = recipe("finetune.epochs=4").finetune
    whole = finetune.run(frames, None, chosen)
    second = pack_frames(root, open_store(str(tmp_path / "second")), recipe().ingest)
    flag, before = SimpleNamespace(is_set=False), finetune._step

    @contextmanager
    def stop_flag():
        yield flag

    def step(*given):
        flag.is_set = True
        return before(*given)

    with monkeypatch.context() as patched:
        patched.setattr(finetune, "stop_flag", stop_flag)
        patched.setattr(finetune, "_step", step)
        with pytest.raises(Interrupted, match="stopped by SIGTERM after step 1; run it again"):
            finetune.run(second, None, chosen)
        flag.is_set = False
    resumed = finetune.run(second, None, chosen)
    assert resumed.manifest.data_digest == whole.manifest.data_digest


def test_a_loss_that_is_not_finite_stops(frames, monkeypatch):
    bad = finetune.HeadLosses(*(torch.tensor(float("nan"), requires_grad=True),) * 3)
    monkeypatch.setattr(finetune, "head_losses", lambda *given: bad)
    with pytest.raises(DataError, match=r"the loss is not finite. Lower the rate"):
        finetune.run(frames, None, recipe("finetune.epochs=1").finetune)


@pytest.mark.parametrize("split", ["train", "val"])
def test_frames_that_were_trained_on_are_not_scored(root, frames, tmp_path, split):
    """Other lists of the same benchmark make another artifact: the names of the frames tell."""
    made = finetune.run(frames, None, recipe("finetune.epochs=1").finetune)
    other = tmp_path / "kitti"
    shutil.copytree(root, other)
    write_split(other, "train", ["000001"])
    write_split(other, "val", ["000003", "000002"])
    again = pack_frames(other, frames.store, recipe().ingest)
    first = {"train": "000001", "val": "000002"}[split]
    with pytest.raises(UsageError, match=rf"1 of the \d frames of '{split}' in frames {again.id[:12]} .*first {first}"):
        evaluate.run(again, made, recipe(f"evaluate.split={split}").evaluate)


def test_a_detector_that_does_not_name_its_frames(frames, tmp_path):
    out = begin(frames.store, "finetune", "detector", {"frames": frames.manifest}, {"split": "train"}, seed=0)
    old = out.publish({}, {"init": "random"}, ())
    message = rf"detector {old.id[:12]} holds no frames\.json: .* Train it again: `olivine detect finetune`"
    with pytest.raises(UsageError, match=message):
        evaluate.run(frames, old, recipe().evaluate)
    with pytest.raises(UsageError, match=message):
        write_results(frames, old, recipe().evaluate, tmp_path / "val")


def test_other_frames_of_another_artifact_are_scored(root, frames, tmp_path):
    made = finetune.run(frames, None, recipe("finetune.epochs=1").finetune)
    other = tmp_path / "kitti"
    shutil.copytree(root, other)
    write_split(other, "train", ["000003"])
    write_split(other, "val", ["000001"])
    again = pack_frames(other, frames.store, recipe().ingest)
    metrics = evaluate.run(again, made, recipe("evaluate.split=train").evaluate)
    assert metrics.manifest.summary["frames_trained_on"] == 0
    assert summary_lines(summarize_seeds([metrics]))[0].startswith("start random")


def publish_backbone(store, network, drives=None):
    inputs = {"drives": drives.manifest} if drives else {}
    out = begin(store, "pretrain", "backbone", inputs, {"network": network.resolved()}, seed=5)
    out.put("backbone.safetensors", tensors_bytes(build_backbone(network, 0.1, 5).state_dict()))
    return out.publish({}, {"method": "olivine"}, ("licence of the backbone",))


def test_it_starts_from_a_backbone(frames, capsys):
    backbone = publish_backbone(frames.store, NetworkRecipe(kind="voxelnet", voxelnet=VoxelNetRecipe(widths=WIDTHS)))
    detector = build_detector(recipe().finetune)
    fresh = detector.head.kind.weight.clone()
    start = start_from(detector, backbone, recipe().finetune)
    tensors = bytes_tensors(backbone.read("backbone.safetensors"), "")
    assert set(start.taken) == {f"backbone.{name}" for name in tensors}
    assert all(torch.equal(detector.state_dict()[f"backbone.{name}"], tensor) for name, tensor in tensors.items())
    assert torch.equal(detector.head.kind.weight, fresh)
    assert "head.kind.weight" in start.fresh
    made = finetune.run(frames, backbone, recipe("finetune.epochs=1").finetune)
    assert f"backbone {backbone.id[:12]}: {len(tensors)} tensors taken" in capsys.readouterr().err
    assert made.manifest.summary["init"] == "olivine"
    assert made.manifest.summary["tensors_taken"] == len(tensors)
    assert json.loads(made.read("start.json"))["taken"] == list(start.taken)
    assert "licence of the backbone" in made.manifest.licences
    assert made.manifest.inputs["backbone"].id == backbone.id


@pytest.fixture
def drives(frames):
    return begin(frames.store, "ingest", "drives", {}, {}, seed=0).publish({}, {}, ())


def voxelnet(**changes):
    return NetworkRecipe(kind="voxelnet", voxelnet=VoxelNetRecipe(widths=WIDTHS), **changes)


@pytest.mark.parametrize(("scale", "setting"), [(1 / 255, 1), (0.00392, 1), (1.0, 255), (2 / 255, 2)])
def test_a_backbone_that_saw_the_detectors_intensities(frames, drives, capsys, scale, setting):
    backbone = publish_backbone(frames.store, voxelnet(intensity_scale=scale), drives)
    made = finetune.run(frames, backbone, recipe("finetune.epochs=1", f"finetune.intensity_scale={setting}").finetune)
    assert f"intensities are 0..{setting} in both" in capsys.readouterr().err
    seen = json.loads(made.read("start.json"))["intensities"]
    assert seen == {"backbone": pytest.approx(scale * 255), "detector": setting}


@pytest.mark.parametrize(
    ("scale", "setting", "message"),
    [
        (1.0, 1, r"saw intensities of 0..255 in pretraining, and the detector would see 0..1\..*METHOD@voxelnet"),
        (1.0, 1, r"--set finetune.intensity_scale=255$"),
        (1 / 255, 255, r"saw intensities of 0..1 in pretraining, and the detector would see 0..255"),
    ],
)
def test_a_backbone_that_saw_other_intensities(frames, drives, scale, setting, message):
    backbone = publish_backbone(frames.store, voxelnet(intensity_scale=scale), drives)
    with pytest.raises(UsageError, match=message):
        finetune.run(frames, backbone, recipe(f"finetune.intensity_scale={setting}").finetune)


@pytest.mark.parametrize("is_imported", [True, False])
def test_intensities_that_nobody_knows(frames, drives, capsys, is_imported):
    """An imported backbone states a factor, but not what it was trained on."""
    network = voxelnet(intensity_scale=1.0, intensity=None if is_imported else IntensityRecipe(scale=1.0))
    backbone = publish_backbone(frames.store, network, None if is_imported else drives)
    made = finetune.run(frames, backbone, recipe("finetune.epochs=1").finetune)
    assert "which ones the backbone saw is not known" in capsys.readouterr().err
    assert json.loads(made.read("start.json"))["intensities"] == {"backbone": None, "detector": 1.0}


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            NetworkRecipe(widths=(4,) * 9, blocks=(1,) * 8),
            r"is a minkunet of which 0 of the detector's \d+ tensors match",
        ),
        (
            NetworkRecipe(kind="voxelnet", voxelnet=VoxelNetRecipe(widths=(8, 8, 16, 16, 24))),
            r"is a voxelnet of which \d\d of",
        ),
    ],
)
def test_a_backbone_that_does_not_match(frames, network, message):
    with pytest.raises(UsageError, match=message + r".*--set finetune\.widths="):
        finetune.run(frames, publish_backbone(frames.store, network), recipe("finetune.epochs=1").finetune)


def test_a_backbone_with_more_tensors_than_the_detector(frames):
    network = voxelnet()
    out = begin(frames.store, "pretrain", "backbone", {}, {"network": network.resolved()}, seed=5)
    state = build_backbone(network, 0.1, 5).state_dict()
    out.put("backbone.safetensors", tensors_bytes(state | {"conv9.weight": torch.ones(2)}))
    backbone = out.publish({}, {"method": "olivine"}, ())
    message = (
        rf"voxelnet of which {len(state)} of the detector's {len(state)} tensors match; others are conv9\.weight\."
    )
    with pytest.raises(UsageError, match=message):
        start_from(build_detector(recipe().finetune), backbone, recipe().finetune)


def test_the_card_of_a_detector(olivine, frames, drives):
    backbone = publish_backbone(frames.store, voxelnet(intensity_scale=1 / 255), drives)
    chosen = recipe(
        "finetune.epochs=1",
        'finetune.classes=[{"kind": "car", "size": [3.9, 1.6, 1.56], "bottom_m": -1.78, "matched": 0.6, "unmatched": 0.45}]',
    )
    made = finetune.run(frames, backbone, chosen.finetune)
    for split in ("val", "train"):
        evaluate.run(frames, made, recipe(f"evaluate.split={split}").evaluate)
    code, card, err = olivine("card", made.id, "--store", frames.store.url)
    assert code == 0, err
    for line in (
        f"- Frames {frames.id[:12]}: 3 labelled frames of kitti\\_object (train 2, val 1).",
        "- Labels of 2 frames were read, those of the split train.",
        "- CC BY-NC-SA 3.0 (KITTI, non-commercial)",
        "- licence of the backbone",
        "- Detector from olivine, scored on 1 frames of the split val, seed(s) 0: AP \\[%\\] in space at moderate: car 0.00, "
        "cyclist not trained, pedestrian not trained.",
        "| car, in space | val | olivine, 1 seed(s) | 0.00 | 0.00 | 0.00 |",
        "| car, from above | train | olivine, 1 seed(s), by heart | 0.00 | 0.00 | 0.00 |",
        f"- `olivine detect finetune --store STORE --backbone {backbone.id[:12]} --frames {frames.id[:12]}` with the recipe "
        "below finds it or makes the same bytes.",
    ):
        assert f"\n{line}\n" in card, (line, card)
    assert card.count("LEARNED BY HEART") == 1


def test_a_card_has_the_ap_of_all_seeds(frames, drives):
    backbone = publish_backbone(frames.store, voxelnet(intensity_scale=1 / 255), drives)
    scores = []
    for seed, ap in enumerate((0.2, 0.3)):
        made = finetune.run(frames, backbone, recipe("finetune.epochs=1", f"finetune.seed={seed}").finetune)
        scored = evaluate.run(frames, made, recipe().evaluate).manifest
        by_view = {
            view: {kind: dict.fromkeys(found, ap) for kind, found in of_view.items()}
            for view, of_view in scored.summary["ap"].items()
        }
        scores.append(scored.model_copy(update={"summary": scored.summary | {"ap": by_view}}))
    source = Rescored(frames.store, {item.id: item for item in scores})
    [line] = ap_lines(source, Place("pretrain", backbone.id))
    # The mean of two, and 12.71 standard errors of 5 points to each side.
    assert "seed(s) 0, 1: AP [%] in space at moderate: car 25.00 (-38.53 to 88.53), cyclist no objects" in line


class Rescored(StoreSource):
    """The store, with other scores in some manifests."""

    def __init__(self, store, scores):
        super().__init__(store)
        self.scores = scores

    def manifest(self, place):
        return self.scores.get(place.id) or super().manifest(place)


def test_frames_that_were_trained_on_may_be_predicted(frames, tmp_path, capsys):
    made = finetune.run(frames, None, recipe("finetune.epochs=1").finetune)
    assert write_results(frames, made, recipe().evaluate, tmp_path / "val") == 1
    assert "trained on" not in capsys.readouterr().err
    assert write_results(frames, made, recipe("evaluate.split=train").evaluate, tmp_path / "train") == 2
    said = (
        f"note: 2 of the 2 frames of 'train' are among those that detector {made.id[:12]} was trained on (first 000001)"
    )
    assert said in capsys.readouterr().err


def test_nothing_is_made_of_what_was_withdrawn(olivine, root, frames):
    withdraw(frames.store, "kitti_object", "another licence")
    with pytest.raises(UsageError, match=r"kitti_object was withdrawn from .*: another licence"):
        pack_frames(root, frames.store, recipe("ingest.frames_per_shard=2").ingest)
    code, _, err = olivine("detect", "finetune", "--frames", frames.id, "--store", frames.store.url)
    assert code == 64
    assert "hold what was withdrawn: kitti_object (another licence)" in err


def test_the_command_line(olivine, root, tmp_path):
    store = ("--store", tmp_path / "store")
    options = (*store, "--recipe", "tiny_cpu", "--set", NEAR, "--set", "finetune.epochs=1")
    low = ("--set", "evaluate.min_score=0")
    code, out, err = olivine("detect", "ingest", "--kitti", root, *options)
    assert (code, out.split()[0]) == (0, "frames"), err
    frames_id = out.split()[1]
    ids = []
    for seed in (0, 1):
        code, out, err = olivine(
            "detect", "finetune", "--frames", frames_id, *options, "--set", f"finetune.seed={seed}", "--json"
        )
        assert code == 0, err
        detector = json.loads(out)["id"]
        code, out, err = olivine(
            "detect", "evaluate", "--frames", frames_id[:8], "--detector", detector, *options, *low
        )
        assert code == 0, err
        ids.append(out.split()[1])
    code, out, err = olivine(
        "detect", "predict", "--frames", frames_id, "--detector", detector, *options, *low, "--out", tmp_path / "out"
    )
    assert (code, out) == (0, f"1 frames: {tmp_path / 'out'}\n"), err
    metrics = find_artifact(open_store(str(tmp_path / "store")), "evaluate", ids[1], "detection_metrics")
    text = (tmp_path / "out" / "000003.txt").read_text()
    assert text.count("\n") == metrics.manifest.counts["detections"] > 0
    assert Pack(metrics).head("000003")["txt"].decode() == text
    code, out, err = olivine(
        "score",
        "kitti-object",
        "--predictions",
        tmp_path / "out",
        "--ground-truth",
        root / "training/label_2",
        "--json",
    )
    assert code == 0, err
    assert json.loads(out)["ap"] == metrics.manifest.summary["ap"]
    code, out, err = olivine("lineage", "trace", detector, "--frames", *store, "--json")
    assert code == 0, err
    assert json.loads(out)["frames"] == {
        f"frames {frames_id[:12]}": {"kitti_object": 3},
        f"detector {detector[:12]}": {"kitti_object": 2},
    }
    code, out, err = olivine("detect", "table", "--metrics", ids[0], "--metrics", ids[1], *store)
    assert code == 0, err
    assert "seeds [0, 1]" in out
    code, _, err = olivine(
        "detect", "predict", "--frames", frames_id, "--detector", detector, *options, "--out", tmp_path / "out"
    )
    assert code == 64
    assert "is there already" in err


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (("detect", "ingest", "--kitti", "missing"), "ImageSets/train.txt cannot be read"),
        (("detect", "finetune", "--frames", "abcdef"), "is no frames in .*run `olivine detect ingest` first"),
        (
            ("detect", "finetune", "--frames", "abcdef", "--recipe", "other"),
            "no recipe of detection 'other': choose one of second",
        ),
        (("detect", "ingest", "--kitti", ".", "--set", "finetune.epoch=1"), "sets nothing"),
        (("detect", "ingest", "--kitti", ".", "--set", "finetune.epochs=0"), "recipe second: finetune.epochs = 0"),
        (("detect", "table"), "say which metrics to put together"),
    ],
)
def test_wrong_calls(olivine, tmp_path, monkeypatch, call, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = olivine(*call)
    assert code in (64, 65)
    assert out == ""
    assert re.search(message, err), err


def test_real_frames_through_a_step(olivine, tmp_path):
    if "OLIVINE_REAL_DATA" not in os.environ:
        pytest.skip("OLIVINE_REAL_DATA is not set: no real frames to train on")
    root = Path(os.environ["OLIVINE_REAL_DATA"]) / "kitti"
    options = ("--store", tmp_path / "store", "--recipe", "tiny_cpu", "--set", "finetune.epochs=1", "--json")
    code, out, err = olivine("detect", "ingest", "--kitti", root, "--set", "ingest.image_size=[1224,370]", *options)
    assert code == 0, err
    frames_id = json.loads(out)["id"]
    code, out, err = olivine("detect", "finetune", "--frames", frames_id, *options)
    assert code == 0, err
    assert json.loads(out)["counts"] == {"frames": 4, "steps": 2}
    call = (
        "detect",
        "evaluate",
        "--frames",
        frames_id,
        "--detector",
        json.loads(out)["id"],
        "--set",
        "evaluate.min_score=0",
    )
    code, out, err = olivine(*call, *options)
    assert code == 0, err
    score = json.loads(out)["summary"]
    assert score["num_frames"] == 3
    # Of the labels of 000002, 000008 and 000134, those of each class that the benchmark's hard counts.
    assert score["num_objects"]["pedestrian"]["hard"] == 7
    assert set(score["ap"]) == {"bev", "3d"}
    assert json.loads(out)["counts"]["detections"] > 0
