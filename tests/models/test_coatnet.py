"""CoAtNet against timm, its relative position biases against a loop, and its config."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from timm.models.maxxvit import MaxxVit, MaxxVitCfg, model_cfgs
from torch import Tensor, nn

from modernet.errors import InputError
from modernet.models import Backbone, create_model
from modernet.models.coatnet import RelativePositionBias


def images(size: int) -> Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))


def randomise(network: nn.Module) -> None:
    """Norms, biases, statistics and position biases too, so that swapped parameters show."""
    torch.manual_seed(0)
    for name, parameter in network.named_parameters():
        if parameter.ndim == 1:
            nn.init.uniform_(parameter, 0.5, 1.5)
        elif name.endswith("bias_table"):
            nn.init.normal_(parameter)
    for name, buffer in network.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            nn.init.uniform_(buffer, 0.5, 1.5)


SMALL: dict[str, Any] = {"depths": (2, 1, 2, 2), "stem_width": 16}


@pytest.mark.medium
@pytest.mark.parametrize(
    ("fields", "reference", "size"),
    [
        (
            {**SMALL, "dims": (24, 32, 64, 96), "head_dim": 16},
            MaxxVitCfg(**SMALL, embed_dim=(24, 32, 64, 96), head_hidden_size=96),
            96,
        ),
        (
            {**SMALL, "dims": (16, 24, 32, 32), "head_dim": 16},  # two shortcuts without a convolution
            MaxxVitCfg(**SMALL, embed_dim=(16, 24, 32, 32), head_hidden_size=32),
            64,
        ),
        ({}, model_cfgs["coatnet_0"], 64),
    ],
    ids=["small", "small with equal widths", "coatnet_0"],
)
def test_coatnet_equals_timm_under_the_same_names(fields: dict[str, Any], reference: MaxxVitCfg, size: int) -> None:
    network = MaxxVit(reference, img_size=size, transformer_dim_head=fields.get("head_dim", 32)).eval()
    randomise(network)
    ours = create_model("coatnet_0", image_size=size, **fields).eval()
    ours.load_state_dict(network.state_dict())
    assert isinstance(ours, Backbone)
    _, maps = network.forward_intermediates(images(size))
    for actual, expected in zip(
        [*ours.forward_intermediates(images(size), intermediates_only=True), ours(images(size))],
        [*maps, network(images(size))],
        strict=True,
    ):
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())


def test_the_bias_depends_on_the_offset_of_query_and_key() -> None:
    side = 3
    bias = RelativePositionBias(num_heads=2, side=side)
    table = bias.relative_position_bias_table
    actual = bias()
    assert actual.shape == (2, side**2, side**2)
    for query in range(side**2):
        for key in range(side**2):
            dy, dx = query // side - key // side, query % side - key % side
            row = (dy + side - 1) * (2 * side - 1) + dx + side - 1
            torch.testing.assert_close(actual[:, query, key], table[row], rtol=0, atol=0)


def test_images_of_another_size_raise() -> None:
    with pytest.raises(
        InputError,
        match="images are 96x64; this network takes 64x64: resize them, or create it with another image_size",
    ):
        create_model("coatnet_test")(torch.zeros(1, 3, 96, 64))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"depths": (1, 1, 1)}, r"depths is \(1, 1, 1\); give four numbers above 0, one for each stage"),
        ({"depths": (1, 1, 0, 1)}, r"depths is \(1, 1, 0, 1\); give four numbers above 0"),
        ({"dims": (8, 16, 24)}, r"dims is \(8, 16, 24\); give four numbers above 0"),
        ({"dims": (8, 2, 24, 32)}, r"dims is \(8, 2, 24, 32\); give 4 or more, squeeze-and-excitation"),
        ({"stem_width": 0}, "stem_width is 0; give 1 or more"),
        ({"head_dim": 0}, "head_dim is 0 and dims .* it must divide the last two dims"),
        ({"head_dim": 16}, r"head_dim is 16 and dims \(8, 16, 24, 32\); it must divide the last two dims"),
        ({"image_size": 72}, "image_size is 72; give a multiple of 32, such as 224"),
        ({"image_size": 0}, "image_size is 0; give a multiple of 32"),
    ],
)
def test_invalid_configs_raise(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        create_model("coatnet_test", **fields)
