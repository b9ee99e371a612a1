"""A worker process that answers a JSON line with a JSON line, for as long as a test needs it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def conversation(script: Path, environment: dict[str, str]) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    """Start the script; yield the call that asks it something."""
    process = subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdin is not None
    assert process.stdout is not None
    asked, answered = process.stdin, process.stdout

    def ask(request: dict[str, Any]) -> dict[str, Any]:
        asked.write(json.dumps(request) + "\n")
        asked.flush()
        return dict(json.loads(answered.readline()))

    yield ask
    asked.close()
    process.wait()
    answered.close()
