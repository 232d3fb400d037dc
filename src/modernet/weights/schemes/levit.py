"""LeViT under timm's names."""

from __future__ import annotations

import re
from bisect import bisect_left

from modernet.models.levit import LeViT
from modernet.weights.schemes.scheme import Scheme

_COMPUTED = [r"attention_bias_idxs$"]


def levit_schemes(network: LeViT) -> tuple[Scheme, ...]:
    """Return the schemes of the authors and of timm, which numbers the blocks within each stage."""
    lasts = [int(name.rpartition(".")[2]) for name in network.feature_info.module_name()]

    def block(match: re.Match[str]) -> str:
        number = int(match[1])
        stage = bisect_left(lasts, number)
        place = number - (lasts[stage - 1] + 1 if stage else 0)  # attention and MLP alternate
        layer = "mlp" if place % 2 else "attn"
        if stage == 0:
            return f"stages.0.blocks.{place // 2}.{layer}."
        if place < 2:
            return f"stages.{stage}.downsample.{layer if place else 'attn_downsample'}."
        return f"stages.{stage}.blocks.{place // 2 - 1}.{layer}."

    timm = Scheme(
        "timm",
        names=[
            (r"^patch_embed\.(\d)\.", lambda match: f"stem.conv{int(match[1]) // 2 + 1}."),
            (r"^blocks\.(\d+)\.(?:m\.)?", block),
            (r"\.mlp\.(\d)\.", lambda match: f".mlp.ln{int(match[1]) // 2 + 1}."),
            (r"\.(proj|q)\.1\.", r".\1.ln."),
            (r"\.[cl]\.", ".linear."),
        ],
        ignored=_COMPUTED,
    )
    return (Scheme("original", ignored=_COMPUTED), timm)
