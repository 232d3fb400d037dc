"""Swin Transformer under the names of other projects."""

from __future__ import annotations

from torch import Tensor

from modernet.weights.schemes.in_memory import in_memory
from modernet.weights.schemes.scheme import Change, Scheme

_COMPUTED = [r"relative_position_index$", r"attn_mask$"]

_TIMM = Scheme(
    "timm",
    names=[
        (r"^layers\.(\d)\.downsample\.", lambda match: f"layers.{int(match[1]) + 1}.downsample."),
        (r"^head\.", "head.fc."),
    ],
    ignored=_COMPUTED,
)
_TORCHVISION = Scheme(
    "torchvision",
    names=[
        (r"^patch_embed\.proj\.", "features.0.0."),
        (r"^patch_embed\.norm\.", "features.0.2."),
        (r"^layers\.(\d)\.blocks\.", lambda match: f"features.{2 * int(match[1]) + 1}."),
        (r"^layers\.(\d)\.downsample\.", lambda match: f"features.{2 * int(match[1]) + 2}."),
        (r"\.mlp\.fc1\.", ".mlp.0."),
        (r"\.mlp\.fc2\.", ".mlp.3."),
    ],
    ignored=_COMPUTED,
)
_TRANSFORMERS = Scheme(
    "transformers",
    names=[
        (r"^patch_embed\.proj\.", "swin.embeddings.patch_embeddings.projection."),
        (r"^patch_embed\.norm\.", "swin.embeddings.norm."),
        (r"^layers\.", "swin.encoder.layers."),
        (r"\.attn\.relative_position_bias_table$", ".attention.self.relative_position_bias_table"),
        (r"\.attn\.qkv\.", ".attention.self.qkv."),
        (r"\.attn\.proj\.", ".attention.output.dense."),
        (r"\.norm1\.", ".layernorm_before."),
        (r"\.norm2\.", ".layernorm_after."),
        (r"\.mlp\.fc1\.", ".intermediate.dense."),
        (r"\.mlp\.fc2\.", ".output.dense."),
        (r"^norm\.", "swin.layernorm."),
        (r"^head\.", "classifier."),
    ],
    split={".self.qkv.": [f".self.{part}." for part in ("query", "key", "value")]},
    ignored=_COMPUTED,
    body="swin.",
)


def _by_channel(merged: Tensor) -> Tensor:
    """Reorder the last dimension of a patch merging from (column row channel) to `nn.Unfold`'s (channel row column)."""
    *rest, size = merged.shape
    return merged.reshape(*rest, 2, 2, size // 4).transpose(-1, -3).reshape(*rest, size)


def _by_position(merged: Tensor) -> Tensor:
    """The inverse of `_by_channel`."""
    *rest, size = merged.shape
    return merged.reshape(*rest, size // 4, 2, 2).transpose(-1, -3).reshape(*rest, size)


_OPENMMLAB = Scheme(
    "openmmlab",
    names=[
        (r"^patch_embed\.proj\.", "patch_embed.projection."),
        (r"^layers\.", "stages."),
        (r"\.attn\.", ".attn.w_msa."),
        (r"\.mlp\.fc1\.", ".ffn.layers.0.0."),
        (r"\.mlp\.fc2\.", ".ffn.layers.1."),
        (r"^norm\.", "norm3."),
        (r"^head\.", "head.fc."),
        (r"^(?!head\.)", "backbone."),
    ],
    body="backbone.",
    changes={r"\.downsample\.": Change(_by_channel, _by_position)},
    ignored=_COMPUTED,
)

SWIN = (
    Scheme("original", ignored=_COMPUTED),
    _TIMM,
    _TORCHVISION,
    _TRANSFORMERS,
    in_memory(_TRANSFORMERS),
    _OPENMMLAB,
)
