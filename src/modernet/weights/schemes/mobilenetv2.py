"""MobileNetV2 under the names of other projects; the zoo uses torchvision's.

Two earlier projects number the layers of a block in one sequence: tonylins/pytorch-mobilenet-v2, by which torchvision's
was made, and d-li14/mobilenetv2.pytorch, whose last convolution and classifier are outside `features`.
"""

from __future__ import annotations

import re

from modernet.weights.schemes.scheme import ORIGINAL, Scheme

_REPEATS = (1, 2, 3, 4, 3, 3, 1)
_PLACES = [(stage, index) for stage, repeats in enumerate(_REPEATS) for index in range(repeats)]
"""Stage and index within it of each inverted residual block."""
_PLAIN = {"0.0": "conv_dw", "0.1": "bn1", "1": "conv_pw", "2": "bn2"}
_EXPANDED = {"0.0": "conv_pw", "0.1": "bn1", "1.0": "conv_dw", "1.1": "bn2", "2": "conv_pwl", "3": "bn3"}
_FLAT_PLAIN = {"0.0": "0", "0.1": "1", "1": "3", "2": "4"}  # 2, 5 are activations
_FLAT_EXPANDED = {"0.0": "0", "0.1": "1", "1.0": "3", "1.1": "4", "2": "6", "3": "7"}


def _flat(match: re.Match[str]) -> str:
    layers = _FLAT_PLAIN if match[1] == "1" else _FLAT_EXPANDED
    return f"features.{match[1]}.conv.{layers[match[2]]}."


def _block(match: re.Match[str]) -> str:
    stage, index = _PLACES[int(match[1]) - 1]
    layers = _PLAIN if stage == 0 else _EXPANDED
    return f"blocks.{stage}.{index}.{layers[match[2]]}."


_TIMM = Scheme(
    "timm",
    names=[
        (r"^features\.0\.0\.", "conv_stem."),
        (r"^features\.0\.1\.", "bn1."),
        (r"^features\.18\.0\.", "conv_head."),
        (r"^features\.18\.1\.", "bn2."),
        (r"^features\.(\d+)\.conv\.([\d.]+)\.(?=[a-z])", _block),
        (r"^classifier\.1\.", "classifier."),
    ],
)

_FLAT_BLOCK = (r"^features\.(\d+)\.conv\.([\d.]+)\.(?=[a-z])", _flat)
_CLASSIFIER = (r"^classifier\.1\.", "classifier.")  # a layer alone, without dropout before it
_TONYLINS = Scheme("tonylins", names=[_FLAT_BLOCK], writable=False)
_TONYLINS_LATER = Scheme("tonylins", names=[_FLAT_BLOCK, _CLASSIFIER], writable=False)
_D_LI14 = Scheme("d-li14", names=[_FLAT_BLOCK, _CLASSIFIER, (r"^features\.18\.", "conv.")], writable=False)

MOBILENETV2 = (ORIGINAL, Scheme("torchvision"), _TIMM, _TONYLINS, _TONYLINS_LATER, _D_LI14)
