"""Runs whose steps are containers, with a program in the place of the engine; tests/docker runs them in a real one."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fake_engine import IMAGE
from runner_bench import Bench

from olivine.errors import ConfigError, DataError, Interrupted, UsageError
from olivine.platform import engine as engines
from olivine.platform.containers import absolute_folders, prepare_containers
from olivine.platform.engine import Engine, find_engine
from olivine.platform.local import run_pipeline
from olivine.platform.result import RunResult
from olivine.store.keys import parse_location

SECRET = "a-secret-of-the-store"  # pragma: allowlist secret


@dataclass
class FakeEngine:
    """A folder with the engine's program, and the notes of its calls."""

    folder: Path
    bench: Bench

    def calls(self, word: str) -> list[list[str]]:
        notes = [json.loads(path.read_text()) for path in sorted((self.folder / "notes").glob("[0-9]*.json"))]
        return [note for note in notes if note[0] == word]

    def environment(self, step: str) -> dict[str, str]:
        return dict(json.loads((self.folder / "notes" / f"env-{step}.json").read_text()))

    def run(self, *actions: str, timeout_s: float = 120.0, **given: Any) -> RunResult:
        settings = [f"act={action}" for action in actions]
        parameters = {"drives": "raw", "store": self.bench.store, "settings": settings, "seeds": [0]} | given
        return run_pipeline("full", parameters, None, self.bench.watched, timeout_s, IMAGE)


@pytest.fixture
def engine(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """`podman`, and no `docker`, as the only program that an engine could be."""
    folder = bench.folder / "engine"
    (folder / "notes").mkdir(parents=True)
    install(folder / "podman")
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr("shutil.which", lambda name: str(folder / name) if (folder / name).exists() else None)
    monkeypatch.setenv("FAKE_ENGINE_NOTES", str(folder / "notes"))
    monkeypatch.setenv("OLIVINE_CACHE", str(bench.folder / "cache"))
    return FakeEngine(folder, bench)


def install(program: Path) -> None:
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).with_name("fake_engine.py")} "$@"\n')
    program.chmod(0o755)


def mounts_of(call: list[str]) -> list[str]:
    return [call[place + 1] for place, option in enumerate(call) if option == "--mount"]


