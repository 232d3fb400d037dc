from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from modernet.errors import InputError
from modernet.layers.memory_layout import avoid_unsafe_layout


class Layouts:
    """Whether the inputs of layers were in contiguous memory, in order of their calls."""

    def __init__(self, *layers: nn.Module) -> None:
        self.contiguous: list[bool] = []
        for layer in layers:
            layer.register_forward_hook(self._note)

    def _note(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self.contiguous.append(inputs[0].is_contiguous())


def channels_last(*shape: int) -> Tensor:
    return torch.randn(shape).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("channels", "kernel", "stride", "contiguous"), [(8, 1, 2, True), (16, 1, 2, False), (8, 3, 2, False)]
)
def test_only_narrow_convolutions_that_skip_pixels_compute_in_contiguous_memory(
    channels: int, kernel: int, stride: int, contiguous: bool
) -> None:
    layer = nn.Conv2d(channels, 4, kernel, stride)
    network = nn.Sequential(layer).to(memory_format=torch.channels_last)
    avoid_unsafe_layout(network, compiled=False)
    layouts = Layouts(layer)

    network(channels_last(2, channels, 4, 4))
    assert layouts.contiguous == [contiguous]


def test_gradients_are_those_of_the_same_layer_in_double_precision() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(8, 4, 1, 2)
    network = nn.Sequential(layer).to(memory_format=torch.channels_last)
    exact = nn.Conv2d(8, 4, 1, 2).double()
    exact.load_state_dict(layer.state_dict())
    avoid_unsafe_layout(network, compiled=False)
    x = channels_last(2, 8, 5, 5)

    network(x).square().sum().backward()
    exact(x.double()).square().sum().backward()
    assert layer.weight.grad is not None
    assert exact.weight.grad is not None
    torch.testing.assert_close(layer.weight.grad.double(), exact.weight.grad, rtol=1e-5, atol=1e-5)


def test_without_its_hooks_a_layer_keeps_the_layout_of_its_input() -> None:
    layer = nn.Conv2d(8, 4, 1, 2)
    for hook in avoid_unsafe_layout(nn.Sequential(layer), compiled=False):
        hook.remove()
    layouts = Layouts(layer)

    layer(channels_last(2, 8, 4, 4))
    assert layouts.contiguous == [False]


def test_a_compiler_that_chooses_the_layout_is_refused() -> None:
    network = nn.Sequential(nn.Conv2d(8, 4, 1, 2))
    with pytest.raises(InputError, match=r"^0 is a strided convolution of 8 channels, .* leave out --compile"):
        avoid_unsafe_layout(network, compiled=True)
