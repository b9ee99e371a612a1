"""The command line as a program: the process it runs in, and how an error ends it."""

from __future__ import annotations

import os
import signal
import sys

import typer

from olivine.cli.commands import app
from olivine.errors import DataError, OlivineError, UsageError
from olivine.memory import keep_freed_memory


def main() -> None:
    """Run the command line; errors end with their message and exit code."""
    keep_freed_memory()
    if os.getpid() == 1:
        # The first process of a container gets no signal that it has no handler for; this one is what SIGTERM does.
        signal.signal(signal.SIGTERM, lambda number, frame: os._exit(128 + number))
    try:
        sys.exit(app(standalone_mode=False))
    except OlivineError as error:
        _tell_launcher(error)
        print(f"olivine: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except typer.TyperException as error:
        # What the parser of the command line refuses is a wrong call like any other. No arguments at all ask for help.
        # Pydantic's own prefix says nothing to who typed the option.
        message = error.format_message().replace("Value error, ", "")
        _tell_launcher(UsageError(message))
        if message:
            print(f"olivine: {message} `--help` shows the options.", file=sys.stderr)
        sys.exit(UsageError.exit_code)
    except OSError as error:
        _tell_launcher(DataError(str(error)))
        told = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        print(f"olivine: {told}. Check that the file or folder is there and may be used.", file=sys.stderr)
        sys.exit(DataError.exit_code)
    except Exception as error:
        _tell_launcher(error)
        raise


def _tell_launcher(error: Exception) -> None:
    from olivine.training.launch import write_error_file

    write_error_file(error)
