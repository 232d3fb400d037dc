"""A-SCN: what its stages compute, against a plain reading of the release."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from modernet.data.points.inputs import PointInputs
from modernet.errors import InputError
from modernet.points.ascn import AttentionalEncoder, Stage
from modernet.points.heads import PartSegmenter
from modernet.points.zoo import create_point_model

SMALL = {"key_widths": (8, 8), "value_widths": (16, 32)}


def clouds(n: int = 40, channels: int = 3) -> Tensor:
    return torch.randn(4, n, channels, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def shaken(network: nn.Module) -> nn.Module:
    """Return the network in double precision, with other norms and biases than at the start."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.double().parameters():
            if parameter.dim() == 1:
                parameter += 0.3 * torch.randn(parameter.shape, dtype=torch.float64, generator=generator)
    return network


def normed(layers: nn.Module, x: Tensor) -> Tensor:
    """One product and BatchNorm over clouds and points, with the mean and variance of the batch."""
    linear, norm = layers[0], layers[1].norm  # type: ignore[index]
    x = torch.einsum("...c,dc->...d", x, linear.weight)
    dims = tuple(range(x.dim() - 1))
    variance, mean = torch.var_mean(x, dims, correction=0)
    return (x - mean) / (variance + 0.001).sqrt() * norm.weight + norm.bias


def plain_stage(stage: Stage, x: Tensor, *, norm_keys: bool = True) -> Tensor:
    """A stage as the release writes it, with the weights of all pairs of points."""
    if norm_keys:
        q, k = normed(stage.q, x), normed(stage.k, x)
    else:
        q, k = (x @ layer.weight.T + layer.bias for layer in (stage.q, stage.k))
    v = normed(stage.v, x)
    q, k, heads = (y.reshape(*y.shape[:2], stage.heads, -1).permute(0, 2, 1, 3) for y in (q, k, v))
    weights = (q * q.shape[-1] ** -0.5 @ k.transpose(2, 3)).softmax(-1)
    y = (weights @ heads).permute(0, 2, 1, 3).reshape(v.shape)
    y = normed(stage.out, y).relu() + v
    y = normed(stage.transform, y).relu()
    gate = normed(stage.gate[2], normed(stage.gate[1], normed(stage.gate[0], y).relu()).relu()).sigmoid()
    return y * gate


class TestReading:
    def test_the_classifier_is_the_release_s(self) -> None:
        torch.manual_seed(0)
        network = shaken(create_point_model("ascn", PointInputs(40), 5, **SMALL)).train()
        for module in network.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0
        x = clouds()
        for stage in network.encoder.stages:
            x = plain_stage(stage, x)
        x, head = x.max(1).values, network.head
        for layers in (head[0], head[2]):
            x = normed(layers, x).relu()
        expected = x @ head[4].weight.T + head[4].bias
        torch.testing.assert_close(network(clouds()), expected, rtol=1e-9, atol=1e-9)
        grads = [torch.autograd.grad(y.square().sum(), network.parameters()) for y in (network(clouds()), expected)]
        for found, wanted in zip(*grads, strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-7, atol=1e-7)

    def test_the_part_network_is_the_release_s(self) -> None:
        torch.manual_seed(0)
        network = shaken(create_point_model("ascn", PointInputs(40, categories=3), 7, classes_of="points", **SMALL))
        assert isinstance(network, PartSegmenter)
        for module in network.train().modules():
            if isinstance(module, nn.Dropout):
                module.p = 0
        stages, x = [], clouds()
        for stage in network.encoder.stages:
            x = plain_stage(stage, x, norm_keys=False)
            stages.append(x)
        one_hot = torch.eye(3, dtype=torch.float64)[[0, 2, 1, 1]]
        tiled = torch.cat([x.max(1).values, one_hot], 1)[:, None].expand(-1, 40, -1)
        joined = torch.cat([tiled, *stages], 2)
        weight = torch.cat([network.first.context.weight, network.first.each.weight], 1)
        first = nn.ModuleList([nn.Linear(weight.shape[1], 256, bias=False).double(), network.first.norm])
        with torch.no_grad():
            first[0].weight.copy_(weight)
        x = normed(network.rest[3], normed(network.rest[1], normed(first, joined).relu()).relu()).relu()
        expected = x @ network.rest[4].weight.T + network.rest[4].bias
        found = network(clouds(), torch.tensor([0, 2, 1, 1]))
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)

    def test_scenes_have_one_head_and_ignore_categories(self) -> None:
        torch.manual_seed(0)
        network = create_point_model("ascn", PointInputs(40, channels=9), 13, classes_of="points", **SMALL).double()
        assert [stage.heads for stage in network.encoder.stages] == [1, 1]
        network.eval()
        x = clouds(channels=9)
        found = network(x, torch.zeros(4, dtype=torch.long))
        assert found.shape == (4, 40, 13)
        torch.testing.assert_close(found, network(x, torch.arange(4)), rtol=0, atol=0)


class TestStages:
    def test_permuting_points_permutes_every_stage(self) -> None:
        torch.manual_seed(0)
        encoder = create_point_model("ascn", PointInputs(40), 5).encoder.double().eval()
        assert isinstance(encoder, AttentionalEncoder)
        x, order = clouds(), torch.randperm(40)
        stages = encoder(x)
        assert [y.shape[-1] for y in stages] == [64, 64, 64, 128, 1024]
        for found, expected in zip(encoder(x[:, order]), stages, strict=True):
            torch.testing.assert_close(found, expected[:, order], rtol=1e-9, atol=1e-9)

    def test_one_head_without_queries_and_keys_gives_the_mean_of_values(self) -> None:
        torch.manual_seed(0)
        stage, caught = Stage(3, 8, 16, 1).double(), []
        with torch.no_grad():
            stage.q[0].weight.zero_()
            stage.k[0].weight.zero_()
        stage.out.register_forward_pre_hook(lambda _, arguments: caught.append(arguments[0]))
        stage.eval()(clouds())
        mean = stage.v(clouds()).mean(1, keepdim=True).expand(-1, 40, -1)
        torch.testing.assert_close(caught[0], mean, rtol=1e-12, atol=1e-12)

    def test_a_single_point_attends_to_itself(self) -> None:
        torch.manual_seed(0)
        stage, x = shaken(Stage(3, 8, 16, 4)).eval(), clouds(1)
        v = stage.v(x)
        transformed = stage.transform(stage.out(v) + v)
        torch.testing.assert_close(stage(x), transformed * stage.gate(transformed), rtol=1e-12, atol=1e-12)

    def test_parameters_do_not_depend_on_the_number_of_points(self) -> None:
        shapes = [
            {name: value.shape for name, value in create_point_model("ascn", PointInputs(n), 5).state_dict().items()}
            for n in (1, 2048)
        ]
        assert shapes[0] == shapes[1]


def test_widths_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="30 channels cannot be divided into 4 heads; give a multiple"):
        create_point_model("ascn", PointInputs(), 5, key_widths=(30,), value_widths=(64,))
    with pytest.raises(InputError, match="1 widths of keys and 5 of values; give both for each stage"):
        create_point_model("ascn", PointInputs(), 5, key_widths=(32,))