def test_every_step_runs_in_the_image_with_its_folders_and_with_credentials_by_name(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = engine.bench.folder / "raw"
    raw.mkdir()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("SOMETHING_ELSE", SECRET)
    result = engine.run(drives=str(raw))
    runs = engine.calls("run")
    probe, *steps = [call for call in runs if "close" not in call]
    assert len(steps) == len(result.steps) == 9
    assert [step[-4:-1] for step in steps[:2]] == [
        ["olivine", word, "--executor-input"] for word in ("ingest", "label")
    ]
    assert {step[step.index("olivine") - 1] for step in steps} == {IMAGE}
    (scratch,) = [mount for mount in mounts_of(probe) if "olivine-run-" in mount]
    for call in runs:
        written = [engine.bench.store, str(engine.bench.folder / "cache")]
        assert {f"type=bind,source={path},target={path}" for path in written} | {scratch} <= set(mounts_of(call))
        assert f"type=bind,source={raw},target={raw},readonly" in mounts_of(call)
        assert {"--read-only", "no-new-privileges", "never"} <= set(call)
        assert call[call.index("--user") + 1] == f"{os.getuid()}:{os.getgid()}"
    given = engine.environment("ingest")
    assert given["OLIVINE_IMAGE_DIGEST"] == "sha256:" + "ab" * 32
    assert given["AWS_SECRET_ACCESS_KEY"] == SECRET
    assert "SOMETHING_ELSE" not in given
    assert SECRET not in str(runs)
    assert SECRET not in str(engine.bench.watched.lines)


def test_a_container_that_fails_fails_the_run_with_its_code_and_message(engine: FakeEngine) -> None:
    with pytest.raises(DataError, match="ingest: the reason for 65") as failed:
        engine.run("ingest:exit 65")
    assert failed.value.exit_code == 65


def test_a_step_that_hangs_is_stopped_and_what_is_left_is_removed(engine: FakeEngine) -> None:
    with pytest.raises(Interrupted, match="ingest: not done after 2 s"):
        engine.run("ingest:hang", timeout_s=2.0)
    (label,) = {call[call.index("--label") + 1] for call in engine.calls("run")}
    assert engine.calls("ps")[-1][-1] == f"label={label}"
    assert engine.calls("rm")[-1] == ["rm", "--force", "left-over"]


def test_a_path_in_a_setting_or_a_variable_is_visible_too(
    engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, masks = tmp_path / "key.pem", tmp_path / "masks"
    key.touch()
    masks.mkdir()
    monkeypatch.setenv("OLIVINE_SIGNING_KEY", str(key))
    parameters = {"store": "s3://bucket/prefix", "settings": [f'label.folder="{masks}"', "label.labeler=import"]}
    made = prepare_containers(IMAGE, parameters, tmp_path / "scratch")
    assert {key, masks} <= {path for path, writable in made.mounts.items() if not writable}
    assert {path for path, writable in made.mounts.items() if writable} == {
        tmp_path / "scratch", engine.bench.folder / "cache",
    }  # fmt: skip


def test_relative_folders_are_those_of_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"store": "./store", "drives": "raw", "recipe": "olivine"}
    assert absolute_folders(given) == {
        "store": str(tmp_path / "store"), "drives": str(tmp_path / "raw"), "recipe": "olivine",
    }  # fmt: skip
    assert absolute_folders({"store": "s3://bucket/a", "drives": f"file://{tmp_path}"}) == {
        "store": "s3://bucket/a", "drives": str(tmp_path),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["~/s", "file:///tmp/a%20b", "file://localhost/tmp/x", "link/s"])
def test_the_store_is_that_of_the_same_run_without_containers(
    engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert absolute_folders({"store": name})["store"] == str(parse_location(name).directory)


def test_a_store_that_is_none_is_refused_before_a_container_starts() -> None:
    with pytest.raises(UsageError, match="is not a store"):
        absolute_folders({"store": "file://elsewhere/tmp/x"})


def test_the_store_and_weights_named_by_a_uri_are_visible(engine: FakeEngine, tmp_path: Path) -> None:
    store, weights = tmp_path / "a store", tmp_path / "my weights"
    weights.mkdir()
    settings = [f'label.segmenter.weights="{weights.as_uri()}"']
    made = prepare_containers(IMAGE, {"store": store.as_uri(), "settings": settings}, tmp_path / "scratch")
    assert made.mounts[store]
    assert made.mounts[weights] is False


def test_without_an_engine_the_message_says_what_each_lacks(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ENGINE_ACT", "down")
    with pytest.raises(
        ConfigError, match=r"podman does not answer \(Cannot connect to the engine\); docker is not inst"
    ):
        engine.run()
    assert not engine.calls("run")


@pytest.mark.parametrize("program", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\nexec sleep 60\n"])
def test_docker_is_taken_where_podman_does_not_work(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    (engine.folder / "podman").write_text(program)
    install(engine.folder / "docker")
    monkeypatch.setattr(engines, "_ASK_S", 5.0)
    assert find_engine() == Engine("docker", rootless=False)


@pytest.mark.parametrize(
    ("name", "rootless", "options"),
    [
        ("podman", True, ["--userns", "keep-id"]),
        ("docker", True, ["--user", "0:0"]),
        ("docker", False, ["--user", f"{os.getuid()}:{os.getgid()}"]),
    ],
)
def test_what_a_container_writes_belongs_to_the_caller(name: str, rootless: bool, options: list[str]) -> None:
    assert Engine(name, rootless).as_caller() == options


def test_an_image_that_is_not_there_is_named_with_what_to_do(engine: FakeEngine, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no image 'olivine:other' \(olivine:other: image not known\)\. Build one"):
        prepare_containers("olivine:other", {}, tmp_path)


@pytest.mark.parametrize("image", ["--privileged", "a b", "", "name@sha256:12"])
def test_what_is_no_name_of_an_image_is_refused(engine: FakeEngine, tmp_path: Path, image: str) -> None:
    with pytest.raises(UsageError, match="is no name of an image"):
        prepare_containers(image, {}, tmp_path)
    assert not engine.calls("image")


@pytest.mark.parametrize(
    ("act", "said"),
    [("blind", "not visible or not readable in a container of podman: /"), ("no_olivine", "No module named 'oli")],
)
def test_what_would_fail_in_every_step_is_said_before_the_first(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, act: str, said: str
) -> None:
    monkeypatch.setenv("FAKE_ENGINE_ACT", act)
    with pytest.raises(ConfigError, match=said):
        prepare_containers(IMAGE, {}, tmp_path)


def test_a_path_that_cannot_be_mounted_is_refused(engine: FakeEngine, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="with a comma"):
        prepare_containers(IMAGE, {"store": str(tmp_path / "a,readonly")}, tmp_path)


def test_an_image_without_containers_is_a_wrong_call(olivine: Callable[..., tuple[int, str, str]]) -> None:
    code, _, said = olivine("run", "full", "--image", "olivine:dev")
    assert (code, said) == (64, "olivine: --image names the image of containers: add --container.\n")
