"""Half precision by autocast: 16 bits for the large products, parameters and their gradients in float32."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

Precision = Literal["fp32", "bf16", "fp16"]

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def half_precision(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Autocast on the device, nothing for fp32.

    The range of bf16 is that of float32. That of fp16 ends at 65 504 and begins at 6e-8: gradients need a scaled loss
    (`Engine`), and a forward pass beyond the range gives infinite features.
    """
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, _DTYPES[precision])
