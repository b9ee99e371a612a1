"""SAM's mask decoder for many points of one image: the package's parameters, its products in a cheaper order.

The package projects the image's tokens anew for every point and every attention. A point has but a few tokens, so the
projections are applied to those instead: (X W) y = X (W y). The results are the package's but for rounding. A mask is
made only where its predicted IoU is high enough, which is known without it.

Shapes: K points, k of them with a mask worth making, T tokens of a point, N tokens of the image, C channels, A heads
of D channels, S = A T, s the side of a mask.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor


class PointDecoder:
    """The prompt encoder and mask decoder of segment-anything's modules, in their place on a device."""

    def __init__(self, modules: Any) -> None:
        self._prompts, self._decoder = modules.prompt_encoder, modules.mask_decoder
        self._place_NC: Tensor = self._prompts.get_dense_pe()[0].flatten(1).T.contiguous()

    def decode(self, embedding_1Chw: Tensor, point_K2: Tensor, min_quality: float) -> tuple[Tensor, Tensor]:
        """As `SegmenterNetwork.decode_points`; a mask of low quality is never made."""
        decoder = self._decoder
        image_NC = embedding_1Chw[0].flatten(1).T + self._prompts.no_mask_embed.weight
        labels = torch.ones(len(point_K2), 1, dtype=torch.int, device=point_K2.device)
        prompt_KpC, _ = self._prompts(points=(point_K2[:, None], labels), boxes=None, masks=None)
        own_tC = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        token_KTC = torch.cat([own_tC.expand(len(point_K2), -1, -1), prompt_KpC], dim=1)
        token_KTC, image_KNC = _two_ways(decoder.transformer, image_NC.contiguous(), self._place_NC, token_KTC)
        # The first mask is for prompts that leave no doubt, which a point is not.
        quality_K3 = decoder.iou_prediction_head(token_KTC[:, 0])[:, 1:]
        good_K3 = quality_K3 > min_quality
        some_K = good_K3.any(dim=1)
        logits_k3ss = self._masks(image_KNC[some_K], token_KTC[some_K, 1 : 1 + decoder.num_mask_tokens])
        return logits_k3ss[good_K3[some_K]], quality_K3[good_K3]

    def _masks(self, image_kNC: Tensor, token_k4C: Tensor) -> Tensor:
        decoder = self._decoder
        side = math.isqrt(image_kNC.shape[1])
        fine_kcss = decoder.output_upscaling(
            image_kNC.transpose(1, 2).reshape(len(image_kNC), image_kNC.shape[2], side, side)
        )
        networks = decoder.output_hypernetworks_mlps
        weight_k3c = torch.stack([networks[i](token_k4C[:, i]) for i in range(1, len(networks))], dim=1)
        return torch.einsum("kic,kcyx->kiyx", weight_k3c, fine_kcss)


def _two_ways(transformer: Any, image_NC: Tensor, place_NC: Tensor, token_KTC: Tensor) -> tuple[Tensor, Tensor]:
    """The two-way transformer: tokens [K, T, C] after it, and the image as each point sees it [K, N, C]."""
    query_KTC, image_KNC = token_KTC, image_NC
    for layer in transformer.layers:
        if layer.skip_first_layer_pe:
            query_KTC = layer.self_attn(q=query_KTC, k=query_KTC, v=query_KTC)
        else:
            placed_KTC = query_KTC + token_KTC
            query_KTC = query_KTC + layer.self_attn(q=placed_KTC, k=placed_KTC, v=query_KTC)
        query_KTC = layer.norm1(query_KTC)
        placed_KNC = image_KNC + place_NC
        seen_KTC = _to_image(layer.cross_attn_token_to_image, query_KTC + token_KTC, placed_KNC, image_KNC)
        query_KTC = layer.norm2(query_KTC + seen_KTC)
        query_KTC = layer.norm3(query_KTC + layer.mlp(query_KTC))
        attend = layer.cross_attn_image_to_token
        image_KNC = layer.norm4(_add_tokens(attend, image_KNC, placed_KNC, query_KTC + token_KTC, query_KTC))
    attend = transformer.final_attn_token_to_image
    seen_KTC = _to_image(attend, query_KTC + token_KTC, image_KNC + place_NC, image_KNC)
    return transformer.norm_final_attn(query_KTC + seen_KTC), image_KNC


def _to_image(attention: Any, query_KTC: Tensor, key_KNC: Tensor, value_KNC: Tensor) -> Tensor:
    """Attention of tokens to the image, [K, T, C]; keys and values may be one image [N, C] for all points."""
    heads = attention.num_heads
    # The bias of the keys is the same for all N, and drops out of the softmax over them.
    key_ADC = attention.k_proj.weight.unflatten(0, (heads, -1))
    query_KATD = attention.q_proj(query_KTC).unflatten(2, (heads, -1)).transpose(1, 2) / math.sqrt(key_ADC.shape[1])
    share_KSN = ((query_KATD @ key_ADC).flatten(1, 2) @ key_KNC.transpose(-2, -1)).softmax(dim=2)
    value_KATC = (share_KSN @ value_KNC).unflatten(1, (heads, -1))
    value_ACD = attention.v_proj.weight.unflatten(0, (heads, -1)).transpose(1, 2)
    seen_KTC: Tensor = attention.out_proj((value_KATC @ value_ACD).transpose(1, 2).flatten(2) + attention.v_proj.bias)
    return seen_KTC


def _add_tokens(attention: Any, image_KNC: Tensor, query_KNC: Tensor, key_KTC: Tensor, value_KTC: Tensor) -> Tensor:
    """The image and its attention to tokens, [K, N, C]; image and queries may be one [N, C] for all points."""
    heads = attention.num_heads
    query_ACD = attention.q_proj.weight.unflatten(0, (heads, -1)).transpose(1, 2)
    bias_A1D = attention.q_proj.bias.unflatten(0, (heads, 1, -1))
    key_KADT = attention.k_proj(key_KTC).unflatten(2, (heads, -1)).permute(0, 2, 3, 1) / math.sqrt(query_ACD.shape[2])
    # Heads last: the softmax over tokens runs over rows of all heads then.
    key_KCTA = (query_ACD @ key_KADT).permute(0, 2, 3, 1)
    offset_K1S = (bias_A1D @ key_KADT).permute(0, 2, 3, 1).flatten(2)
    score_KNS = query_KNC @ key_KCTA.flatten(2) + offset_K1S
    share_KNS = score_KNS.unflatten(2, (-1, heads)).softmax(dim=2).flatten(2)
    value_KATD = attention.v_proj(value_KTC).unflatten(2, (heads, -1)).transpose(1, 2)
    value_KATC = value_KATD @ attention.out_proj.weight.T.unflatten(0, (heads, -1))
    # The shares of each head sum to 1, so the bias comes out whole.
    value_KSC = (value_KATC + attention.out_proj.bias / heads).transpose(1, 2).flatten(1, 2)
    return torch.baddbmm(image_KNC.expand(len(value_KSC), -1, -1), share_KNS, value_KSC)
