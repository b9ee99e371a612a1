"""`olivine pretrain --launch`: start the processes of this node, pass signals on, and end with the documented code.

`torchrun` ends with 1 whatever its workers end with. Each worker leaves its error in the file that torchrun names
(TORCHELASTIC_ERROR_FILE), torchrun hands on that of the first failure, and the launcher reads the code from it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from olivine.errors import Interrupted, OlivineError, PeerError, UsageError

_FLAGS_WITH_VALUE = ("--nproc", "--nnodes", "--node-rank", "--master")
_FILE = "TORCHELASTIC_ERROR_FILE"


@dataclass(frozen=True)
class Launch:
    """How many processes, on which of how many nodes. What is None is taken from torchrun's own PET_* environment."""

    nproc: int | None = None
    nnodes: int | None = None
    node_rank: int | None = None
    master: str | None = None

    def torchrun_arguments(self) -> list[str]:
        """Flags of torchrun; no restarts within a job, which cannot rejoin (docs/reliability.md).

        Raises:
            UsageError: several nodes without the address of the first.
        """
        # Trainer's runtimes say all of it in the environment.
        given = "PET_NNODES" in os.environ
        arguments = ["--max-restarts", "0"]
        if self.nproc is not None or "PET_NPROC_PER_NODE" not in os.environ:
            arguments += ["--nproc-per-node", str(self.nproc or _default_nproc())]
        if (self.nnodes or 1) == 1:
            return arguments if given and self.nnodes is None else [*arguments, "--standalone"]
        if self.master is None and "PET_MASTER_ADDR" not in os.environ:
            raise UsageError("--nnodes needs --master HOST:PORT, an address of the node of --node-rank 0.")
        arguments += ["--nnodes", str(self.nnodes), "--node-rank", str(self.node_rank or 0)]
        if self.master is not None:
            host, _, port = self.master.rpartition(":")
            if not host or not port.isdigit():
                raise UsageError(f"--master is {self.master!r}, but must be HOST:PORT, as in 10.0.0.1:29500.")
            arguments += ["--master-addr", host, "--master-port", port]
        return arguments


def launch(arguments: list[str], how: Launch) -> int:
    """Run `olivine` with these arguments, launch flags among them, in the processes of this node.

    Args:
        arguments: the command line after `olivine`.
        how: which processes.

    Returns:
        0, or the exit code of the first failure: 64, 65, 78 for a mistake, 143 after SIGTERM, 75 for a process that
        was killed or hung.
    """
    with tempfile.TemporaryDirectory(prefix="olivine-launch-") as folder:
        error_file = Path(folder, "error.json")
        command = [sys.executable, "-m", "torch.distributed.run", *how.torchrun_arguments()]
        command += ["--log-dir", folder, "-m", "olivine", *without_launch_flags(arguments)]
        signals = _Signals()
        child = subprocess.Popen(command, env=os.environ | {_FILE: str(error_file)})
        signals.pass_on_to(child)
        return _explain(error_file, bool(signals.received)) if child.wait() else 0


def without_launch_flags(arguments: list[str]) -> list[str]:
    """The command line of a worker."""
    kept, skip = [], False
    for argument in arguments:
        if skip or argument == "--launch" or argument.split("=")[0] in _FLAGS_WITH_VALUE:
            skip = not skip and argument in _FLAGS_WITH_VALUE
            continue
        kept.append(argument)
    return kept


def write_error_file(error: BaseException) -> None:
    """Leave an error where torchrun looks for it; nothing happens in a process that torchrun did not start."""
    path = os.environ.get(_FILE)
    if not path or "RANK" not in os.environ:
        return
    code = error.exit_code if isinstance(error, OlivineError) else OlivineError.exit_code
    extra = {"exit_code": code, "rank": int(os.environ["RANK"]), "timestamp": str(int(time.time()))}
    try:
        Path(path).write_text(json.dumps({"message": {"message": str(error), "extraInfo": extra}}))
    except OSError as problem:
        print(f"olivine: {path} cannot be written ({problem}); the launcher will not know the code.", file=sys.stderr)


def _explain(error_file: Path, stopped: bool) -> int:
    found = _read(error_file)
    if found is not None:
        print(f"olivine: rank {found['rank']} ended the run with code {found['exit_code']}.", file=sys.stderr)
        return int(found["exit_code"])
    if stopped:
        print("olivine: stopped before the first step ended; run it again.", file=sys.stderr)
        return Interrupted.exit_code
    print(
        "olivine: a process of this node was killed, or another node is gone (torchrun says which above). Run the "
        "same command again: it goes on from the newest complete checkpoint.",
        file=sys.stderr,
    )
    return PeerError.exit_code


def _read(error_file: Path) -> dict[str, Any] | None:
    try:
        extra: dict[str, Any] = json.loads(error_file.read_text())["message"]["extraInfo"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return extra if {"exit_code", "rank"} <= extra.keys() else None


class _Signals:
    """SIGTERM and SIGINT, also those that come before there is a child: torchrun gives its workers time for a
    checkpoint."""

    def __init__(self) -> None:
        self.received: list[int] = []
        self._child: subprocess.Popen[bytes] | None = None
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._receive)

    def pass_on_to(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        if self.received:
            child.send_signal(signal.SIGTERM)

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        self.received.append(signum)
        if self._child:
            self._child.send_signal(signal.SIGTERM)


def _default_nproc() -> int:
    import torch

    return max(torch.cuda.device_count(), 1)
