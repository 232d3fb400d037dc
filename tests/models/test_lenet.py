"""LeNet of 1989: the counts of the paper, its wiring, and invalid configs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from modernet.counting import count
from modernet.errors import InputError
from modernet.models import create_model, lenet


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return create_model("lenet1989")


def test_parameters_and_connections_equal_the_papers(network: nn.Module) -> None:
    layers = [network.H1, network.H2, network.H3, network.output]
    assert [sum(p.numel() for p in layer.parameters()) for layer in layers] == [1068, 2592, 5790, 310]
    counts = count(network, 16, in_chans=1)
    assert counts.params == 9_760
    # a unit has a connection per input of its windows, and one for its bias
    h1 = sum((25 * 1 + 1) * 8 * 8 for _ in range(12))
    h2 = sum((25 * len(seen) + 1) * 4 * 4 for seen in lenet.WIRING)
    connections = h1 + h2 + 30 * (192 + 1) + 10 * (30 + 1)
    assert (h1, h2, connections) == (19_968, 38_592, 64_660)
    units = 12 * 64 + 12 * 16 + 30 + 10
    assert counts.macs == connections - units == 63_660


def test_each_map_of_h2_sees_the_8_maps_of_its_wiring(network: nn.Module) -> None:
    assert all(len(set(seen)) == 8 for seen in lenet.WIRING)
    assert sorted(number for seen in lenet.WIRING for number in seen) == sorted(8 * list(range(12))), (
        "each is seen 8 times"
    )
    for index, seen in enumerate(lenet.WIRING):
        x = torch.zeros(1, 12, 8, 8, requires_grad=True)
        network.H2(x)[0, index].sum().backward()
        assert x.grad is not None
        assert x.grad.abs().sum((0, 2, 3)).nonzero().flatten().tolist() == seen


def test_maps_equal_their_definition(network: nn.Module) -> None:
    """Unit (m, i, j) is the tanh of its bias and of m's kernel over the 5x5 around (2i, 2j), -1 outside."""
    layer = network.H2
    nn.init.uniform_(layer.bias)
    x = torch.rand(2, 12, 8, 8)
    padded = torch.full((2, 12, 12, 12), -1.0)
    padded[:, :, 2:10, 2:10] = x
    expected = torch.empty(2, 12, 4, 4)
    for m, seen in enumerate(lenet.WIRING):
        for i in range(4):
            for j in range(4):
                window = padded[:, seen, 2 * i : 2 * i + 5, 2 * j : 2 * j + 5]
                expected[:, m, i, j] = ((window * layer.weight[m]).sum((1, 2, 3)) + layer.bias[m, i, j]).tanh()
    torch.testing.assert_close(layer(x), expected)


def test_initial_weights_are_bounded_by_fan_in(network: nn.Module) -> None:
    for layer, inputs in [(network.H1, 25), (network.H2, 200), (network.H3, 192), (network.output, 30)]:
        bound = 2.4 / inputs
        assert 0.9 * bound < layer.weight.abs().max().item() <= bound
        assert bool((layer.bias == 0).all())
    network.reset_classifier(4)
    assert network.output.weight.abs().max().item() > 0.8 * 2.4 / 30


def test_images_of_another_size_raise_or_need_another_image_size(network: nn.Module) -> None:
    message = r"images are 28x28; this network takes 16x16: resize them, or create it with another image_size"
    with pytest.raises(InputError, match=message):
        network(torch.zeros(1, 1, 28, 28))
    assert create_model("lenet1989", image_size=28)(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_images_with_other_channels_raise(network: nn.Module) -> None:
    with pytest.raises(
        InputError, match=r"images have 3 channels; this network takes 1: create it with another in_chans"
    ):
        network(torch.zeros(1, 3, 16, 16))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"drop_path_rate": 0.1}, "drop_path_rate is 0.1; a LeNet has no residual branches to drop"),
        ({"image_size": 18}, "image_size is 18; give a multiple of 4"),
        ({"image_size": 0}, "image_size is 0; give a multiple of 4"),
    ],
)
def test_invalid_configs_raise(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        lenet.LeNetConfig(**fields)
