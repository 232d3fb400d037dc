"""PyTorch's layers with 8-bit integers against written-out integer arithmetic."""

from __future__ import annotations

import platform
from dataclasses import replace

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from deploy.networks import images, relative_error
from modernet.deploy.running.int8 import input_ranges
from modernet.deploy.running.int8_network import int8_network, to_steps
from modernet.deploy.running.torch_int8 import Int8Way, TorchInt8
from modernet.deploy.running.way import Work
from modernet.errors import InputError
from modernet.torch_internals import int8_kernels

x86 = pytest.mark.skipif(TorchInt8().missing() != "", reason="needs PyTorch's 8-bit kernels for x86")


def work(network: nn.Module, x: Tensor) -> Work:
    return Work(network.eval().requires_grad_(False), x, torch.float32, calibration=x)


def in_8_bits(
    network: nn.Module, x: Tensor, largest: int = 63, kept: tuple[str, ...] = ()
) -> tuple[fx.GraphModule, float]:
    network.eval().requires_grad_(False)
    ranges = {name: seen for name, seen in input_ranges(network, x).items() if name not in kept}
    return int8_network(network, x, ranges, largest)


def nodes(program: fx.GraphModule, target: object) -> list[fx.Node]:
    return [node for node in program.graph.nodes if node.target is target]


def written_out(layer: nn.Conv2d | nn.Linear, x: Tensor, low: Tensor, high: Tensor, largest: int = 63) -> Tensor:
    """Return a layer's result with sums of products of integers in float64, which holds them exactly."""
    scale = (high - low) / 255
    zero = torch.round(-low / scale)
    integers = torch.clamp(torch.round(x / scale + zero), 0, 255) - zero
    step = layer.weight.flatten(1).abs().amax(1) / largest
    weight = torch.round(layer.weight / step.view(-1, *[1] * (layer.weight.ndim - 1)))
    assert layer.bias is not None
    if isinstance(layer, nn.Linear):
        return F.linear(integers.double(), weight.double()) * (scale * step) + layer.bias
    sums = F.conv2d(integers.double(), weight.double(), None, layer.stride, layer.padding, layer.dilation, layer.groups)
    return sums * (scale * step).view(-1, 1, 1) + layer.bias.view(-1, 1, 1)


@x86
@pytest.mark.medium
@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(12, 7),
        nn.Conv2d(3, 5, 3, stride=2, padding=1),
        nn.Conv2d(3, 6, 3, padding=2, dilation=2, groups=3, bias=True),
    ],
)
@pytest.mark.parametrize("shift", [0.0, -2.0])  # inputs that are never negative have no zero point
def test_a_layer_sums_products_of_integers(layer: nn.Conv2d | nn.Linear, shift: float) -> None:
    x = torch.rand(4, 3, 12, 12, generator=torch.Generator().manual_seed(0)) * 3 + shift
    program, share = in_8_bits(nn.Sequential(layer), x)
    low, high = x.amin().clamp_max(0), x.amax()
    if isinstance(layer, nn.Conv2d) and layer.groups == 3:  # one range a channel: symmetric where there are negatives
        bound = x.abs().amax((0, 2, 3)).view(-1, 1, 1)
        low, high = (-bound * 128 / 127, bound) if shift else (torch.zeros_like(bound), bound)
        pairs = zip(layer_by_channel(layer), low.flatten(), high.flatten(), x.split(1, 1), strict=True)
        expected = torch.cat([written_out(part, each, a, b) for part, a, b, each in pairs], 1)
    else:
        expected = written_out(layer, x, low, high)
    assert relative_error(program(x), expected) < 1e-6
    assert share == layer.weight.numel() / sum(p.numel() for p in layer.parameters())


def layer_by_channel(layer: nn.Conv2d) -> list[nn.Conv2d]:
    """Return the convolutions of one channel that a depthwise convolution is made of."""
    parts = []
    for weight, bias in zip(layer.weight.split(2), layer.bias.split(2), strict=True):  # type: ignore[union-attr]
        part = nn.Conv2d(1, 2, 3, padding=layer.padding, dilation=layer.dilation)  # type: ignore[arg-type]
        part.weight, part.bias = nn.Parameter(weight, requires_grad=False), nn.Parameter(bias, requires_grad=False)
        parts.append(part)
    return parts


