from __future__ import annotations

import pytest
import torch

from modernet.errors import InputError
from modernet.models import create_model
from modernet.models.backbone import Backbone


@pytest.mark.parametrize("name", ["resnet_test", "resnetd_test"])
@pytest.mark.parametrize(("stride", "sides"), [(4, [16, 8, 4, 2, 1]), (2, [16, 16, 8, 4, 2]), (1, [32, 32, 16, 8, 4])])
def test_stems_for_small_images_keep_more_positions(name: str, stride: int, sides: list[int]) -> None:
    network = create_model(name, stem_stride=stride).eval()
    assert isinstance(network, Backbone)

    maps = network.forward_intermediates(torch.randn(1, 3, 32, 32), intermediates_only=True)

    assert [feature.shape[-1] for feature in maps] == sides
    assert [32 // feature.reduction for feature in network.feature_info] == sides


def test_the_cifar_resnet_18_has_a_3x3_stem_and_its_known_parameter_count() -> None:
    with torch.device("meta"):
        network = create_model("resnet18", stem_stride=1, num_classes=10)

    assert sum(weight.numel() for weight in network.parameters()) == 11_173_962
    assert network.get_parameter("conv1.weight").shape == (64, 3, 3, 3)


def test_an_unsupported_stem_stride_raises() -> None:
    with pytest.raises(InputError, match="stem_stride is 3; give 4, or 2 or 1 for images of 64 or 32 pixels"):
        create_model("resnet_test", stem_stride=3)
