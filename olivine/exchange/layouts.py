"""The layouts of other programs, as tables: how the tensors of each backbone are called there and how their axes lie.

A new backbone is a row in `rules` of the layouts that have it. Names and orders are facts of the public code: SLidR and
OLIVINE (`save` of their trainers, `load_state_with_same_shape`), ScaLR (`save_state` of its distiller, `finetune.py`),
OpenPCDet (`load_params_from_file`), mmdetection3d (`SparseEncoder`, `overwrite_spconv`) and spconv ("Breaking
changes in Spconv 2.x").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from olivine.errors import UsageError
from olivine.exchange.axes import DEPTHWISE, HEAD, HEAD_BIAS, PIXELWISE, POINTWISE, SAME, SPCONV1, SPCONV2, Axes


@dataclass(frozen=True)
class Rule:
    """Tensors of ours whose whole name fits `ours` are called `theirs` (a template of `re`) and have their `axes`."""

    ours: str
    theirs: str
    axes: Axes = SAME


@dataclass(frozen=True)
class Layout:
    """A way to keep the weights of a backbone.

    `keys` lead to the tensors inside a checkpoint that is read, the first that is there; a file without any is taken as
    a dict of tensors. `prefixes` may stand before the names; tensors outside of the prefix that fits best belong to
    other modules. `heads` begin the names of layers on top of the backbone, which are left out. Both are told apart
    from tensors that nobody knows. `write_key` and `write_prefix` are those of files that are written.
    """

    name: str
    summary: str
    keys: tuple[str, ...]
    prefixes: tuple[str, ...]
    heads: tuple[str, ...]
    write_key: str
    write_prefix: str
    rules: Mapping[str, tuple[Rule, ...]]
    """By backbone: the `kind` of its network."""

    head_rules: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)
    """For tensors of the distiller beside the backbone, which are written where there are any."""

    reference: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By backbone, fields of the network that have but one value in the layout's program, so that no file says them."""

    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By backbone, what must be known of weights that the layout's own program has made."""

    has_config: bool = False
    """Whether a file bears SLidR's `config`, which loaders of that family compare."""

    def rules_of(self, backbone: str) -> tuple[Rule, ...]:
        """The rules for a backbone; UsageError when this layout has none of that kind."""
        if backbone not in self.rules:
            raise UsageError(
                f"layout {self.name} has no {backbone}, only {', '.join(self.rules)}. Choose a layout that has it: "
                f"{', '.join(name for name, layout in LAYOUTS.items() if backbone in layout.rules)}."
            )
        return self.rules[backbone]


def rename(rules: tuple[Rule, ...], name: str) -> tuple[str, Axes]:
    """What a tensor of ours is called, and how it lies, by the first rule that is about it; KeyError without one."""
    for rule in rules:
        if match := re.fullmatch(rule.ours, name):
            return match.expand(rule.theirs), rule.axes
    raise KeyError(name)


def find_layout(name: str) -> Layout:
    """The layout of that name; UsageError when there is none."""
    if name not in LAYOUTS:
        raise UsageError(f"there is no layout {name!r}: choose one of {', '.join(LAYOUTS)}.")
    return LAYOUTS[name]


_EVERYTHING = (Rule(r"(.+)", r"\1"),)


def _spconv(axes: Axes) -> tuple[Rule, ...]:
    """VoxelNet has OpenPCDet's names; its kernels alone lie otherwise."""
    return (Rule(r"(.+)\.kernel", r"\1.weight", axes), *_EVERYTHING)


# Its encoder counts the stages; with spconv 2.x it turns kernels of a file that does not say its version, as ours.
_MMDET3D_RULES = (
    Rule(r"conv([1-4])\.(.+)\.kernel", r"encoder_layers.encoder_layer\1.\2.weight", SPCONV1),
    Rule(r"conv([1-4])\.(.+)", r"encoder_layers.encoder_layer\1.\2"),
    *_spconv(SPCONV1),
)
_SLIDR_KEYS = ("model_points", "state_dict", "model")
# As the loaders of the family take them off: a trainer's module, a data-parallel wrapper, DepthContrast's trunk.
_SLIDR_PREFIXES = ("", "model_points.", "module.", "model_points.module.", "model.", "encoder.")
_DEPTHCONTRAST_PREFIXES = ("trunk.2.", "module.trunk.2.")
_SLIDR_HEADS = ("final.", "final_class_level.")
_SLIDR_RULES = {"minkunet": _EVERYTHING, "voxelnet": _spconv(SPCONV2)}
# Its loaders feed the raw intensity (0..255 on nuScenes), for MinkUNet that of one point of each voxel.
_SLIDR_REFERENCE: dict[str, dict[str, Any]] = {
    "minkunet": {"voxel_feature": "first", "intensity_scale": 1.0},
    "voxelnet": {"intensity_scale": 1.0},
}
# VoxelNet's heads would be 1^3 convolutions, whose numbers lie in another order since spconv 2.2, in the same shape:
# nobody could tell which, so they are not written.
_POINT_PIXEL_HEAD = Rule(r"heads\.point_pixel\.points\.(kernel|bias)", r"final.\1")
_SEMANTIC_HEAD = Rule(r"heads\.semantic\.points\.(kernel|bias)", r"final_class_level.\1")


