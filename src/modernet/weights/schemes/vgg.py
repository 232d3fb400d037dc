"""VGG under timm's names, with convolutions for the first two linear layers; the zoo uses torchvision's."""

from __future__ import annotations

from modernet.weights.schemes.scheme import ORIGINAL, Change, Scheme

_TIMM = Scheme(
    "timm",
    names=[
        (r"^classifier\.0\.", "pre_logits.fc1."),
        (r"^classifier\.3\.", "pre_logits.fc2."),
        (r"^classifier\.6\.", "head.fc."),
    ],
    changes={
        r"^classifier\.0\.weight": Change(lambda weight: weight.reshape(len(weight), -1, 7, 7)),
        r"^classifier\.3\.weight": Change(lambda weight: weight[:, :, None, None]),
    },
)

VGG = (ORIGINAL, Scheme("torchvision"), _TIMM)
