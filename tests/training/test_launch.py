"""The launcher's own part; test_training_processes.py starts real processes."""

from __future__ import annotations

import json

import pytest

from olivine.errors import DataError, UsageError
from olivine.training.launch import Launch, _explain, without_launch_flags, write_error_file


@pytest.fixture(autouse=True)
def _no_pet(monkeypatch):
    for name in ("PET_NNODES", "PET_NPROC_PER_NODE", "PET_MASTER_ADDR", "RANK", "TORCHELASTIC_ERROR_FILE"):
        monkeypatch.delenv(name, raising=False)


def test_a_worker_gets_the_command_without_the_launch():
    given = [
        "pretrain",
        "--launch",
        "--nproc",
        "2",
        "--drives",
        "a",
        "--nnodes=2",
        "--node-rank",
        "1",
        "--zero",
        "1",
        "--master",
        "h:1",
        "--set",
        "a=b",
    ]
    assert without_launch_flags(given) == ["pretrain", "--drives", "a", "--zero", "1", "--set", "a=b"]


def test_one_node_and_several():
    assert Launch(2).torchrun_arguments() == ["--max-restarts", "0", "--nproc-per-node", "2", "--standalone"]
    several = Launch(2, 3, 1, "10.0.0.1:29500").torchrun_arguments()
    assert several[-8:] == ["--nnodes", "3", "--node-rank", "1", "--master-addr", "10.0.0.1", "--master-port", "29500"]
    with pytest.raises(UsageError, match="--nnodes needs --master HOST:PORT"):
        Launch(2, 2).torchrun_arguments()
    with pytest.raises(UsageError, match="--master is 'host', but must be HOST:PORT"):
        Launch(2, 2, 0, "host").torchrun_arguments()


def test_what_the_trainer_sets_is_left_to_torchrun(monkeypatch):
    monkeypatch.setenv("PET_NNODES", "4")
    monkeypatch.setenv("PET_NPROC_PER_NODE", "8")
    assert Launch().torchrun_arguments() == ["--max-restarts", "0"]


def test_the_code_comes_from_the_error_file(tmp_path, monkeypatch, capsys):
    file = tmp_path / "error.json"
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(file))
    write_error_file(DataError("bad"))
    assert not file.exists(), "no process of torchrun"
    monkeypatch.setenv("RANK", "3")
    write_error_file(DataError("bad"))
    assert json.loads(file.read_text())["message"]["message"] == "bad"
    assert _explain(file, False) == 65
    assert capsys.readouterr().err == "olivine: rank 3 ended the run with code 65.\n"


@pytest.mark.parametrize(("content", "stopped", "code"), [(None, True, 143), (None, False, 75), ("{", False, 75)])
def test_without_a_file_it_is_the_infrastructure(tmp_path, content, stopped, code):
    file = tmp_path / "error.json"
    if content:
        file.write_text(content)
    assert _explain(file, stopped) == code
