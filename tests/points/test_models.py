"""What every network for point clouds promises."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from modernet.data.points.inputs import PointInputs
from modernet.points.config import POINT_MODELS
from modernet.points.zoo import create_point_model

INPUTS = PointInputs(64)
PARTS = PointInputs(64, categories=3)


def clouds(n: int = 64) -> Tensor:
    return torch.randn(3, n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", POINT_MODELS)
class TestEveryPointModel:
    def test_the_order_of_points_changes_no_class_of_a_cloud(self, name: str) -> None:
        torch.manual_seed(0)
        network = create_point_model(name, INPUTS, 5).double().eval()
        x, order = clouds(), torch.randperm(64)
        logits = network(x)
        assert logits.shape == (3, 5)
        torch.testing.assert_close(network(x[:, order]), logits, rtol=1e-9, atol=1e-9)

    def test_the_order_of_points_is_that_of_their_classes(self, name: str) -> None:
        torch.manual_seed(0)
        network = create_point_model(name, PARTS, 7, classes_of="points").double().eval()
        x, categories, order = clouds(), torch.tensor([0, 1, 2]), torch.randperm(64)
        logits = network(x, categories)
        assert logits.shape == (3, 64, 7)
        torch.testing.assert_close(network(x[:, order], categories), logits[:, order], rtol=1e-9, atol=1e-9)
        assert not torch.allclose(network(x, torch.tensor([2, 2, 0]))[0], logits[0])

    def test_a_cloud_is_answered_alone_as_with_others(self, name: str) -> None:
        torch.manual_seed(0)
        network = create_point_model(name, INPUTS, 5).double().eval()
        x = clouds()
        torch.testing.assert_close(network(x)[1:2], network(x[1:2]), rtol=1e-9, atol=1e-9)

    def test_gradients_are_finite_and_reach_every_parameter(self, name: str) -> None:
        torch.manual_seed(0)
        network = create_point_model(name, INPUTS, 5).double().train()
        network(clouds()).square().sum().backward()
        for parameter, value in network.named_parameters():
            assert value.grad is not None, parameter
            assert value.grad.isfinite().all(), parameter
