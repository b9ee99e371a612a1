"""The command line in the process of the tests: no interpreter to start."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from olivine.cli import program


@pytest.fixture
def olivine(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Call the command line in this process: (exit code, stdout, stderr)."""

    # It is of the whole process, and this one goes on to other tests.
    monkeypatch.setattr(program, "keep_freed_memory", lambda: None)

    def call(*arguments: Any) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["olivine", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            program.main()
        out, err = capsys.readouterr()
        code = end.value.code or 0
        assert isinstance(code, int)
        return code, out, err

    return call
