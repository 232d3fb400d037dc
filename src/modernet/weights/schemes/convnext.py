"""ConvNeXt and ConvNeXt V2 under the names of other projects."""

from __future__ import annotations

from dataclasses import replace
from math import isqrt

from torch import Tensor

from modernet.weights.schemes.scheme import ORIGINAL, Change, Scheme

_TIMM = Scheme(
    "timm",
    names=[
        (r"^downsample_layers\.0\.", "stem."),
        (r"^downsample_layers\.(\d)\.", r"stages.\1.downsample."),
        (r"^stages\.(\d)\.(\d+)\.", r"stages.\1.blocks.\2."),
        (r"\.dwconv\.", ".conv_dw."),
        (r"\.pwconv(\d)\.", r".mlp.fc\1."),
        (r"\.grn\.gamma$", ".mlp.grn.weight"),
        (r"\.grn\.beta$", ".mlp.grn.bias"),
        (r"^norm\.", "head.norm."),
        (r"^head\.(?=weight|bias)", "head.fc."),
    ],
    changes={r"\.grn\.": Change(lambda weight: weight.flatten())},
)
_TORCHVISION = Scheme(
    "torchvision",
    names=[
        (r"^downsample_layers\.(\d)\.", lambda match: f"features.{2 * int(match[1])}."),
        (r"^stages\.(\d)\.(\d+)\.", lambda match: f"features.{2 * int(match[1]) + 1}.{match[2]}."),
        (r"\.dwconv\.", ".block.0."),
        (r"(?<=\d)\.norm\.", ".block.2."),
        (r"\.pwconv1\.", ".block.3."),
        (r"\.pwconv2\.", ".block.5."),
        (r"\.gamma$", ".layer_scale"),
        (r"^norm\.", "classifier.0."),
        (r"^head\.", "classifier.2."),
    ],
    foreign=[r"\.grn\."],
    changes={r"\.gamma$": Change(lambda weight: weight[:, None, None])},
)


def _transformers(body: str, foreign: str) -> Scheme:
    return Scheme(
        "transformers",
        names=[
            (r"^downsample_layers\.0\.0\.", f"{body}.embeddings.patch_embeddings."),
            (r"^downsample_layers\.0\.1\.", f"{body}.embeddings.layernorm."),
            (r"^downsample_layers\.(\d)\.", rf"{body}.encoder.stages.\1.downsampling_layer."),
            (r"^stages\.(\d)\.(\d+)\.", rf"{body}.encoder.stages.\1.layers.\2."),
            (r"(?<=\d)\.norm\.", ".layernorm."),
            (r"(?<=\d)\.gamma$", ".layer_scale_parameter"),
            (r"\.grn\.gamma$", ".grn.weight"),
            (r"\.grn\.beta$", ".grn.bias"),
            (r"^norm\.", f"{body}.layernorm."),
            (r"^head\.", "classifier."),
        ],
        foreign=[foreign],
        body=f"{body}.",
    )


_OPENMMLAB = Scheme(
    "openmmlab",
    names=[
        (r"\.dwconv\.", ".depthwise_conv."),
        (r"\.pwconv(\d)\.", r".pointwise_conv\1."),
        (r"^norm\.", "norm3."),
        (r"^head\.", "head.fc."),
        (r"^(?!head\.)", "backbone."),
    ],
    body="backbone.",
)


def _dense(kernel: Tensor) -> Tensor:
    """Convert a convolution kernel of MinkowskiEngine to torch's layout.

    Args:
        kernel: `(k * k, cin, cout)`, or depthwise `(k * k, c)`; positions run through the columns first.
    """
    size = isqrt(kernel.shape[0])
    kernel = kernel.reshape(size, size, *kernel.shape[1:])  # kw kh ...
    if kernel.ndim == 3:  # kw kh c -> c 1 kh kw
        return kernel.permute(2, 1, 0).unsqueeze(1)
    return kernel.permute(3, 2, 1, 0)  # kw kh cin cout -> cout cin kh kw


def _sparse(weight: Tensor) -> Tensor:
    """The inverse of `_dense`."""
    cout, cin, height, width = weight.shape
    if cin == 1:
        return weight.squeeze(1).permute(2, 1, 0).reshape(width * height, cout)
    return weight.permute(3, 2, 1, 0).reshape(width * height, cin, cout)


_CONVOLUTIONS = r"(?:downsample_layers\.[1-3]\.1|stages\.\d\.\d+\.dwconv)"
_FCMAE = Scheme(
    "sparse",  # the FCMAE pre-training of ConvNeXt V2, whose encoder runs on MinkowskiEngine
    names=[
        (rf"^(encoder\.{_CONVOLUTIONS})\.weight$", r"\1.kernel"),
        (r"^(encoder\.(?:downsample_layers\.[1-3]\.0|stages\.\d\.\d+\.norm))\.", r"\1.ln."),
        (r"^(encoder\..*\.pwconv\d)\.", r"\1.linear."),
    ],
    changes={
        rf"^(encoder\.)?{_CONVOLUTIONS}\.weight$": Change(_sparse, _dense),
        rf"^(encoder\.)?{_CONVOLUTIONS}\.bias$": Change(lambda weight: weight[None]),
        r"^(encoder\.)?stages\..*\.grn\.": Change(lambda weight: weight.reshape(1, -1)),
    },
    foreign=[r"(?<!\.grn)\.gamma$"],
    writable=False,
)
_FCMAE_ENCODER = replace(
    _FCMAE,
    names=[(r"^", "encoder."), *_FCMAE.names],
    absent=[r"^norm\.", r"^head\."],
    ignored=[r"^(decoder|proj|pred|mask_token)"],
)

CONVNEXT = (
    ORIGINAL,
    _TIMM,
    _TORCHVISION,
    _transformers("convnext", foreign=r"\.grn\."),
    _transformers("convnextv2", foreign=r"(?<!\.grn)\.gamma$"),
    _OPENMMLAB,
    _FCMAE_ENCODER,
)
MASKED_CONVNEXT = (ORIGINAL, _FCMAE)
