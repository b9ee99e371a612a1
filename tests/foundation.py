"""Foundation models without their weights: the real classes with random parameters, tiny or full-size, in folders."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

import torch

WORDS = [
    "barrier",
    "bicycle",
    "bus",
    "car",
    "truck",
    "trailer",
    "motorcycle",
    "construction",
    "vehicle",
    "pedestrian",
    "traffic",
    "cone",
    "road",
    "sidewalk",
    "terrain",
    "vegetation",
    "building",
    "other",
    "ground",
    "person",
]
# transformers' Grounding DINO knows where a phrase ends by BERT's own ids, whatever the tokenizer says.
_PLACES = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1012: ".", 1029: "?"}
VOCABULARY = [*(_PLACES.get(id, f"[unused{id}]") for id in range(1030)), *dict.fromkeys(WORDS)]


def write_tokenizer(folder: Path) -> None:
    """BERT's WordPiece with the words of the class lists alone."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))


def bert(**changes: Any) -> Any:
    from transformers import BertConfig

    return BertConfig(vocab_size=len(VOCABULARY), **changes)


def grounding_dino(seed: int = 0, *, tiny: bool = True) -> Any:
    """GroundingDinoForObjectDetection: full-size Swin-T, or two narrow layers of everything."""
    from transformers import GroundingDinoConfig, GroundingDinoForObjectDetection, SwinConfig

    stages = ["stage2", "stage3", "stage4"]
    if tiny:
        swin = SwinConfig(window_size=4, embed_dim=16, depths=[1, 1, 1, 1], num_heads=[1, 2, 2, 2], out_features=stages)
        text = bert(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
        config = GroundingDinoConfig(
            backbone_config=swin,
            text_config=text,
            d_model=32,
            encoder_layers=2,
            decoder_layers=2,
            encoder_ffn_dim=32,
            decoder_ffn_dim=32,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            num_queries=30,
        )
    else:
        depths = {"depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24], "window_size": 7, "embed_dim": 96}
        config = GroundingDinoConfig(
            backbone_config=SwinConfig(image_size=224, out_features=stages, **depths), text_config=bert()
        )
    torch.manual_seed(seed)
    return scatter_boxes(GroundingDinoForObjectDetection(config).eval(), seed)


def scatter_boxes(model: Any, seed: int) -> Any:
    """Random parameters where the library puts zeros: else every box is the same and no score depends on the image."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.state_dict().items():
        if "bbox_embed" in name and tensor.dim() == 2:
            tensor.normal_(0, 0.5 * tensor.shape[1] ** -0.5, generator=generator)
        elif name == "model.decoder.layer_norm.weight":
            # Else random logits are so large that most scores are 1.
            tensor.mul_(0.1)
    return model


def sam(seed: int = 0, *, tiny: bool = True, narrow: bool = False) -> Any:
    """SamModel: full-size ViT-B; two narrow layers at 256 pixels; or, `narrow`, such layers in SAM's own geometry."""
    from transformers import SamConfig, SamModel

    vision = {"hidden_size": 32, "mlp_dim": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision |= {"global_attn_indexes": [1]}
    prompt, decoder = {}, {}
    if narrow:
        vision |= {"mlp_dim": 128}
        # The authors'; the library has another default.
        decoder = {"layer_norm_eps": 1e-5}
    else:
        vision |= {"image_size": 256, "window_size": 8, "output_channels": 32, "num_pos_feats": 16}
        prompt = {"hidden_size": 32, "image_size": 256, "image_embedding_size": 16, "mask_input_channels": 4}
        decoder = {"hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 32}
    small = SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder)
    torch.manual_seed(seed)
    return enliven(SamModel(small if tiny or narrow else SamConfig()).eval(), seed)


def enliven(model: Any, seed: int) -> Any:
    """Random parameters of a scale that lets the image through; the library's own are all but zero."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.state_dict().items():
        if tensor.dim() > 1 and "positional" not in name:
            tensor.normal_(0, tensor[0].numel() ** -0.5, generator=generator)
    return model


def sam2(seed: int = 0) -> Any:
    """Sam2Model: one narrow layer a stage, at 256 pixels."""
    from transformers import Sam2Config, Sam2Model

    backbone = {"model_type": "sam2_hiera_det_model", "image_size": [256, 256], "hidden_size": 16}
    backbone |= {"blocks_per_stage": [1, 1, 2, 1], "embed_dim_per_stage": [16, 32, 64, 128]}
    backbone |= {"num_attention_heads_per_stage": [1, 1, 2, 2], "window_size_per_stage": [8, 4, 4, 4]}
    vision = {"backbone_config": backbone | {"global_attention_blocks": [3]}, "fpn_hidden_size": 32}
    vision |= {"backbone_channel_list": [128, 64, 32, 16], "backbone_feature_sizes": [[64, 64], [32, 32], [16, 16]]}
    prompt = {"hidden_size": 32, "image_size": 256, "mask_input_channels": 4}
    decoder = {"hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 32}
    torch.manual_seed(seed)
    config = Sam2Config(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder)
    return enliven(Sam2Model(config).eval(), seed)


def write_folder(model: Any, folder: Path, *, tokenizer: bool = False) -> Path:
    """The model as transformers keeps it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save_pretrained(folder)
    if tokenizer:
        write_tokenizer(folder)
    return folder


def photo(height: int, width: int, seed: int = 0) -> Any:
    """Smooth colours with some noise, uint8 [H, W, 3]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 6, 8, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")[0].permute(1, 2, 0)
    noisy = smooth * 220 + torch.randn(smooth.shape, generator=generator) * 12
    return noisy.clamp(0, 255).to(torch.uint8).numpy()


def real_images(number: int) -> list[Path]:
    """Photographs of the real keyframe, fewer where it is not there."""
    root = os.environ.get("OLIVINE_REAL_DATA")
    return sorted(Path(root).glob("nuscenes/samples/CAM_*/*.jpg"))[:number] if root else []
