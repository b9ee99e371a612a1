"""W9, the weakly supervised contrastive loss, forward and backward: `python -m benchmarks.w9_contrast`.

4 096 pairs of 64 features in 17 categories, features as they are after some training: those of a category lie close
together, and a share of the weak labels is wrong. Every contender runs in a process of its own. After its time it is
asked for its loss at the temperatures 0.07 and 0.01 in single and in half precision: one that is not finite ends a
training.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.inputs import digest
from benchmarks.measure import compare, main, repeat, row

NUM_PAIRS, DIM, NUM_CATEGORIES, TEMPERATURE = 4096, 64, 17, 0.07
SPREAD, WRONG_LABELS = 0.05, 0.1
SETTINGS = [(0.07, torch.float32), (0.01, torch.float32), (0.07, torch.float16), (0.01, torch.float16)]

Contender = Callable[[Tensor, Tensor, Tensor, float], Tensor]


def pairs() -> tuple[Tensor, Tensor, Tensor]:
    """Unit features of points and of pixels [M, D], float32, around their category's direction; weak labels [M]."""
    generator = torch.Generator().manual_seed(0)
    # Long-tailed, as the categories of a street are.
    frequency_K = 0.7 ** torch.arange(NUM_CATEGORIES)
    categories_M = torch.multinomial(frequency_K, NUM_PAIRS, replacement=True, generator=generator)
    directions_KD = functional.normalize(torch.randn(NUM_CATEGORIES, DIM, generator=generator), dim=1)
    points_MD, pixels_MD = (
        directions_KD[categories_M] + SPREAD * torch.randn(NUM_PAIRS, DIM, generator=generator) for _ in range(2)
    )
    wrong_M = torch.rand(NUM_PAIRS, generator=generator) < WRONG_LABELS
    other_M = categories_M[torch.randperm(NUM_PAIRS, generator=generator)]
    labels_M = torch.where(wrong_M, other_M, categories_M)
    return functional.normalize(points_MD, dim=1), functional.normalize(pixels_MD, dim=1), labels_M


def exp_log(points_MD: Tensor, pixels_MD: Tensor, categories_M: Tensor, temperature: float) -> Tensor:
    """Published formulation: exponentials of all pairs, a mask of positives, the logarithm of the quotient."""
    exponentials_MM = torch.exp(points_MD @ pixels_MD.T / temperature)
    positive_MM = (categories_M[:, None] == categories_M[None, :]).to(exponentials_MM.dtype)
    return -torch.log((exponentials_MM * positive_MM).sum(dim=1) / exponentials_MM.sum(dim=1)).mean()


def olivine(points_MD: Tensor, pixels_MD: Tensor, categories_M: Tensor, temperature: float) -> Tensor:
    """Ours: log-sum-exp over blocks of one category, in chunks of rows."""
    from olivine.losses.category_aware import category_aware_contrastive

    return category_aware_contrastive(points_MD, pixels_MD, categories_M, temperature)


def sup_con(points_MD: Tensor, pixels_MD: Tensor, categories_M: Tensor, temperature: float) -> Tensor:
    """SupConLoss of pytorch-metric-learning: the mean of logarithms over positives, another loss of the same cost."""
    from pytorch_metric_learning.losses import SupConLoss

    loss: Tensor = SupConLoss(temperature)(points_MD, categories_M, ref_emb=pixels_MD, ref_labels=categories_M)
    return loss


CONTENDERS: dict[str, Contender] = {contender.__name__: contender for contender in (exp_log, olivine, sup_con)}


def measure(contender: str) -> dict[str, Any]:
    """One contender in this process: time and memory of a step, its loss, and whether it stays finite."""
    points_MD, pixels_MD, categories_M = pairs()
    call = CONTENDERS[contender]
    step = functools.partial(_step, call, points_MD, pixels_MD, categories_M, TEMPERATURE)
    result = repeat(step)
    result["loss"], _ = step()
    result["finite"] = {
        f"{temperature} {str(dtype).removeprefix('torch.')}": _is_finite(call, temperature, dtype)
        for temperature, dtype in SETTINGS
    }
    return result


def _step(
    call: Contender, points_MD: Tensor, pixels_MD: Tensor, categories_M: Tensor, temperature: float
) -> tuple[float, list[Tensor]]:
    features = [points_MD.detach().requires_grad_(), pixels_MD.detach().requires_grad_()]
    loss = call(features[0], features[1], categories_M, temperature)
    return float(loss.detach()), list(torch.autograd.grad(loss, features))


def _is_finite(call: Contender, temperature: float, dtype: torch.dtype) -> bool:
    points_MD, pixels_MD, categories_M = pairs()
    loss, gradients = _step(call, points_MD.to(dtype), pixels_MD.to(dtype), categories_M, temperature)
    return math.isfinite(loss) and all(bool(gradient.isfinite().all()) for gradient in gradients)


def exact_loss() -> float:
    """The published formulation in float64: what errors are measured against."""
    points_MD, pixels_MD, categories_M = pairs()
    return float(exp_log(points_MD.double(), pixels_MD.double(), categories_M, TEMPERATURE))


def run() -> list[dict[str, Any]]:
    """Run all contenders on the same pairs; three rows: time, memory, settings at which loss or gradient break."""
    results = compare("benchmarks.w9_contrast", CONTENDERS)
    ours, reference = results["olivine"], results["exp_log"]
    points_MD, pixels_MD, _ = pairs()
    about = {
        "input": f"{NUM_PAIRS} pairs, {DIM} features, {NUM_CATEGORIES} categories, temperature {TEMPERATURE}",
        "digest": digest(np.concatenate([points_MD.numpy(), pixels_MD.numpy()])),
        "relative_error": abs(ours["loss"] - exact_loss()) / abs(exact_loss()),
        "contenders": results,
    }
    broken, broken_reference = (sum(not finite for finite in result["finite"].values()) for result in (ours, reference))
    return [
        row("W9 time", ours["median_ms"], reference["median_ms"], 1.0, "ms per step") | about,
        row("W9 memory", ours["peak_mb"], reference["peak_mb"], 1.0, "MB"),
        {
            "id": "W9 finite",
            "ours": broken,
            "reference": broken_reference,
            "ratio": None,
            "goal": "0 broken",
            "met": broken == 0,
            "unit": f"of {len(SETTINGS)} settings without a finite loss and gradient",
        },
    ]


if __name__ == "__main__":
    main(__doc__, run, measure)
