from __future__ import annotations

import pytest
import torch

from modernet.models import create_model
from modernet.segmentation import Segmenter


@pytest.mark.parametrize("name", ["convnext_test", "resnet_test", "swin_test"])
def test_every_pixel_gets_logits_and_every_parameter_a_gradient(name: str) -> None:
    network = Segmenter(create_model(name), num_classes=5).eval()
    logits = network(torch.randn(2, 3, 64, 64))

    assert logits.shape == (2, 5, 64, 64)
    logits.square().sum().backward()
    assert [key for key, weight in network.named_parameters() if weight.grad is None] == []


def test_images_need_not_be_square() -> None:
    network = Segmenter(create_model("convnext_test"), num_classes=3).eval()

    assert network(torch.randn(1, 3, 64, 96)).shape == (1, 3, 64, 96)


@pytest.mark.parametrize(("name", "strides"), [("resnet_test", [2, 4, 8, 16, 32]), ("vit_test", [4, 8, 16, 32])])
def test_it_sees_a_map_of_every_stride(name: str, strides: list[int]) -> None:
    assert Segmenter(create_model(name), num_classes=3).pyramid.feature_info.reduction() == strides
