"""bfloat16 on a CPU whose convolutions have wrong gradients: those of this machine are made wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet import progress
from modernet.errors import InputError
from modernet.processes import ALONE, Processes
from modernet.recipes import Execution
from modernet.torch_internals import has_forward_hooks
from modernet.training.placement import bfloat16_check
from modernet.training.placement import placement as placing
from modernet.training.placement.bfloat16_check import Avoided, avoid_wrong_gradients
from modernet.training.placement.placement import Placement
from modernet.training.placement.sharding import full_tensor
from small_runs import RANDOM

CPU = torch.device("cpu")
BF16 = RANDOM.replace(precision="bf16")


class Wrong(torch.autograd.Function):
    """The identity, with a thousand times its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Tensor:  # type: ignore[override]
        return 1000 * dy


def break_layers(monkeypatch: pytest.MonkeyPatch, is_wrong: Callable[[Tensor], bool], name: str = "conv2d") -> None:
    """Make the weight gradients of depthwise or transposed convolutions wrong in bfloat16, for some inputs."""
    right = getattr(F, name)

    def convolution(x: Tensor, weight: Tensor, *rest: Any) -> Tensor:
        half = torch.is_autocast_enabled("cpu") or x.dtype == torch.bfloat16
        wrong = half and (weight.shape[1] == 1 or name == "conv_transpose2d") and is_wrong(x)
        y: Tensor = right(x, Wrong.apply(weight) if wrong else weight, *rest)
        return y

    monkeypatch.setattr(F, name, convolution)


def in_channels_last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def network() -> nn.Module:
    torch.manual_seed(0)
    depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
    return nn.Sequential(nn.Conv2d(3, 8, 1), depthwise, nn.Conv2d(8, 8, 3, 2, 1), nn.Flatten(), nn.Linear(32, 2))


def gradients(run: Callable[[Tensor], Tensor], layers: nn.Module) -> list[Tensor]:
    layers.zero_grad()
    images = torch.randn(4, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    run(images.contiguous(memory_format=torch.channels_last)).square().sum().backward()
    return [full_tensor(weight.grad) for weight in layers.parameters() if weight.grad is not None]


def distance(found: list[Tensor], expected: list[Tensor]) -> float:
    return max(float((f - e).norm() / e.norm()) for f, e in zip(found, expected, strict=True))


class Upsampled(nn.Module):
    """Has a transposed convolution that is called with the size of its output."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.up = nn.Conv2d(3, 8, 1), nn.ConvTranspose2d(8, 8, 3, 2, 1)
        self.head = nn.Linear(512, 2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.up(self.stem(x), [8, 8]).flatten(1))
        return y


@dataclass(frozen=True)
class Several(Processes):
    """One process that shards its weights as several do."""

    @property
    def alone(self) -> bool:
        return False


@pytest.fixture
def group() -> Iterator[None]:
    """A group of one process."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is said on a processor with bfloat16."""
    said: list[str] = []
    monkeypatch.setattr(progress, "say", said.append)
    monkeypatch.setattr(placing, "has_bfloat16", lambda device: True)
    return said


def unguarded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "avoid_wrong_gradients", lambda network, compiled: Avoided("", []))


def test_a_layer_with_wrong_gradients_in_channels_last_computes_in_contiguous_memory(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = network()
    expected = gradients(plain, plain)
    break_layers(monkeypatch, in_channels_last)
    placement = Placement(network(), BF16, Execution(), CPU, ALONE)
    assert distance(gradients(placement, placement.network), expected) < 0.05
    (line,) = said
    assert line.startswith(f"torch {torch.__version__} computes wrong gradients of 1 in bfloat16")

    unguarded(monkeypatch)
    placement = Placement(network(), BF16, Execution(), CPU, ALONE)
    assert distance(gradients(placement, placement.network), expected) > 100


def test_a_transposed_convolution_is_tried_too(said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Upsampled()
    expected = gradients(plain, plain)
    break_layers(monkeypatch, in_channels_last, "conv_transpose2d")
    placement = Placement(Upsampled(), BF16, Execution(), CPU, ALONE)
    assert distance(gradients(placement, placement.network), expected) < 0.05
    assert "computes wrong gradients of up in bfloat16" in said[0]

    unguarded(monkeypatch)
    placement = Placement(Upsampled(), BF16, Execution(), CPU, ALONE)
    assert distance(gradients(placement, placement.network), expected) > 100


@pytest.mark.medium
@pytest.mark.usefixtures("group", "said")
def test_sharded_weights_have_right_gradients_too(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = network()
    expected = gradients(plain, plain)
    break_layers(monkeypatch, in_channels_last)
    placement = Placement(network(), BF16, Execution(shard=True), CPU, Several())
    assert distance(gradients(placement, placement.network), expected) < 0.05
    assert not any(map(has_forward_hooks, placement.result().modules()))

    unguarded(monkeypatch)
    placement = Placement(network(), BF16, Execution(shard=True), CPU, Several())
    assert distance(gradients(placement, placement.network), expected) > 100


@pytest.mark.usefixtures("said")
@pytest.mark.parametrize("ema_decay", [None, 0.9])
def test_a_trained_network_is_as_it_would_be_without(ema_decay: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    break_layers(monkeypatch, in_channels_last)
    placement = Placement(network(), BF16.replace(ema_decay=ema_decay), Execution(), CPU, ALONE)
    assert any(map(has_forward_hooks, placement.network.modules()))
    assert any(map(has_forward_hooks, placement.evaluated().modules())) is (ema_decay is None)
    assert not any(map(has_forward_hooks, placement.result().modules()))


@pytest.fixture
def right(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the gradients of this machine as right, which those of torch 2.15 are not on every processor."""
    monkeypatch.setattr(bfloat16_check, "_is_right", lambda layer, memory_format: True)


@pytest.mark.usefixtures("right")
def test_right_gradients_change_nothing() -> None:
    layers = network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    before = torch.get_rng_state()
    assert avoid_wrong_gradients(layers, compiled=True) == ("", [])
    assert torch.equal(torch.get_rng_state(), before)
    assert layers[2].weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("is_wrong", "compiled", "message"),
    [
        (in_channels_last, True, "in channels_last memory; give --precision fp32, or leave out --compile"),
        (lambda x: True, False, "on this processor; give --precision fp32"),
    ],
)
def test_wrong_gradients_that_cannot_be_avoided_are_refused(
    is_wrong: Callable[[Tensor], bool], compiled: bool, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_layers(monkeypatch, is_wrong)
    with pytest.raises(InputError, match=message):
        Placement(network(), BF16, Execution(compile=compiled), CPU, ALONE)


@pytest.mark.usefixtures("right")
def test_emulated_bfloat16_is_said_to_be_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(progress, "say", said.append)
    for multiplies in (False, True):
        monkeypatch.setattr(placing, "has_bfloat16", lambda device, known=multiplies: known)
        Placement(network(), BF16, Execution(), CPU, ALONE)
    assert said == [
        "bfloat16 is emulated on this processor, without AMX or AVX512-BF16: --precision fp32 trains faster"
    ]
