"""The state of every random generator of a process, as tensors that a checkpoint can hold.

Samples and draws have generators of their own, seeded by their place; the global ones are kept for whatever a module
of a model may draw from.
"""

from __future__ import annotations

import random

import numpy as np
import torch
from torch import Tensor


def rng_state() -> dict[str, Tensor]:
    """States of Python, NumPy and torch (CPU, and the current GPU where there is one) by name."""
    _, python_words, python_next = random.getstate()
    _, numpy_words, position, has_gauss, gauss = np.random.get_state()
    states = {
        "torch": torch.get_rng_state(),
        "python": torch.tensor(python_words, dtype=torch.int64),
        "python_gauss": torch.tensor([] if python_next is None else [python_next], dtype=torch.float64),
        "numpy": torch.from_numpy(np.asarray(numpy_words).astype(np.int64)),
        "numpy_place": torch.tensor([position, has_gauss], dtype=torch.int64),
        "numpy_gauss": torch.tensor([gauss], dtype=torch.float64),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def set_rng_state(states: dict[str, Tensor]) -> None:
    """Put the states back; that of a GPU only where there is one."""
    torch.set_rng_state(states["torch"])
    python_next = states["python_gauss"].tolist()
    random.setstate((3, tuple(states["python"].tolist()), python_next[0] if python_next else None))
    position, has_gauss = states["numpy_place"].tolist()
    words = states["numpy"].numpy().astype(np.uint32)
    np.random.set_state(("MT19937", words, position, has_gauss, float(states["numpy_gauss"])))
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])