_WAFFLEIRON_RULES = (
    Rule(r"embedding\.(conv1|final)\.weight", r"embed.\1.weight", POINTWISE),
    Rule(r"embedding\.(conv2\.[14])\.weight", r"embed.\1.weight", PIXELWISE),
    Rule(r"embedding\.(.+)", r"embed.\1"),
    Rule(r"(.+)\.scale", r"waffleiron.\1.scale.weight", DEPTHWISE),
    Rule(r"(channel_mix\.\d+\.mlp\.\d)\.weight", r"waffleiron.\1.weight", POINTWISE),
    Rule(r"(.+)", r"waffleiron.\1"),
)
# The head towards the teacher, which ScaLR's program wants to find before it replaces it; a method that has none of its
# own gives that of points and pixels.
_WAFFLEIRON_HEADS = tuple(
    Rule(rf"{head}\.{name}", rf"classif.{theirs}", axes)
    for head in (r"heads\.point_pixel\.points", r"terms\.regression\.head")
    for name, theirs, axes in (("kernel", "weight", HEAD), ("bias", "bias", HEAD_BIAS))
)
_SCALR_NOTE = (
    "ScaLR's program shifts intensities to mean 0 (nuScenes: 18.742355) before it divides them by their deviation "
    "(22.04632); here they are multiplied by intensity_scale alone. With its weights the first normalisation is off by "
    "a constant until fine-tuning has moved it."
)


def _pcdet(name: str, version: str, axes: Axes) -> Layout:
    return Layout(
        name=name,
        summary=f"OpenPCDet with spconv {version} (.pth): the sparse backbone of SECOND, PV-RCNN and their kin",
        keys=("model_state",),
        prefixes=("backbone_3d.", "module.backbone_3d.", ""),
        heads=(),
        write_key="model_state",
        write_prefix="backbone_3d.",
        rules={"voxelnet": _spconv(axes)},
    )


LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout(
            name="slidr",
            summary="SLidR, PPKT, ST-SLidR (model.pt); checkpoints of DepthContrast are read as well",
            keys=_SLIDR_KEYS,
            prefixes=_SLIDR_PREFIXES + _DEPTHCONTRAST_PREFIXES,
            heads=_SLIDR_HEADS,
            write_key="model_points",
            write_prefix="",
            rules=_SLIDR_RULES,
            head_rules={"minkunet": (_POINT_PIXEL_HEAD,)},
            reference=_SLIDR_REFERENCE,
            has_config=True,
        ),
        Layout(
            name="olivine",
            summary="OLIVINE's released code (model.pt)",
            keys=_SLIDR_KEYS,
            prefixes=_SLIDR_PREFIXES,
            heads=_SLIDR_HEADS,
            write_key="state_dict",
            write_prefix="model_points.",
            rules=_SLIDR_RULES,
            head_rules={"minkunet": (_POINT_PIXEL_HEAD, _SEMANTIC_HEAD)},
            reference=_SLIDR_REFERENCE,
            has_config=True,
        ),
        Layout(
            name="scalr",
            summary="ScaLR and WaffleIron (model.pth, ckpt_last.pth)",
            keys=("model_points", "model_point", "net"),
            prefixes=("", "module."),
            heads=("classif.",),
            write_key="model_points",
            write_prefix="",
            rules={"waffleiron": _WAFFLEIRON_RULES},
            head_rules={"waffleiron": _WAFFLEIRON_HEADS},
            notes={"waffleiron": (_SCALR_NOTE,)},
        ),
        _pcdet("pcdet", "2.x", SPCONV2),
        _pcdet("pcdet_spconv1", "1.x", SPCONV1),
        Layout(
            name="mmdet3d",
            summary="mmdetection3d (.pth): the sparse encoder of SECOND; kernels in the order of MMCV's spconv 1.x",
            keys=("state_dict",),
            prefixes=("middle_encoder.", "module.middle_encoder.", "pts_middle_encoder.", ""),
            heads=(),
            write_key="state_dict",
            write_prefix="middle_encoder.",
            rules={"voxelnet": _MMDET3D_RULES},
        ),
        Layout(
            name="huggingface",
            summary="a folder with config.json, model.safetensors and a model card (README.md)",
            keys=(),
            prefixes=("",),
            heads=(),
            write_key="",
            write_prefix="",
            rules={"minkunet": _EVERYTHING, "voxelnet": _EVERYTHING, "waffleiron": _EVERYTHING},
        ),
    )
}
