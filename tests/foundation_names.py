"""Names of tensors in the two implementations of Grounding DINO and SAM: facts, by which parity tests share weights."""

from __future__ import annotations

import re

import torch
from torch import Tensor

_SWIN = r"^model\.backbone\.conv_encoder\.model\."
_GROUNDING_DINO = [
    (_SWIN + r"embeddings\.patch_embeddings\.projection", "backbone.0.patch_embed.proj"),
    (_SWIN + r"embeddings\.norm", "backbone.0.patch_embed.norm"),
    (_SWIN + r"hidden_states_norms\.stage2", "backbone.0.norm1"),
    (_SWIN + r"hidden_states_norms\.stage3", "backbone.0.norm2"),
    (_SWIN + r"hidden_states_norms\.stage4", "backbone.0.norm3"),
    (_SWIN + r"encoder\.layers", "backbone.0.layers"),
    (r"^(backbone.*)\.layernorm_before\.", r"\1.norm1."),
    (r"^(backbone.*)\.layernorm_after\.", r"\1.norm2."),
    (r"^(backbone.*)\.attention\.self\.", r"\1.attn."),
    (r"^(backbone.*)\.attention\.output\.dense\.", r"\1.attn.proj."),
    (r"^(backbone.*)\.intermediate\.dense\.", r"\1.mlp.fc1."),
    (r"^(backbone.*)\.output\.dense\.", r"\1.mlp.fc2."),
    (r"^model\.input_proj_vision", "input_proj"),
    (r"^model\.text_backbone", "bert"),
    (r"^model\.text_projection", "feat_map"),
    (r"^model\.query_position_embeddings", "transformer.tgt_embed"),
    (r"^model\.encoder_output_bbox_embed", "transformer.enc_out_bbox_embed"),
    (r"^model\.encoder\.layers\.(\d+)\.text_enhancer_layer", r"transformer.encoder.text_layers.\1"),
    (r"^model\.encoder\.layers\.(\d+)\.fusion_layer", r"transformer.encoder.fusion_layers.\1"),
    (r"^model\.encoder\.layers\.(\d+)\.deformable_layer", r"transformer.encoder.layers.\1"),
    (r"^model\.decoder\.layer_norm", "transformer.decoder.norm"),
    (r"^model\.decoder\.reference_points_head", "transformer.decoder.ref_point_head"),
    (r"^model\.(?=decoder|enc_output|level_embed)", "transformer."),
    (r"^(transformer\.encoder.*)\.(layer_norm_before|self_attn_layer_norm)\.", r"\1.norm1."),
    (r"^(transformer\.encoder.*)\.(layer_norm_after|final_layer_norm)\.", r"\1.norm2."),
    (r"\.vision_param$", ".gamma_v"),
    (r"\.text_param$", ".gamma_l"),
    (r"layer_norm_vision", "layer_norm_v"),
    (r"layer_norm_text", "layer_norm_l"),
    (r"vision_proj", "v_proj"),
    (r"text_proj", "l_proj"),
    (r"encoder_attn_text_layer_norm", "catext_norm"),
    (r"encoder_attn_text", "ca_text"),
    (r"^(transformer\.decoder.*)\.encoder_attn_layer_norm", r"\1.norm1"),
    (r"^(transformer\.decoder.*)\.encoder_attn", r"\1.cross_attn"),
    (r"^(transformer\.decoder.*)\.self_attn_layer_norm", r"\1.norm2"),
    (r"^(transformer\.decoder.*)\.final_layer_norm", r"\1.norm3"),
    (r"^(transformer.*)\.fc1\.", r"\1.linear1."),
    (r"^(transformer.*)\.fc2\.", r"\1.linear2."),
]
_SAM = [
    (r"^vision_encoder\.patch_embed\.projection", "image_encoder.patch_embed.proj"),
    (r"^vision_encoder\.layers\.(\d+)\.layer_norm", r"image_encoder.blocks.\1.norm"),
    (r"^vision_encoder\.layers", "image_encoder.blocks"),
    (r"^vision_encoder\.neck\.conv1", "image_encoder.neck.0"),
    (r"^vision_encoder\.neck\.layer_norm1", "image_encoder.neck.1"),
    (r"^vision_encoder\.neck\.conv2", "image_encoder.neck.2"),
    (r"^vision_encoder\.neck\.layer_norm2", "image_encoder.neck.3"),
    (r"^vision_encoder", "image_encoder"),
    (r"^shared_image_embedding\.positional_embedding", "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"),
    (r"^prompt_encoder\.point_embed", "prompt_encoder.point_embeddings"),
    (r"mask_embed\.conv1", "mask_downscaling.0"),
    (r"mask_embed\.layer_norm1", "mask_downscaling.1"),
    (r"mask_embed\.conv2", "mask_downscaling.3"),
    (r"mask_embed\.layer_norm2", "mask_downscaling.4"),
    (r"mask_embed\.conv3", "mask_downscaling.6"),
    (r"^(mask_decoder\.transformer\.layers\.\d+)\.layer_norm", r"\1.norm"),
    (r"layer_norm_final_attn", "norm_final_attn"),
    (r"upscale_conv1", "output_upscaling.0"),
    (r"upscale_layer_norm", "output_upscaling.1"),
    (r"upscale_conv2", "output_upscaling.3"),
    (r"^(mask_decoder\.(?:output_hyper|iou_pred).*)\.layers\.0\.", r"\1.layers.1."),
    (r"^(mask_decoder.*)\.proj_in\.", r"\1.layers.0."),
    (r"^(mask_decoder.*)\.proj_out\.", r"\1.layers.2."),
]
_PARTS = ("query", "key", "value")


def original_grounding_dino(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of transformers' class under the authors' names; query, key and value as one."""
    named = _rename(state, _GROUNDING_DINO)
    for name in [n for n in named if ".query." in n and not n.startswith("bert.")]:
        fused = torch.cat([named.pop(name.replace(".query.", f".{part}.")) for part in _PARTS])
        head, _, kind = name.partition(".query.")
        named[f"{head}.qkv.{kind}" if head.startswith("backbone") else f"{head}.in_proj_{kind}"] = fused
    return named


def original_sam(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of transformers' class under the authors' names."""
    kept = {name: tensor for name, tensor in state.items() if not name.startswith("prompt_encoder.shared_embedding")}
    return _rename(kept, _SAM)


def _rename(state: dict[str, Tensor], rules: list[tuple[str, str]]) -> dict[str, Tensor]:
    renamed = {}
    for name, tensor in state.items():
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        renamed[name] = tensor
    assert len(renamed) == len(state)
    return renamed
