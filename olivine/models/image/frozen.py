"""A frozen network behind the interface of `ImageEncoder`: what all real encoders share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from olivine.models.image.encoder import check_images, config_digest
from olivine.models.image.families import Colour

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

    def __init__(self, network: nn.Module, facts: Facts, device: torch.device, *, bf16: bool) -> None:
        self.name, self.stride, self.channels = facts.name, facts.stride, facts.channels
        self.simulated_note, self.weights_sha256 = facts.simulated_note, facts.weights_sha256
        self.digest = config_digest(
            {
                "name": facts.name,
                "weights": facts.weights_sha256,
                "mean": facts.mean,
                "std": facts.std,
                "stride": facts.stride,
                "dtype": "bfloat16" if bf16 else "float32",
            }
        )
        self._bf16 = bf16
        self._device = device
        self._network = network.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)
        self._mean = torch.tensor(facts.mean, device=device)
        self._std = torch.tensor(facts.std, device=device)

    def encode(self, images_BHW3: Tensor) -> Tensor:
        """As `ImageEncoder.encode`."""
        check_images(images_BHW3, self.stride)
        with torch.inference_mode(), torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
            parts = torch.split(images_BHW3, images_at_once(self._device))
            maps = [self._encode_part(part_BHW3) for part_BHW3 in parts]
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
