"""ResNets and ViTs against torchvision's and timm's own, with random parameters in every published layout of names.

The expected features never pass through our loading: a ResNet is dilated here by hand, and a ViT gets the published
file through timm's own converter, at a fixed image size.
"""

from __future__ import annotations

import functools
import hashlib
import io
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save as save_safetensors
from timm.models import eva, vision_transformer
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import resnet50

from olivine.errors import DataError
from olivine.models.image import ImageEncoder, load_image_encoder, sample_maps
from olivine.models.image import frozen as frozen_module
from olivine.models.image.families import FAMILIES, VIT_CHANNELS
from olivine.models.image.recipe import EncoderRecipe
from olivine.models.image.trunk import build_trunk

State = dict[str, Tensor]
MEANS = {"augreg": [0.5] * 3}
STDS = {"augreg": [0.5] * 3, "swav": [0.228, 0.224, 0.225]}


def randomise(network: nn.Module, seed: int = 0) -> nn.Module:
    """Random values everywhere, of a scale that lets the image through every block to the features."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        if tensor.dim() == 1 and name.endswith(("running_var", ".weight")):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif tensor.dim() == 1 or name in ("cls_token", "reg_token", "pos_embed"):
            tensor.normal_(0, 0.3, generator=generator)
        else:
            tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5, generator=generator)
    return network.eval()


def photos(size: tuple[int, int], num: int = 2) -> Tensor:
    """Smooth colours with some noise, uint8 [num, H, W, 3]."""
    generator = torch.Generator().manual_seed(1)
    smooth = functional.interpolate(torch.rand(num, 3, 6, 8, generator=generator), size=size, mode="bicubic")
    noisy = smooth.permute(0, 2, 3, 1) * 220 + torch.randn(num, *size, 3, generator=generator) * 12
    return noisy.clamp(0, 255).to(torch.uint8)


def assert_same(found: Tensor, expected: Tensor) -> None:
    """Equal to 1e-4 of their scale, and not to one constant."""
    scale = expected.std()
    assert expected.std(dim=(2, 3)).mean() > 0.1 * scale
    torch.testing.assert_close(found / scale, expected / scale, atol=1e-4, rtol=0)


def normalised(images_BHW3: Tensor, family: str) -> Tensor:
    mean = torch.tensor(MEANS.get(family, [0.485, 0.456, 0.406]))
    std = torch.tensor(STDS.get(family, [0.229, 0.224, 0.225]))
    return ((images_BHW3 / 255 - mean) / std).permute(0, 3, 1, 2).contiguous()


def save(tensors: Any, path: Path) -> dict[str, str]:
    """The recipe's fields for a file of these tensors."""
    buffer = io.BytesIO()
    torch.save(tensors, buffer)
    path.write_bytes(save_safetensors(tensors) if path.suffix == ".safetensors" else buffer.getvalue())
    return {"weights": str(path), "weights_sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def load(name: str, family: str, tensors: Any, path: Path, **fields: Any) -> ImageEncoder:
    # The recipe's size does not bind the encoder; this one divides by every stride.
    values = {"name": name, "family": family, "height": 448, "width": 896} | save(tensors, path) | fields
    encoder = load_image_encoder(EncoderRecipe.model_validate(values))
    path.unlink()  # a hundred megabytes, and pytest keeps what it finds
    return encoder


# --- ResNet-50 -------------------------------------------------------------------------------------------------------


@pytest.fixture(name="resnet", scope="module")
def _resnet() -> nn.Module:
    return randomise(resnet50(weights=None))


def dilate(resnet: nn.Module) -> nn.Module:
    """Stride 4 by hand: a later stage's 3x3 kernels spread by the strides that were taken away before them."""
    copy = resnet50(weights=None).eval()
    copy.load_state_dict(resnet.state_dict())
    for stage, before in ((copy.layer2, 1), (copy.layer3, 2), (copy.layer4, 4)):
        stage[0].downsample[0].stride = (1, 1)
        for number, block in enumerate(stage):
            spread = before if number == 0 else 2 * before
            block.conv2.stride, block.conv2.dilation, block.conv2.padding = (1, 1), (spread,) * 2, (spread,) * 2
    return copy


def layer4(resnet: Any, images_BHW3: Tensor, family: str) -> Tensor:
    """What the whole classifier's last stage gives on its way to the classes."""
    seen: list[Tensor] = []
    hook = resnet.layer4.register_forward_hook(lambda *call: seen.append(call[2]))
    with torch.no_grad():
        resnet(normalised(images_BHW3, family))
    hook.remove()
    return seen[0]


def resnet_layout(family: str, state: State) -> Any:
    """The state as the family's published file has it."""
    bare = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    if family == "imagenet":
        return state
    if family == "dino":
        return bare
    if family == "swav":
        heads = {"module.projection_head.0.weight": torch.ones(2, 2), "module.prototypes.weight": torch.ones(2, 2)}
        return {f"module.{name}": tensor for name, tensor in bare.items()} | heads
    query = {f"module.encoder_q.{name}": tensor for name, tensor in bare.items()}
    others = {"module.encoder_q.fc.0.weight": torch.ones(2, 2), "module.queue": torch.ones(2, 2)}
    key = {f"module.encoder_k.{name}": -tensor for name, tensor in bare.items()}
    return {"epoch": 800, "arch": "resnet50", "state_dict": query | key | others}


@pytest.mark.parametrize("family", ["imagenet", "moco_v2", "swav", "dino"])
def test_a_dilated_resnet_in_every_layout(resnet: nn.Module, family: str, tmp_path: Path) -> None:
    encoder = load("resnet50", family, resnet_layout(family, resnet.state_dict()), tmp_path / "w.pth")
    images = photos((32, 48))
    features = encoder.encode(images)
    assert features.shape == (2, encoder.channels, 32 // encoder.stride, 48 // encoder.stride) == (2, 2048, 8, 12)
    assert_same(features, layer4(dilate(resnet), images, family))
    assert (encoder.name, encoder.simulated_note) == (f"resnet50 ({family})", None)


def test_a_strided_resnet_is_not_dilated_by_one_built_before(resnet: nn.Module, tmp_path: Path) -> None:
    load("resnet50", "dino", resnet_layout("dino", resnet.state_dict()), tmp_path / "w.pth")
    encoder = load("resnet50_strided", "imagenet", resnet.state_dict(), tmp_path / "w.safetensors")
    images = photos((64, 96))
    features = encoder.encode(images)
    assert features.shape == (2, 2048, 2, 3)
    assert_same(features, layer4(resnet, images, "imagenet"))


def test_batch_statistics_do_not_move(resnet: nn.Module, tmp_path: Path) -> None:
    encoder = load("resnet50_strided", "imagenet", resnet.state_dict(), tmp_path / "w.pth")
    first = encoder.encode(photos((64, 96)))
    encoder.encode(photos((64, 96)).flip(1))
    assert torch.equal(first, encoder.encode(photos((64, 96))))


# --- ViT -------------------------------------------------------------------------------------------------------------


def identity(state: State) -> State:
    return dict(state)


def dinov2(state: State) -> State:
    return dict(state) | {"mask_token": torch.ones(1, 384)}


def dinov2_registers(state: State) -> State:
    published = dict(state)
    published["register_tokens"] = published.pop("reg_token")
    class_position = torch.linspace(-1, 1, 384)[None, None]
    published["cls_token"] = published["cls_token"] - class_position
    published["pos_embed"] = torch.cat([class_position, published["pos_embed"]], 1)
    return published | {"mask_token": torch.ones(1, 384)}


def dinov3(state: State) -> State:
    """Meta's file: its key biases are what a mask hides, here as bad as can be."""
    published: State = {"mask_token": torch.ones(1, 384), "storage_tokens": state["reg_token"]}
    # 100 ** (2 k / 32) for heads of 64 channels, rounded as in the file.
    published["rope_embed.periods"] = (100 ** (torch.arange(16) / 16)).bfloat16()
    for name, tensor in state.items():
        if name.endswith("q_bias"):
            value = state[name.replace("q_bias", "v_bias")]
            bias = torch.cat([tensor, torch.full_like(value, torch.nan), value])
            published[name.replace("q_bias", "qkv.bias")] = bias
            published[name.replace("q_bias", "qkv.bias_mask")] = bias.isfinite().float()
        elif not name.endswith("v_bias") and name != "reg_token":
            published[name.replace("gamma_", "ls") + (".gamma" if "gamma_" in name else "")] = tensor
    return published


VITS = {
    "augreg": ("vit_small_patch16_224", 16, identity),
    "dinov2": ("vit_small_patch14_dinov2", 14, dinov2),
    "dinov2_registers": ("vit_small_patch14_reg4_dinov2", 14, dinov2_registers),
    "dinov3": ("vit_small_patch16_dinov3_qkvb", 16, dinov3),
}


def fixed_size_features(timm_name: str, published: State, images_BHW3: Tensor, family: str, stride: int) -> Tensor:
    """timm's network for this image size, filled by timm's converter."""
    size = tuple(images_BHW3.shape[1:3])
    vit = timm.create_model(timm_name, pretrained=False, num_classes=0, img_size=size).eval()
    module = eva if "dinov3" in timm_name else vision_transformer
    vit.load_state_dict(module.checkpoint_filter_fn(dict(published), vit), strict=True)
    with torch.no_grad():
        tokens = vit.forward_features(normalised(images_BHW3, family))[:, vit.num_prefix_tokens :]
    return tokens.transpose(1, 2).unflatten(2, (size[0] // stride, size[1] // stride))


@functools.cache
def vit_state(timm_name: str) -> State:
    return randomise(timm.create_model(timm_name, pretrained=False, num_classes=0)).state_dict()


@pytest.mark.parametrize(
    ("family", "own_names"),
    [(family, False) for family in VITS] + [("dinov2_registers", True), ("dinov3", True)],
)
def test_a_vit_in_every_layout(family: str, own_names: bool, tmp_path: Path) -> None:
    timm_name, stride, publish = VITS[family]
    published = publish(vit_state(timm_name))
    file = vit_state(timm_name) if own_names else published
    encoder = load("vit_small", family, file, tmp_path / "w.safetensors")
    images = photos((4 * stride, 6 * stride))
    features = encoder.encode(images)
    assert features.shape == (2, encoder.channels, 4, 6) == (2, 384, 4, 6)
    assert encoder.stride == stride
    assert_same(features, fixed_size_features(timm_name, published, images, family, stride))


def test_dinov3_files_without_biases_have_zeros(tmp_path: Path) -> None:
    plain = randomise(timm.create_model("vit_small_patch16_dinov3", pretrained=False, num_classes=0))
    encoder = load("vit_small", "dinov3", plain.state_dict(), tmp_path / "w.safetensors")
    images = photos((64, 96))
    with torch.no_grad():
        tokens = plain.forward_features(normalised(images, "dinov3"))[:, 5:]
    expected = tokens.transpose(1, 2).unflatten(2, (4, 6))
    assert_same(encoder.encode(images), expected)


def test_a_vit_takes_crops_of_other_sizes_than_its_recipe(tmp_path: Path) -> None:
    state = vit_state("vit_small_patch16_224")
    encoder = load("vit_small", "dino", state, tmp_path / "w.pth", height=64, width=96)
    images = photos((80, 48))
    expected = fixed_size_features("vit_small_patch16_224", state, images, "dino", 16)
    assert_same(encoder.encode(images), expected)


@pytest.mark.parametrize(
    ("name", "family"),
    [(name, family) for family, facts in FAMILIES.items() for name in facts.encoders if name in VIT_CHANNELS],
)
def test_every_vit_of_every_family_is_there(name: str, family: str) -> None:
    with torch.device("meta"):
        vit: Any = build_trunk(name, family)
    assert vit.num_features == VIT_CHANNELS[name]
    assert vit.patch_embed.patch_size == (FAMILIES[family].patch_size,) * 2


# --- frozen ----------------------------------------------------------------------------------------------------------


@pytest.fixture(name="random_vit", scope="module")
def _random_vit() -> ImageEncoder:
    return load_image_encoder(random_recipe())


def random_recipe(**fields: Any) -> EncoderRecipe:
    values = {"name": "vit_small", "family": "dino", "weights": "random", "height": 64, "width": 96}
    return EncoderRecipe.model_validate(values | fields)


def test_random_parameters_say_so_and_are_always_the_same(random_vit: ImageEncoder) -> None:
    assert random_vit.simulated_note is not None
    assert "NOT pretrained" in random_vit.simulated_note
    assert random_vit.name == "vit_small (random)"
    torch.manual_seed(7)
    again = load_image_encoder(random_recipe())
    assert torch.initial_seed() == 7
    assert again.digest == random_vit.digest
    assert torch.equal(again.encode(photos((64, 96))), random_vit.encode(photos((64, 96))))


def test_the_digest_is_that_of_the_parameters_whatever_the_file(resnet: nn.Module, tmp_path: Path) -> None:
    state = resnet_layout("dino", resnet.state_dict())
    one, other = (load("resnet50", "dino", state, tmp_path / name).digest for name in ("a.pth", "b.safetensors"))
    state["conv1.weight"] = state["conv1.weight"] + 1e-3
    assert one == other != load("resnet50", "dino", state, tmp_path / "c.pth").digest


def test_features_do_not_depend_on_the_batch(random_vit: ImageEncoder) -> None:
    images = photos((64, 96), 3)
    together = random_vit.encode(images)
    assert frozen_module.images_at_once(torch.device("cpu")) == 1
    for index in range(3):
        assert torch.equal(together[index], random_vit.encode(images[index : index + 1])[0])


def test_several_images_at_once_as_on_a_gpu(random_vit: ImageEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    images = photos((64, 96), 5)
    one_by_one = random_vit.encode(images)
    assert frozen_module.images_at_once(torch.device("cuda")) > 1
    monkeypatch.setattr(frozen_module, "images_at_once", lambda device: 2)
    torch.testing.assert_close(random_vit.encode(images), one_by_one, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("precision", "most"), [("bf16", 0.05), ("fp16", 0.005)])
def test_half_precision_is_near_and_has_its_own_digest(random_vit: ImageEncoder, precision: str, most: float) -> None:
    near = load_image_encoder(random_recipe(precision=precision))
    features, near_features = random_vit.encode(photos((32, 32), 1)), near.encode(photos((32, 32), 1))
    assert near_features.dtype == torch.float32
    assert near.digest != random_vit.digest
    assert 0 < (features - near_features).abs().mean() < most


def test_features_beyond_fp16_are_refused() -> None:
    network = torch.nn.Conv2d(3, 4, 16, stride=16)
    torch.nn.init.constant_(network.weight, 1e3)
    facts = frozen_module.Facts("wide", "0" * 64, 16, 4, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    images = torch.full((1, 32, 32, 3), 200, dtype=torch.uint8)
    encoder = frozen_module.FrozenEncoder(network, facts, torch.device("cpu"), "bf16")
    assert encoder.encode(images).isfinite().all()
    encoder = frozen_module.FrozenEncoder(network, facts, torch.device("cpu"), "fp16")
    with pytest.raises(DataError, match=r"wide: fp16 is too narrow .* encoder\.precision to bf16 or fp32"):
        encoder.encode(images)


# --- sampled, then projected ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "family", "size"),
    [
        ("resnet50", "moco_v2", (32, 48)),
        ("resnet50_strided", "moco_v2", (64, 96)),
        ("vit_small", "dino", (64, 96)),
    ],
)
def test_a_head_on_samples_gives_the_references_dense_features(name: str, family: str, size: tuple[int, int]) -> None:
    """Reference: 1x1 convolution, upsampling by the stride with aligned corners, unit length; then a few pixels."""
    encoder = load_image_encoder(random_recipe(name=name, family=family, height=448, width=896))
    maps = encoder.encode(photos(size))
    head = nn.Linear(encoder.channels, 64)
    generator = torch.Generator().manual_seed(0)
    columns = [torch.randint(0, bound, (200,), generator=generator) for bound in (2, *size)]

    low = functional.conv2d(maps, head.weight[:, :, None, None], head.bias)
    dense = functional.interpolate(low, scale_factor=encoder.stride, mode="bilinear", align_corners=True)
    expected = functional.normalize(dense, dim=1).permute(0, 2, 3, 1)[tuple(columns)]
    found = functional.normalize(head(sample_maps(maps, torch.stack(columns, 1), size)), dim=1)

    assert dense.shape[2:] == size
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    weights = torch.randn(200, 64, generator=generator)
    gradients = (torch.autograd.grad((value * weights).sum(), head.weight)[0] for value in (found, expected))
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-4)
