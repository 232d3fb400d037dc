"""The ranking of layers by what 8-bit integers cost, and the ranges and roundings that it is made of."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from deploy.networks import images
from modernet.deploy.running.int8 import Range, input_ranges, quantizable, run_rounded
from modernet.deploy.running.sensitivity import rank_layers
from modernet.deploy.running.way import Work


def work(network: nn.Module, x: Tensor) -> Work:
    return Work(network.eval().requires_grad_(False), x, torch.float32, calibration=x)


def test_layers_with_shared_or_computed_weights_are_left_alone() -> None:
    network = nn.ModuleDict({name: nn.Linear(4, 4) for name in ("own", "first", "second", "computed")})
    network["second"].weight = network["first"].weight
    nn.utils.parametrizations.weight_norm(network["computed"])
    assert list(quantizable(network)) == ["own"]


def test_a_range_covers_all_calls_and_zero() -> None:
    layer = nn.Conv2d(3, 3, 1, groups=3)
    x = torch.tensor([1.0, -2.0, 0.0]).view(1, 3, 1, 1) + torch.arange(20).view(20, 1, 1, 1)
    seen = input_ranges(nn.Sequential(layer), x)["0"]
    assert seen.low.tolist() == [0, -2, 0]
    assert seen.high.tolist() == [20, 17, 19]


def test_rounding_leaves_the_weight_as_it_was() -> None:
    layer = nn.Linear(4, 4)
    before = layer.weight.clone()
    found = run_rounded(layer, Range(torch.tensor(-1.0), torch.tensor(1.0)), torch.rand(2, 4))
    assert torch.equal(layer.weight, before)
    assert found.shape == (2, 4)


class WithOutlier(nn.Module):
    """Three layers, of which the second's input has one channel a thousand times larger, which it ignores."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1), nn.Linear(8, 5)
        with torch.no_grad():
            self.first.weight[0] *= 1000
            self.second.weight[:, 0] = 0
            self.third.weight *= 20

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.third(self.second(self.first(x)).mean((2, 3)))
        return scores


def test_the_layer_with_an_outlier_in_its_input_costs_most() -> None:
    torch.manual_seed(0)
    given = work(WithOutlier(), images(8, batch=4))
    before = copy.deepcopy(given.network.state_dict())
    ranked = rank_layers(given)
    assert ranked[0][0] == "second"
    assert ranked[0][1] > 20 * ranked[1][1] > 0
    assert {name for name, _ in ranked} == {"first", "second", "third"}
    assert ranked == rank_layers(given)
    assert all(torch.equal(before[name], tensor) for name, tensor in given.network.state_dict().items())


def test_the_cost_of_a_layer_is_the_divergence_of_the_scores() -> None:
    torch.manual_seed(0)
    given = work(nn.Sequential(nn.Flatten(), nn.Linear(12, 5)), images(2, batch=4))
    seen = input_ranges(given.network, given.images)["1"]
    rounded = run_rounded(given.network[1], seen, given.images.flatten(1))
    p, q = (scores.double().softmax(1) for scores in (given.network(given.images), rounded))
    ((name, cost),) = rank_layers(given)
    assert name == "1"
    assert cost == pytest.approx(float((p * (p / q).log()).sum(1).mean()), rel=1e-6)


def test_without_time_layers_are_ranked_by_the_change_of_their_own_output() -> None:
    torch.manual_seed(0)
    ranked = rank_layers(work(WithOutlier(), images(8, batch=4)), seconds=0.0)
    assert ranked[0][0] == "second"
    assert len(ranked) == 3


def test_a_network_without_class_scores_is_ranked_by_relative_error() -> None:
    given = work(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)), images(12, batch=4))
    costs = dict(rank_layers(given))
    assert 1e-4 < costs["0"] < 0.05
    assert 1e-4 < costs["1"] < 0.05


def test_the_first_parameter_may_be_complex_and_there_may_be_none() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3))
    network.register_parameter("phase", nn.Parameter(torch.zeros(1, dtype=torch.complex64)))
    assert [name for name, _ in rank_layers(work(network, images(12, batch=4)))] == ["0"]
    assert rank_layers(work(nn.Sequential(nn.ReLU()), images(12, batch=4))) == []
