"""A frozen network behind the interface of `ImageEncoder`: what all real encoders share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from olivine.errors import DataError
from olivine.models.image.encoder import check_images, config_digest
from olivine.models.image.families import Colour

Precision = Literal["fp32", "bf16", "fp16"]
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

GPU_IMAGES = 8
"""Images that a GPU takes at once: enough to fill it, and a bound on memory however large the batch."""


@dataclass(frozen=True)
class Facts:
    """What is to be known of a network beside its parameters."""

    name: str
    weights_sha256: str
    """Of the parameters or of the file they came from: part of the encoder's digest."""
    stride: int
    channels: int
    mean: Colour
    std: Colour
    simulated_note: str | None = None


class FrozenEncoder:
    """A network that maps normalised images [B, 3, H, W] to features [B, C, H / stride, W / stride]."""

    def __init__(self, network: nn.Module, facts: Facts, device: torch.device, precision: Precision) -> None:
        self.name, self.stride, self.channels = facts.name, facts.stride, facts.channels
        self.simulated_note, self.weights_sha256 = facts.simulated_note, facts.weights_sha256
        self.digest = config_digest(
            {
                "name": facts.name,
                "weights": facts.weights_sha256,
                "mean": facts.mean,
                "std": facts.std,
                "stride": facts.stride,
                "dtype": str(_DTYPES[precision]).removeprefix("torch."),
            }
        )
        self._precision = precision
        self._device = device
        self._network = network.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)
        self._mean = torch.tensor(facts.mean, device=device)
        self._std = torch.tensor(facts.std, device=device)

    def encode(self, images_BHW3: Tensor) -> Tensor:
        """As `ImageEncoder.encode`. Raises DataError for features beyond the range of fp16."""
        check_images(images_BHW3, self.stride)
        half = self._precision != "fp32"
        with torch.inference_mode(), torch.autocast(self._device.type, _DTYPES[self._precision], enabled=half):
            parts = torch.split(images_BHW3, images_at_once(self._device))
            maps = [self._encode_part(part_BHW3) for part_BHW3 in parts]
            if self._precision == "fp16" and not all(bool(part.isfinite().all()) for part in maps):
                raise DataError(
                    f"{self.name}: fp16 is too narrow for its features. Set encoder.precision to bf16 or fp32."
                )
        # Joined outside, for a tensor that autograd accepts as an input.
        return torch.cat(maps)

    def _encode_part(self, images_BHW3: Tensor) -> Tensor:
        normalised_BHW3 = (images_BHW3.to(self._device).float() - self._mean) / self._std
        # A view of [B, H, W, 3] is channels-last already.
        features: Tensor = self._network(normalised_BHW3.permute(0, 3, 1, 2))
        return features.float()


def images_at_once(device: torch.device) -> int:
    """One on a processor: no slower there, and it makes the features independent of the batch."""
    return 1 if device.type == "cpu" else GPU_IMAGES
