"""Vision Transformer, DeiT and MAE under the names of other projects."""

from __future__ import annotations

from dataclasses import replace

from modernet.weights.schemes.in_memory import in_memory
from modernet.weights.schemes.scheme import Names, Scheme

_MAE_DECODER = [r"^decoder", r"^mask_token$"]
_DISTILLED = [r"^dist_token$"]

_TORCHVISION = Scheme(
    "torchvision",
    names=[
        (r"^cls_token$", "class_token"),
        (r"^pos_embed$", "encoder.pos_embedding"),
        (r"^patch_embed\.proj\.", "conv_proj."),
        (r"^blocks\.(\d+)\.", r"encoder.layers.encoder_layer_\1."),
        (r"\.norm(\d)\.", r".ln_\1."),
        (r"\.attn\.qkv\.", ".self_attention.in_proj_"),
        (r"\.attn\.proj\.", ".self_attention.out_proj."),
        (r"\.mlp\.fc1\.", ".mlp.0."),
        (r"\.mlp\.fc2\.", ".mlp.3."),
        (r"^norm\.", "encoder.ln."),
        (r"^head\.", "heads.head."),
    ],
    foreign=[*_DISTILLED, r"^fc_norm\."],
)
# torchvision's published files still have the names of its first release
_TORCHVISION_FILES = replace(
    _TORCHVISION,
    names=[*_TORCHVISION.names, (r"\.mlp\.0\.", ".mlp.linear_1."), (r"\.mlp\.3\.", ".mlp.linear_2.")],
    writable=False,
)

_OPENMMLAB = Scheme(
    "openmmlab",
    names=[
        (r"^patch_embed\.proj\.", "patch_embed.projection."),
        (r"^blocks\.", "layers."),
        (r"\.norm(\d)\.", r".ln\1."),
        (r"\.mlp\.fc1\.", ".ffn.layers.0.0."),
        (r"\.mlp\.fc2\.", ".ffn.layers.1."),
        (r"^norm\.", "ln1."),
        (r"^fc_norm\.", "ln2."),
        (r"^(head|head_dist)\.", r"head.layers.\1."),
        (r"^(?!head\.)", "backbone."),
    ],
    body="backbone.",
)


def _transformers(body: str, heads: Names, foreign: list[str]) -> Scheme:
    return Scheme(
        "transformers",
        names=[
            (r"^(cls_token|patch_embed|pos_embed|dist_token)", rf"{body}.embeddings.\1"),
            (r"\.pos_embed$", ".position_embeddings"),
            (r"\.dist_token$", ".distillation_token"),
            (r"\.patch_embed\.proj\.", ".patch_embeddings.projection."),
            (r"^blocks\.", f"{body}.encoder.layer."),
            (r"\.norm1\.", ".layernorm_before."),
            (r"\.norm2\.", ".layernorm_after."),
            (r"\.attn\.qkv\.", ".attention.attention.qkv."),
            (r"\.attn\.proj\.", ".attention.output.dense."),
            (r"\.mlp\.fc1\.", ".intermediate.dense."),
            (r"\.mlp\.fc2\.", ".output.dense."),
            (r"^norm\.", f"{body}.layernorm."),
            *heads,
        ],
        split={".attention.qkv.": [f".attention.{part}." for part in ("query", "key", "value")]},
        ignored=[*_MAE_DECODER, rf"^{body}\.pooler\."],
        foreign=foreign,
        body=f"{body}.",
    )


TRANSFORMERS_VIT = _transformers("vit", [(r"^head\.", "classifier.")], foreign=[*_DISTILLED, r"^fc_norm\."])
_DEIT = _transformers(
    "deit",
    [(r"^head\.", "cls_classifier."), (r"^head_dist\.", "distillation_classifier.")],
    foreign=[r"^fc_norm\."],
)

VIT = (
    Scheme("original", ignored=_MAE_DECODER),
    Scheme("timm", ignored=_MAE_DECODER),
    _TORCHVISION,
    _TORCHVISION_FILES,
    TRANSFORMERS_VIT,
    _DEIT,
    in_memory(TRANSFORMERS_VIT),
    in_memory(_DEIT),
    _OPENMMLAB,
)
