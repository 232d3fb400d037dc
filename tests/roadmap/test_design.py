from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from modernet.errors import InputError
from modernet.roadmap import Design


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"depths": (3, 3)}, r"depths is \(3, 3\) and widths is .*; give one number per stage in each"),
        ({"depths": (), "widths": ()}, r"depths is \(\) and widths is \(\); give one number per stage in each"),
        ({"depths": (3, 0, 1, 1)}, r"depths is \(3, 0, 1, 1\); give 1 or more for every stage"),
        ({"widths": (8, 8, 8, -8)}, r"widths is \(8, 8, 8, -8\); give 1 or more for every stage"),
        ({"kernel_size": 4}, "kernel_size is 4; give an odd number"),
        ({"kernel_size": -1}, "kernel_size is -1; give an odd number"),
        ({"stem_stride": 3}, r"stem_stride is 3; give 1, 2 or 4 for a resnet stem \(patchify takes any\)"),
        ({"stem_stride": 0, "stem": "patchify"}, "stem_stride is 0; give 1 or more"),
        ({"layer_scale_init": 0.0}, "layer_scale_init is 0.0; give more than 0, or None for no layer scale"),
        ({"layer_scale_init": float("nan")}, "layer_scale_init is nan; give more than 0"),
        ({"groups": 0}, "groups is 0; give 1 or more, or 'depthwise'"),
        ({"groups": "each"}, "groups is 'each'; give 1 or more, or 'depthwise'"),
        ({"groups": 48}, "groups is 48, which does not divide the 64 channels of a k x k convolution; give a divisor"),
        (
            {"groups": 4, "widths": (6, 8, 8, 8), "spatial_conv": "first"},
            "groups is 4, which does not divide the 6 channels of a k x k convolution",
        ),
        ({"stem": "conv"}, "stem is 'conv'; give 'resnet' or 'patchify'"),
        ({"block": "basic"}, "block is 'basic'; give 'bottleneck' or 'inverted'"),
        ({"spatial_conv": "last"}, "spatial_conv is 'last'; give 'middle' or 'first'"),
        ({"activation": "silu"}, "activation is 'silu'; give 'relu' or 'gelu'"),
        ({"activations": "none"}, "activations is 'none'; give 'all' or 'one'"),
        ({"norm": "group"}, "norm is 'group'; give 'batch' or 'layer'"),
        ({"norms": "two"}, "norms is 'two'; give 'all' or 'one'"),
        ({"downsampling": "pool"}, "downsampling is 'pool'; give 'in_block' or 'separate'"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_invalid_designs_raise(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Design(**fields)


def test_a_bottleneck_is_narrow_inside_and_an_inverted_one_wide() -> None:
    narrow = Design(depths=(1, 1), widths=(8, 16))
    wide = Design(depths=(1, 1), widths=(8, 16), block="inverted")
    assert (narrow.hidden_widths, narrow.out_widths) == ((8, 16), (32, 64))
    assert (wide.hidden_widths, wide.out_widths) == ((32, 64), (8, 16))


def test_the_road_does_not_import_torch() -> None:
    code = "import sys; from modernet.roadmap import road; road(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
