from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from olivine.errors import UsageError
from olivine.models.image import load_image_encoder
from olivine.models.image.families import FAMILIES
from olivine.models.image.recipe import EncoderRecipe

SHA256 = "0" * 64
RESNET = {"name": "resnet50", "family": "moco_v2"}


def recipe(**fields: Any) -> EncoderRecipe:
    return EncoderRecipe.model_validate(fields)


def test_reading_a_recipe_loads_no_torch() -> None:
    code = "import sys, olivine.models.image.recipe; sys.exit(any(m in sys.modules for m in ('torch', 'timm')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_defaults_are_mobilesam_with_its_own_weights() -> None:
    default = EncoderRecipe()
    assert (default.name, default.stride, default.weights_path) == ("mobilesam", 16, None)


@pytest.mark.parametrize(
    ("name", "family", "stride"),
    [
        ("resnet50", "moco_v2", 4),
        ("resnet50_strided", "dino", 32),
        ("vit_small", "dino", 16),
        ("vit_base", "dino_patch8", 8),
        ("vit_large", "augreg", 16),
        ("vit_base", "dinov2", 14),
        ("vit_small", "dinov2_registers", 14),
        ("vit_large", "dinov3", 16),
    ],
)
def test_encoder_and_family_decide_the_stride(name: str, family: str, stride: int) -> None:
    size = {"height": 8 * 7 * 4, "width": 8 * 7 * 4 * 2} if stride != 32 else {"height": 224, "width": 416}
    chosen = recipe(name=name, family=family, weights="random", **size)
    assert chosen.stride == stride
    assert EncoderRecipe.model_validate(json.loads(json.dumps(chosen.resolved()))) == chosen


def test_every_family_names_its_encoders_and_a_patch_where_it_has_vits() -> None:
    for facts in FAMILIES.values():
        assert facts.encoders
        assert (facts.patch_size > 0) == any(name.startswith("vit") for name in facts.encoders)


@pytest.mark.parametrize(
    ("weights", "path"),
    [
        ("/a/b c.pth", Path("/a/b c.pth")),
        ("b.safetensors", Path("b.safetensors")),
        ("file:///a/b%20c.pth", Path("/a/b c.pth")),
    ],
)
def test_weights_are_a_path_or_a_file_uri(weights: str, path: Path) -> None:
    assert recipe(**RESNET, weights=weights, weights_sha256=SHA256).weights_path == path


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "resnet"}, "mobilesam"),
        ({"name": "vit_small", "family": "clip"}, "dinov2"),
        ({"name": "resnet50"}, "needs a family, one of imagenet, moco_v2, swav, dino, not None"),
        ({"name": "resnet50", "family": "dinov2"}, "needs a family, one of imagenet"),
        ({"name": "vit_large", "family": "dino"}, "needs a family, one of augreg"),
        ({"name": "stand_in", "family": "dino"}, "of its own"),
        ({"name": "mobilesam", "weights": "a.pt", "weights_sha256": SHA256}, "of its own"),
        (RESNET | {"weights": "a.pt"}, "go together"),
        (RESNET | {"weights_sha256": SHA256}, "go together"),
        (RESNET | {"weights": "random", "weights_sha256": SHA256}, "go together"),
        (RESNET | {"weights": "a.pt", "weights_sha256": "abc"}, "match pattern"),
        (RESNET | {"weights": "https://somewhere/a.pt", "weights_sha256": SHA256}, "never downloaded"),
        (RESNET | {"weights": "file://host/a.pt", "weights_sha256": SHA256}, "never downloaded"),
        ({"height": 100}, "multiples of 16, such as 96 x 512"),
        ({"name": "vit_base", "family": "dinov2", "height": 224, "width": 416}, "multiples of 14, such as 224 x 420"),
        ({"name": "resnet50_strided", "family": "moco_v2", "height": 16, "width": 32}, "such as 32 x 32"),
        ({"precision": "fp8"}, "fp16"),
    ],
)
def test_contradictions_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        recipe(**fields)


def test_without_weights_nothing_is_loaded_but_the_recipe_stands() -> None:
    with pytest.raises(UsageError, match=r"resnet50 needs weights.*moco_v2.*'random'"):
        load_image_encoder(recipe(**RESNET))


def test_a_name_alone_is_not_enough_for_a_network_that_takes_weights() -> None:
    with pytest.raises(UsageError, match=r"mobilesam, stand_in.*family and weights.*resnet50"):
        load_image_encoder("resnet50")
