from __future__ import annotations

import random

import numpy as np
import torch

from olivine.training.rng import rng_state, set_rng_state
from olivine.training.tensors import bytes_tensors, tensors_bytes


def draw():
    return random.gauss(0, 1), float(np.random.standard_normal()), torch.randn(3).tolist()


def test_every_generator_goes_on_where_it_was_saved():
    # Odd numbers of normal draws leave a second one waiting in Python and NumPy.
    draw()
    saved = tensors_bytes(rng_state())
    expected = [draw() for _ in range(3)]
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    assert draw() != expected[0]
    set_rng_state(bytes_tensors(saved, "rng"))
    assert [draw() for _ in range(3)] == expected
