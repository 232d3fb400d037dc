from __future__ import annotations

import pytest
import torch
from torch import nn

from modernet.counting import Counts, count
from modernet.errors import InputError
from modernet.models import create_model


def test_convolutions_and_linear_layers_match_their_formulas() -> None:
    network = nn.Sequential(nn.Conv2d(2, 6, 3, stride=2, padding=1, groups=2), nn.Flatten(), nn.Linear(6 * 4 * 4, 5))
    convolution, linear = 6 * 1 * 3 * 3, 6 * 4 * 4 * 5
    counts = count(network, 8, in_chans=2)
    assert counts == Counts(params=convolution + 6 + linear + 5, macs=convolution * 4 * 4 + linear)


def test_fused_attention_matches_its_formula() -> None:
    class OfPositions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            tokens = x.flatten(2).mT
            return self.attention(tokens, tokens, tokens, need_weights=False)[0]

    # in evaluation mode without gradients, torch's counter misses it on a real device
    projections, products = 4 * 16 * 8 * 8, 2 * 16 * 16 * 8
    assert count(OfPositions().eval(), 4, in_chans=8).macs == projections + products


def test_norms_activations_and_pooling_have_no_macs() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3), nn.GELU(), nn.MaxPool2d(2), nn.GroupNorm(1, 3))
    assert count(network, 8) == Counts(params=12, macs=0)


def test_a_tied_weight_counts_once_in_params_and_twice_in_macs() -> None:
    layer = nn.Conv2d(3, 3, 1, bias=False)
    assert count(nn.Sequential(layer, layer), 2) == Counts(params=9, macs=2 * 9 * 4)


def test_counting_does_not_change_the_network() -> None:
    network = create_model("resnet_test").train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    count(network, 32)
    assert network.training
    torch.testing.assert_close(dict(network.state_dict()), before, rtol=0, atol=0)


def test_a_network_on_the_meta_device_has_the_same_counts() -> None:
    with torch.device("meta"):
        network = create_model("convnext_test")
    assert count(network, 64) == count(create_model("convnext_test"), 64)


def test_images_need_not_be_square() -> None:
    layer = nn.Conv2d(3, 8, 3, padding=1, bias=False)
    assert count(layer, (4, 6)).macs == 3 * 8 * 9 * 4 * 6


@pytest.mark.parametrize(
    ("image_size", "message"),
    [
        (0, "image_size is 0; give the side of an image in pixels, 1 or more"),
        ((8, 0), r"image_size is \(8, 0\); give the side"),
    ],
)
def test_an_image_without_pixels_is_rejected(image_size: int | tuple[int, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        count(nn.Identity(), image_size)


def test_an_image_too_small_for_the_network_is_rejected_with_its_size() -> None:
    with pytest.raises(InputError, match="images of 2x9 are too small for this network"):
        count(nn.Conv2d(3, 8, 3), (2, 9))
