"""Where foundation models run, how many images at once, and what happens when the memory is too small."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import torch

from olivine.errors import ConfigError, UsageError

Item = TypeVar("Item")
Result = TypeVar("Result")

_DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


def choose_device(name: str) -> torch.device:
    """`auto`: the GPU of this process (LOCAL_RANK) where there is one, else the processor.

    Raises:
        UsageError: a GPU is asked for by name and there is none, or no such device.
    """
    if name == "auto":
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"label.execution.device: {str(error).splitlines()[0]}") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"label.execution.device is {name}, but torch sees no GPU here: use cpu or auto.")
    return device


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """Half precision on a GPU where the recipe asks for it."""
    return torch.autocast(device.type, _DTYPES.get(precision), enabled=device.type != "cpu" and precision != "fp32")


def in_batches(
    items: Sequence[Item], batch: int, device: torch.device, call: Callable[[Sequence[Item]], list[Result]]
) -> list[Result]:
    """`call` on runs of at most `batch` items, one on a processor; a run that the memory cannot hold is halved.

    Raises:
        ConfigError: a single item does not fit.
    """
    size = batch if device.type != "cpu" else 1
    results: list[Result] = []
    while len(results) < len(items):
        try:
            results += call(items[len(results) : len(results) + size])
        except torch.OutOfMemoryError as error:
            if size == 1:
                raise ConfigError(
                    f"{device} cannot hold one image: use half precision (label.detector.precision=fp16), a smaller "
                    f"network, or another device. {str(error).splitlines()[0]}"
                ) from error
            torch.cuda.empty_cache()
            size //= 2
    return results
