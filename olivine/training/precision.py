"""Half precision by autocast: bfloat16 for the large products, parameters and their gradients in float32."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

Precision = Literal["fp32", "bf16"]


def half_precision(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Autocast on the device for bf16, nothing for fp32. Its range is that of float32, so no loss is scaled."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)
