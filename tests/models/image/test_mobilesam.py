"""Parity with the published MobileSAM package, always with random parameters, with the real ones where cached.

The package fixes its input to 1024x1024 twice: every layer remembers its resolution, and the last view is 64x64. At
other sizes its own layers are called with their remembered resolution set to the real one and that view left out.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from olivine.errors import OlivineError
from olivine.models.image import load_image_encoder
from olivine.models.image.mobilesam import MobileSamEncoder, build_network, encoder_tensors
from olivine.models.image.weights import read_verified

CPU = torch.device("cpu")


def published_encoder(size: tuple[int, int]) -> Any:
    """The published package's image encoder, for images of `size`; parameters random."""
    with warnings.catch_warnings():
        # It imports timm by a deprecated path and registers a name that timm has.
        warnings.simplefilter("ignore")
        package = pytest.importorskip("mobile_sam.modeling.tiny_vit_sam", reason="needs mobilesam-mirror")
    encoder = package.TinyViT(
        img_size=1024,
        embed_dims=[64, 128, 160, 320],
        depths=[2, 2, 6, 2],
        num_heads=[2, 4, 5, 10],
        window_sizes=[7, 7, 14, 7],
        drop_path_rate=0.0,
    )
    for module in encoder.modules():
        if hasattr(module, "input_resolution"):
            stride = 1024 // module.input_resolution[0]
            module.input_resolution = tuple(math.ceil(side / stride) for side in size)
    return encoder


def published_features(encoder: Any, images_BHW3: Tensor) -> Tensor:
    _, height, width, _ = images_BHW3.shape
    mean, std = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
    normalised = ((images_BHW3 - mean) / std).permute(0, 3, 1, 2).contiguous()
    with torch.no_grad():
        if (height, width) == (1024, 1024):
            return encoder(normalised)
        tokens_BLC = encoder.patch_embed(normalised)
        for layer in encoder.layers:
            tokens_BLC = layer(tokens_BLC)
        return encoder.neck(tokens_BLC.transpose(1, 2).unflatten(2, (height // 16, width // 16)))


def randomise(encoder: torch.nn.Module) -> None:
    """Random values everywhere, of a scale that lets the image through to the features."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in encoder.state_dict().items():
        if name.endswith(("running_var", "bn.weight")):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif tensor.dim() == 1 or name.endswith("attention_biases"):
            tensor.add_(torch.randn(tensor.shape, generator=generator) * 0.3)
        elif tensor.dim() > 1:
            tensor.normal_(0, tensor[0].numel() ** -0.5, generator=generator)


def photo(size: tuple[int, int], num: int = 1) -> Tensor:
    """Smooth colours with some noise: nearer to a photograph than noise alone."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(num, 3, 6, 8, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=size, mode="bicubic").permute(0, 2, 3, 1)
    noisy = smooth * 220 + torch.randn(smooth.shape, generator=generator) * 12
    return noisy.clamp(0, 255).to(torch.uint8)


@pytest.fixture(name="real_tensors", scope="module")
def _real_tensors() -> dict[str, Tensor]:
    try:
        return encoder_tensors(read_verified())
    except OlivineError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("size", [(112, 224), (144, 256)])
def test_random_parameters_give_the_published_features(size: tuple[int, int]) -> None:
    published = published_encoder(size)
    randomise(published)
    encoder = MobileSamEncoder(build_network(published.state_dict()), "random", CPU)
    images = photo(size)
    expected = published_features(published.eval(), images)
    assert expected.std(dim=(2, 3)).mean() > 0.1
    torch.testing.assert_close(encoder.encode(images), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [(1024, 1024), (288, 512), (224, 416)])
def test_real_parameters_give_the_published_features(real_tensors: dict[str, Tensor], size: tuple[int, int]) -> None:
    published = published_encoder(size)
    published.load_state_dict(real_tensors, strict=True)
    images = photo(size)
    features = load_image_encoder("mobilesam").encode(images)
    assert features.shape == (1, 256, size[0] // 16, size[1] // 16)
    torch.testing.assert_close(features, published_features(published.eval(), images), atol=1e-4, rtol=0)


def test_features_do_not_depend_on_the_batch_or_the_run() -> None:
    encoder = MobileSamEncoder(build_network(published_encoder((64, 96)).state_dict()), "random", CPU)
    images = photo((64, 96), num=3)
    together = encoder.encode(images)
    assert torch.equal(together, encoder.encode(images))
    for index in range(3):
        assert torch.equal(together[index], encoder.encode(images[index : index + 1])[0])


def test_features_can_be_the_input_of_a_trained_head() -> None:
    encoder = MobileSamEncoder(build_network(published_encoder((64, 96)).state_dict()), "random", CPU)
    head = torch.nn.Conv2d(256, 4, 1)
    head(encoder.encode(photo((64, 96)))).sum().backward()
    assert head.weight.grad is not None


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_near_and_has_its_own_digest(precision: Literal["bf16", "fp16"]) -> None:
    network = published_encoder((64, 96)).state_dict()
    exact = MobileSamEncoder(build_network(network), "random", CPU)
    near = MobileSamEncoder(build_network(network), "random", CPU, precision)
    features, near_features = exact.encode(photo((64, 96))), near.encode(photo((64, 96)))
    assert near_features.dtype == torch.float32
    assert 0 < (features - near_features).abs().mean() < 0.05
    assert exact.digest != near.digest


@pytest.mark.parametrize("change", ["missing", "left over", "other shape"])
def test_every_tensor_is_accounted_for(change: str) -> None:
    tensors = dict(published_encoder((64, 64)).state_dict())
    name = "layers.2.blocks.3.attn.attention_biases"
    if change == "missing":
        del tensors[name]
    elif change == "left over":
        tensors["layers.2.blocks.6.mlp.fc1.bias"] = torch.zeros(640)
    else:
        tensors[name] = tensors[name][:, :49]
    with pytest.raises(RuntimeError, match=r"stages\.2\.blocks"):
        build_network(tensors)
