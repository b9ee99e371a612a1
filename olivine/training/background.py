"""Write a checkpoint beside the training: from a copy, one at a time, and no failure is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from olivine.training.checkpoint import Checkpoint


class Background:
    """One thread that writes. Starting a second checkpoint waits for the first."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None

    def start(self, write: Callable[[Checkpoint], None], checkpoint: Checkpoint) -> None:
        """Copy the tensors to memory and write them while the training goes on.

        Raises:
            OlivineError: what the checkpoint before failed with.
        """
        self.finish()
        copies = {
            name: {key: tensor.detach().to("cpu", copy=True) for key, tensor in tensors.items()}
            for name, tensors in checkpoint.tensors.items()
        }
        copy = replace(checkpoint, tensors=copies)

        def run() -> None:
            try:
                write(copy)
            except Exception as error:
                self._failure = error

        # A daemon: a training that failed must not wait for shards that never come. It does wait for puts under way:
        # they run in a pool, whose threads the interpreter joins at its end.
        self._thread = threading.Thread(target=run, name="olivine-checkpoint", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Wait until everything is written; raise what it failed with."""
        if self._thread:
            self._thread.join()
        failure, self._failure = self._failure, None
        if failure:
            raise failure