@x86
def test_sums_do_not_saturate_on_processors_that_add_pairs_of_products_in_16_bits() -> None:
    layer = nn.Conv2d(64, 8, 3, padding=1)
    nn.init.ones_(layer.weight)
    x = torch.ones(2, 64, 8, 8)
    program, _ = in_8_bits(nn.Sequential(layer), x)
    assert relative_error(program(x), layer(x)) < 1e-6


class Residual(nn.Module):
    """A block of a mobile network: convolutions with ReLUs between, a depthwise one among them, and a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.expand, self.project = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 3, 1)
        self.depthwise = nn.Conv2d(8, 8, 3, groups=8)
        self.relu, self.relu6 = nn.ReLU(inplace=True), nn.ReLU6(inplace=True)
        self.head = nn.Linear(3, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = F.pad(self.relu6(self.expand(x)), (0, 2, 0, 2))
        y = x + self.project(self.relu(self.depthwise(y)))
        scores: Tensor = self.head(y.mean((2, 3)))
        return scores


def residual() -> tuple[Residual, Tensor]:
    torch.manual_seed(0)
    return Residual(), images(12, batch=4)


@x86
def test_a_kernel_before_another_returns_its_steps() -> None:
    network, x = residual()
    with torch.no_grad():
        network.depthwise.weight[0] *= 300  # channels of very different ranges before ...
        network.expand.weight[1] *= 1e-3  # ... and behind
        network.expand.bias[1] = 1e-3
    program, _ = in_8_bits(network, x)
    assert [node.args[-4] for node in nodes(program, int8_kernels().conv)] == [torch.uint8, torch.uint8, torch.float32]
    assert len(nodes(program, to_steps)) == 2  # of the images and before the head
    assert relative_error(program(x), network(x)) < 0.05


@x86
def test_layers_that_are_kept_stay_in_floating_point() -> None:
    network, x = residual()
    program, share = in_8_bits(network, x, kept=("expand", "depthwise", "project", "head"))
    assert share == 0
    assert torch.equal(program(x), network(x))
    program, share = in_8_bits(network, x, kept=("depthwise",))
    assert share == pytest.approx((24 + 24 + 15) / sum(p.numel() for p in network.parameters()))
    assert [node.args[1].target for node in nodes(program, torch.ops.aten.conv2d.default)] == ["depthwise.weight"]


@x86
def test_any_batch_size_gives_the_same_scores() -> None:
    network, x = residual()
    program, _ = in_8_bits(network, x)
    together = program(x)
    for batch in (1, 3):
        torch.testing.assert_close(program(x[:batch]), together[:batch])


@x86
@pytest.mark.slow
def test_a_compiled_network_agrees_with_its_simulation_in_the_dtype_of_the_work() -> None:
    network, x = residual()
    (way,) = TorchInt8().ways(work(network, x), "int8")
    runner = way.prepare(replace(work(network, x), dtype=torch.bfloat16, kept=frozenset({"head"})))
    expected, _ = in_8_bits(network, x, kept=("head",))
    for batch in (4, 1):
        found = runner(x[:batch])
        assert found.dtype == torch.bfloat16
        assert relative_error(found, expected(x[:batch])) < 0.02
    assert 0 < runner.share < 1
    assert str(way) == "int8, compiled, any batch, channels last"
    assert way.precision == "int8"


def test_there_are_no_8_bit_ways_where_they_do_not_win_or_run(monkeypatch: pytest.MonkeyPatch) -> None:
    given = work(nn.Conv2d(3, 4, 1), images(8))
    assert TorchInt8().ways(given, "exact") == []
    assert TorchInt8().ways(replace(given, compile=False), "int8") == []
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert TorchInt8().missing() == "8-bit ways of PyTorch are for x86 processors; this one is aarch64"
    assert TorchInt8().ways(given, "int8") == []


def test_without_calibration_images_the_message_says_so() -> None:
    given = replace(work(nn.Conv2d(3, 4, 1), images(8)), calibration=None)
    with pytest.raises(InputError, match="8-bit integers need images for their ranges; give calibration images"):
        Int8Way(channels_last=True).prepare(given)
