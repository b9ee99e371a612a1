"""The command line: one module for a group of commands, each of which imports what it needs when it is called."""

from olivine.cli.commands import app
from olivine.cli.program import main

__all__ = ["app", "main"]
