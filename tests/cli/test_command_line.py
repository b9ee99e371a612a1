"""The command line: help that is enough, JSON that is JSON, and wrong calls that end in one line and their code."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from chain import VERSION, Chain, command_line, damage

from olivine.artifacts import open_artifact
from olivine.cli import app
from olivine.recipes import METHODS, RECIPES, SCALES
from olivine.stages import WORDS
from olivine.store import open_store


def commands(group, path=()):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        # `label` is both.
        if not hasattr(command, "commands") or command.invoke_without_command:
            yield (*path, name), command


ALL = dict(commands(typer.main.get_command(app)))


def test_every_stage_is_a_command():
    assert {(word,) for word in WORDS} < ALL.keys()


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_tells_every_option(olivine, path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = olivine(*path, "--help")
    assert (code, err) == (0, "")
    assert ALL[path].help
    for parameter in ALL[path].params:
        assert parameter.help, (path, parameter.name)
        names = (
            [parameter.metavar or parameter.name.upper()] if parameter.param_type_name == "argument" else parameter.opts
        )
        assert any(name.lower() in out.lower() for name in names), (path, names)


def test_version_and_no_arguments(olivine):
    code, out, _ = olivine("--version")
    assert (code, out.count(".")) == (0, 2)
    code, out, err = olivine()
    assert code == 64
    assert "Usage" in out + err


def test_recipes_are_listed(olivine):
    code, out, _ = olivine("recipes")
    assert code == 0
    names = [line.split()[0] for line in out.splitlines()]
    assert names == [*METHODS, *(f"METHOD@{scale}" for scale in SCALES)]
    assert all(len(line) < 140 for line in out.splitlines())
    listed = json.loads(olivine("recipes", "--json")[1])
    assert set(listed) == set(RECIPES)
    assert listed["slidr"]["pretrain"]["superpixel"]["weight"] == 1.0


def test_a_stage_prints_kind_and_id_or_json(olivine, chain, tmp_path):
    arguments = ["ingest", "--drives", chain.root, "--version", VERSION, "--store", tmp_path / "store"]
    code, out, err = olivine(*arguments)
    assert code == 0
    kind, id = out.split()
    assert kind == "drives"
    assert [json.loads(line)["work"] for line in err.splitlines()[:-1]] == ["ingest: labels", "ingest"]
    assert "11 keyframes, 11 keyframes_in" in err.splitlines()[-1]
    code, out, err = olivine(*arguments, "--json")
    found = json.loads(out)
    # Whether it is there is known by the bytes of the labels.
    assert (code, [json.loads(line)["work"] for line in err.splitlines()]) == (0, ["ingest: labels"])
    assert set(found) == {"kind", "id", "data_digest", "counts", "quarantined", "summary"}
    assert (found["kind"], found["id"]) == (kind, id)
    made = open_artifact(open_store(str(tmp_path / "store")), "ingest", id)
    assert made.manifest.recipe["version"] == VERSION


def test_the_version_is_the_recipes_unless_it_is_said(olivine, chain, tmp_path):
    arguments = ["--drives", chain.root, "--store", tmp_path / "store", "--json"]
    assert olivine("ingest", *arguments, "--recipe", "tiny_cpu")[0] == 0
    code, _, err = olivine("ingest", *arguments, "--recipe", "olivine")
    assert code == 65
    assert err.startswith(f"olivine: {chain.root} has no version 'v1.0-trainval'; versions present: {VERSION}")


def test_quarantined_frames_are_shown(olivine, own_root, tmp_path, monkeypatch):
    monkeypatch.setattr("olivine.quarantine.MAX_BAD_SHARE", 0.1)
    sweep = next((own_root / "samples" / "LIDAR_TOP").iterdir())
    sweep.write_bytes(b"short")
    code, out, err = olivine("ingest", "--drives", own_root, "--version", VERSION, "--store", tmp_path / "store")
    assert code == 0
    left_out = [line for line in err.splitlines() if line.startswith("left out scene-")]
    assert len(left_out) == 1
    assert f"{sweep} has 5 bytes" in left_out[0]
    assert out.startswith("drives ")


def test_an_id_may_be_short(olivine, own_chain):
    short = own_chain.made["ingest"].id[:6]
    arguments = ["label", "--drives", short, "--store", own_chain.store.url, "--recipe", "tiny_cpu", "--json"]
    code, out, _ = olivine(*arguments, "--set", "label.keyframes_per_shard=4")
    assert code == 0
    assert json.loads(out)["id"] == own_chain.made["label"].id


def test_verify(olivine, own_chain):
    metrics = own_chain.made["evaluate"]
    code, out, _ = olivine("store", "verify", "evaluate", metrics.id[:12], "--store", own_chain.store.url)
    assert (code, out) == (0, f"metrics {metrics.id}: every byte is as it was published.\n")
    damage(own_chain, own_chain.made["ingest"], "shards/00003")
    code, out, err = olivine("store", "verify", "evaluate", metrics.id, "--store", own_chain.store.url)
    assert (code, out) == (65, "")
    assert err.startswith("olivine: 1 problems:\n")
    assert "shards/00003.tar" in err


def test_score(olivine, chain, tmp_path):
    drives, truth, found = chain.drives, tmp_path / "truth", tmp_path / "found"
    for folder in (truth, found):
        folder.mkdir()
    for token in drives.tokens("test"):
        label_N = drives.lidarseg(token)
        label_N.tofile(truth / f"{drives.column('lidar_token')[token]}_lidarseg.bin")
        label_N.clip(1).tofile(found / f"{drives.column('lidar_token')[token]}_lidarseg.bin")
    code, out, _ = olivine("score", "nuscenes-lidarseg", "--predictions", found, "--ground-truth", truth, "--json")
    assert code == 0
    assert json.loads(out)["miou"] == 1.0
    raw = ["--ground-truth", chain.root, "--version", VERSION]
    code, out, _ = olivine("score", "nuscenes-lidarseg", "--predictions", found, *raw)
    assert code == 0
    assert out.splitlines()[-1].split() == ["mIoU", "1.0000"]


def wrong_calls(chain: Chain, tmp_path: Path):
    """name -> (arguments, exit code, what the message must say)."""
    url, drives = chain.store.url, chain.made["ingest"].id
    on_chain = ["--store", url, "--recipe", "tiny_cpu"]
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "empty").mkdir()
    (tmp_path / "classes.json").write_text("{")
    ingest = ["ingest", "--drives", chain.root, "--store", url]
    label = ["label", "--drives", drives, *on_chain]
    score = ["score", "nuscenes-lidarseg", "--predictions"]
    finetune = ["finetune", "--drives", drives, "--backbone", chain.made["pretrain"].id, *on_chain]
    return {
        "unknown command": (["ingests"], 64, "No such command 'ingests'"),
        "unknown option": ([*ingest, "--verison", "x"], 64, "No such option: --verison"),
        "option without value": (["ingest", "--drives"], 64, "--drives"),
        "missing option": (["synth"], 64, "Missing option '--out'"),
        "number out of range": (["synth", "--out", "x", "--train-scenes", "3"], 64, "--train-scenes"),
        "no number": (["synth", "--out", "x", "--seed", "many"], 64, "--seed"),
        "width beyond the largest": (["synth", "--out", "x", "--image-width", "5000"], 64, "--image-width"),
        "unknown recipe": ([*ingest, "--recipe", "nope"], 64, "there is no recipe 'nope': choose one of random"),
        "unknown field": ([*label, "--set", "label.sed=1"], 64, "'label.sed=1' sets nothing"),
        "bad value": ([*label, "--set", "label.seed=-1"], 64, "label.seed = -1: Input should be greater than or equal"),
        "no drives": (["label", *on_chain], 64, "say which drives to use: --drives ID, as `olivine ingest` printed it"),
        "no folder given": (["ingest", "--store", url], 64, "say which raw drives to read: --drives FOLDER"),
        "no such folder": (["ingest", "--drives", tmp_path / "nowhere", "--store", url], 65, "nowhere is not a folder"),
        "a file for a folder": (["ingest", "--drives", tmp_path / "file", "--store", url], 65, "file is not a folder"),
        "empty folder": (["ingest", "--drives", tmp_path / "empty", "--store", url], 65, "holds no nuScenes tables"),
        "unknown version": ([*ingest, "--version", "v2"], 65, "has no version 'v2'; versions present: v1.0-mini"),
        "version that climbs out": ([*ingest, "--version", "../.."], 65, "has no version '../..'"),
        "unknown id": (["label", "--drives", "0" * 12, *on_chain], 64, f"is no drives in {url}. Give an id"),
        "unknown full id": (["label", "--drives", "0" * 64, *on_chain], 64, "is no drives in"),
        "id too short": (["label", "--drives", drives[:5], *on_chain], 64, f"here: {drives[:12]}"),
        "id that is a path": (["label", "--drives", "../../../etc", *on_chain], 64, "'../../../etc' is no drives"),
        "id of another kind": (
            ["finetune", "--drives", drives, "--backbone", chain.made["ingest"].id, *on_chain],
            64,
            "(it is of kind drives). Give an id or its first",
        ),
        "store that is none": (
            ["label", "--drives", drives, "--store", "ftp://host/x"],
            64,
            "is not a store: give a dir",
        ),
        "store that is a file": (
            ["label", "--drives", drives, "--store", tmp_path / "file"],
            78,
            "cannot be used as a",
        ),
        "store without permission": (
            ["label", "--drives", drives, "--store", "/sys/olivine"],
            78,
            "cannot be used as a",
        ),
        "empty store": (
            ["label", "--drives", drives, "--store", tmp_path / "new"],
            64,
            "holds no artifact: is --store right? If it is, run `olivine ingest` first",
        ),
        "unknown class list": ([*label, "-s", "label.classes=mine"], 64, "'mine' is no class list: give one of"),
        "broken class list": ([*label, "-s", f"label.classes={tmp_path}/classes.json"], 64, "not a class list"),
        "no masks": (
            [*label, "-s", "label.labeler=import"],
            64,
            "say where, --set label.folder=FOLDER, or take another one",
        ),
        "another network": ([*finetune, "-s", "finetune.network.coordinates=cylindrical"], 64, "with another network"),
        "empty fraction": (
            [*finetune, "-s", "finetune.every_nth=99"],
            64,
            "every_nth 99 keeps none of 8 scenes of train",
        ),
        "widths of no network": (
            ["finetune", "--drives", drives, *on_chain, "-s", "finetune.network.widths=[4]"],
            64,
            "a MinkUNet needs 9 widths",
        ),
        "unknown stage to verify": (["store", "verify", "drives", drives, "--store", url], 64, "'drives' is no stage"),
        "link into a directory": (["store", "link", url, "blobs/x"], 64, ""),
        "predictions that are not there": (
            [*score, tmp_path / "no", "--ground-truth", tmp_path],
            65,
            "is not a folder",
        ),
        "unknown split": ([*score, tmp_path, "--ground-truth", tmp_path, "--split", "val"], 64, "--split"),
        "executor input that is no JSON": (["ingest", "--executor-input", "{"], 64, "--executor-input"),
        "executor input that is none": (["ingest", "--executor-input", "{}"], 64, "--executor-input: outputs"),
        "unknown scale": (["demo", "--scale", "huge"], 64, "'huge' is not one of"),
        "official scores of no folder": (
            [
                *("evaluate", "--drives", drives, "--segmenter", chain.made["finetune"].id, *on_chain),
                *("--official", tmp_path / "nowhere"),
            ],
            64,
            "nowhere is no folder",
        ),
    }


def test_wrong_calls_end_in_one_line_and_their_exit_code(olivine, own_chain, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    for name, (arguments, code, message) in wrong_calls(own_chain, tmp_path).items():
        found, out, err = olivine(*arguments)
        assert found == code, (name, found, err)
        assert "Traceback" not in err, name
        told = [line for line in err.splitlines() if not line.startswith("{")]
        assert len(told) == 1, (name, err)
        assert told[0].startswith("olivine: "), name
        assert message in told[0], (name, told[0])
        assert out == "" or name.startswith("official"), (name, out)


def test_an_ambiguous_id_lists_what_it_may_mean(olivine, publish_sample, tmp_path, monkeypatch):
    monkeypatch.setattr("olivine.artifacts.artifact._SHORTEST_PREFIX", 1)
    store = open_store(str(tmp_path / "store"))
    ids = sorted(publish_sample(store, number).id for number in range(17))
    twins = next([one, two] for one, two in itertools.pairwise(ids) if one[0] == two[0])
    code, _, err = olivine("label", "--drives", twins[0][0], "--store", store.url)
    assert code == 64
    assert f"'{twins[0][0]}' matches several drives in" in err
    assert all(twin[:12] in err for twin in twins)


def test_a_corrupt_manifest_is_named(olivine, own_chain):
    artifact = own_chain.made["ingest"]
    path = Path(own_chain.store.url.removeprefix("file://")) / artifact.manifest.key
    for spoiled, message in (
        (b"{", "not a manifest"),
        (path.read_bytes().replace(b"scene-0061", b"scene-0062"), "changed"),
    ):
        path.write_bytes(spoiled)
        code, _, err = olivine("label", "--drives", artifact.id, "--store", own_chain.store.url)
        assert code == 65
        assert err.startswith(f"olivine: {own_chain.store.url}/{artifact.manifest.key}: ")
        assert message in err
        assert "Restore it from a copy, or delete it and run its stage again" in err


def test_a_failure_that_is_nobodys_word_is_told_too(olivine, monkeypatch):
    def fail(*arguments):
        raise PermissionError(13, "Permission denied", "/data/v1.0-mini/scene.json")

    monkeypatch.setattr("olivine.steps.run_step", fail)
    code, _, err = olivine("ingest", "--drives", "/data")
    assert code == 65
    assert err.startswith("olivine: /data/v1.0-mini/scene.json: Permission denied. Check that")


def test_of_several_processes_the_first_speaks(olivine, chain, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    code, out, err = olivine(
        "label", "--drives", chain.made["ingest"].id, *on(chain), "-s", "label.keyframes_per_shard=4"
    )
    assert (code, out, err) == (0, "", "")


def on(chain):
    return "--store", chain.store.url, "--recipe", "tiny_cpu"


def test_as_a_user_calls_it(chain):
    """In a process of its own: the module, its exit codes, its streams."""
    answer = command_line("recipes")
    assert (answer.returncode, answer.stderr) == (0, "")
    answer = command_line("label", "--drives", "0" * 12, "--store", chain.store.url)
    assert answer.returncode == 64
    assert answer.stderr.startswith("olivine: '000000000000' is no drives in")
    assert answer.stderr.count("\n") == 1


def test_the_first_process_of_a_container_ends_on_sigterm() -> None:
    # The kernel keeps a signal without a handler from such a process: it needs one, whose exit code is what is seen here.
    program = "import os, signal; os.getpid = lambda: 1; from olivine.cli import program; "
    program += "program.app = lambda **_: signal.raise_signal(signal.SIGTERM); program.main()"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 128 + signal.SIGTERM


def test_the_help_waits_for_nothing_that_a_command_imports() -> None:
    heavy = ("torch", "numpy", "pyarrow", "PIL", "pydantic", "obstore", "kfp")
    program = "import sys; sys.argv = ['olivine', '--help']; from olivine.cli import main\ntry: main()\nfinally: "
    program += f"sys.exit(' '.join(name for name in {heavy} if name in sys.modules) or 0)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")
