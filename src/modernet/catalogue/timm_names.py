"""Which networks of the zoo timm has under another name, or under the same.

timm writes the patch size, the window size and the image size into some names; the zoo has one name per network.
"""

from __future__ import annotations

TIMM_NAMES = {
    **{f"convnext_{size}": f"convnext_{size}" for size in ("atto", "femto", "pico", "nano", "tiny", "small", "base")},
    **{f"convnext_{size}": f"convnext_{size}" for size in ("large", "xlarge")},
    **{f"convnextv2_{size}": f"convnextv2_{size}" for size in ("atto", "femto", "pico", "nano", "tiny", "base")},
    **{f"convnextv2_{size}": f"convnextv2_{size}" for size in ("large", "huge")},
    **{f"resnet{depth}": f"resnet{depth}" for depth in (18, 34, 50, 101, 152)},
    **{f"resnet{depth}d": f"resnet{depth}d" for depth in (50, 101, 152, 200)},
    **{f"resnext{kind}": f"resnext{kind}" for kind in ("50_32x4d", "101_32x4d", "101_32x8d", "101_64x4d")},
    **{f"vit_{size}_patch16": f"vit_{size}_patch16_224" for size in ("tiny", "small", "base", "large")},
    "vit_huge_patch14": "vit_huge_patch14_224",
    **{f"deit_{size}": f"deit_{size}_patch16_224" for size in ("tiny", "small", "base")},
    **{f"deit_{size}_distilled": f"deit_{size}_distilled_patch16_224" for size in ("tiny", "small", "base")},
    "deit_base_384": "deit_base_patch16_384",
    **{f"swin_{size}": f"swin_{size}_patch4_window7_224" for size in ("tiny", "small", "base", "large")},
    **{f"swin_{size}_384": f"swin_{size}_patch4_window12_384" for size in ("base", "large")},
    "mobilenet_v2": "mobilenetv2_100",
    **{f"levit_{size}": f"levit_{size}" for size in ("128s", "128", "192", "256", "384")},
    **{f"coat_{size}": f"coat_{size}" for size in ("tiny", "mini", "small")},
    **{f"coat_lite_{size}": f"coat_lite_{size}" for size in ("tiny", "mini", "small", "medium", "medium_384")},
}
"""Network of the zoo -> timm's architecture, with the same weights."""

# timm publishes no weights for them
_UNTRAINED = {f"coatnet_{size}": f"coatnet_{size}_224" for size in range(5)}

_ALIASES = {theirs: ours for ours, theirs in (TIMM_NAMES | _UNTRAINED).items()}


def zoo_name(name: str) -> str:
    """Return the zoo's name of a network that timm calls `name`; other names as they are. A tag stays.

    >>> zoo_name("swin_tiny_patch4_window7_224.ms_in1k")
    'swin_tiny.ms_in1k'
    """
    model, dot, tag = name.partition(".")
    return f"{_ALIASES.get(model, model)}{dot}{tag}"
