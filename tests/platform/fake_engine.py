"""Stands for Podman in the tests of the runner: it notes each call and runs the step as a process, with the environment
that a container would have. What it is told by FAKE_ENGINE_ACT: `down`, `blind` (no folder is visible), `no_olivine`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

ACT = os.environ.get("FAKE_ENGINE_ACT", "")
IMAGE = "olivine:test"
SWITCHES = ("--rm", "--read-only")


def main() -> int:
    arguments = sys.argv[1:]
    (notes() / f"{time.monotonic_ns()}.json").write_text(json.dumps(arguments))
    if ACT == "down":
        return fail("Cannot connect to the engine")
    if arguments[0] == "info":
        print("false")
    elif arguments[:2] == ["image", "inspect"]:
        if arguments[-1] != IMAGE:
            return fail(f"{arguments[-1]}: image not known")
        print("ab" * 32)
    elif arguments[0] == "ps":
        print("left-over")
    elif arguments[0] == "run":
        return run(arguments[1:])
    return 0


def run(arguments: list[str]) -> int:
    passed = {}
    while arguments[0].startswith("-"):
        option = arguments.pop(0)
        value = "" if option in SWITCHES else arguments.pop(0)
        if option == "--env":
            passed[value] = os.environ[value]
    command = arguments[1:]
    # What an image has of its own, and where the stand-in for the steps writes its notes.
    own = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "STAND_IN_NOTES") if name in os.environ}
    if command[0] == "python3":
        if ACT == "no_olivine":
            return fail("Traceback ...\nModuleNotFoundError: No module named 'olivine'")
        if ACT == "blind":
            print(command[-1])
            return 0
        return subprocess.run([sys.executable, *command[1:]], env=own, check=False).returncode
    (notes() / f"env-{command[1]}.json").write_text(json.dumps(passed))
    stand_in = Path(__file__).with_name("stand_in.py")
    return os.execve(sys.executable, [sys.executable, str(stand_in), *command[1:]], own | passed)


def notes() -> Path:
    return Path(os.environ["FAKE_ENGINE_NOTES"])


def fail(said: str) -> int:
    print(said, file=sys.stderr)
    return 125


if __name__ == "__main__":
    sys.exit(main())
