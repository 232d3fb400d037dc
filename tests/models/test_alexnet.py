"""AlexNet: the layer sizes of the paper, torchvision's one tower under the same names, and invalid configs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from modernet.counting import count
from modernet.errors import InputError
from modernet.models import alexnet, create_model


@pytest.mark.medium
def test_one_tower_equals_torchvision_under_the_same_names() -> None:
    reference = torchvision.models.alexnet().eval()
    torch.manual_seed(0)
    for parameter in reference.parameters():
        if parameter.ndim == 1:
            nn.init.uniform_(parameter, 0.5, 1.5)
    ours = create_model("alexnet_one_tower").eval()
    ours.load_state_dict(reference.state_dict())
    for size in (63, 224):
        x = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(1))
        expected = reference(x)
        torch.testing.assert_close(ours(x), expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())


def test_two_towers_have_the_layer_sizes_of_the_paper() -> None:
    with torch.device("meta"):
        network = create_model("alexnet")
        counts = count(network, 224)
        maps = network.forward_intermediates(torch.empty(1, 3, 224, 224), intermediates_only=True)
    shapes = [tuple(layer.weight.shape) for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert shapes == [
        (96, 3, 11, 11),
        (256, 48, 5, 5),
        (384, 256, 3, 3),
        (384, 192, 3, 3),
        (256, 192, 3, 3),
        (4096, 256 * 6 * 6),
        (4096, 4096),
        (1000, 4096),
    ]
    # section 3.5 counts 186,624 and 43,264 neurons in the second and the fifth layer
    assert [m[0].numel() for m in maps] == [96 * 55 * 55, 186_624, 43_264, 256 * 6 * 6]
    assert counts.params == 60_965_224
    weights = [cout * cin * kernel * kernel for cout, cin, kernel, _ in (shape for shape in shapes if len(shape) == 4)]
    convolutions = sum(n * side**2 for n, side in zip(weights, (55, 27, 13, 13, 13), strict=True))
    assert counts.macs == convolutions + 9216 * 4096 + 4096 * 4096 + 4096 * 1000


def test_towers_exchange_channels_in_the_third_convolution_only() -> None:
    """A gradient crosses from one tower to the other only through that convolution."""
    network = create_model("alexnet_test")
    for layer in network.features:
        if isinstance(layer, nn.Conv2d) and layer.in_channels != 3:
            x = torch.ones(1, layer.in_channels, 5, 5, requires_grad=True)
            layer(x)[0, 0].sum().backward()
            assert x.grad is not None
            seen = x.grad.abs().sum((0, 2, 3)) > 0
            assert bool(seen[: layer.in_channels // 2].all())
            assert bool(seen[layer.in_channels // 2 :].any()) == (layer.in_channels == 16)


def test_channels_are_normalised_as_in_the_paper() -> None:
    """Section 3.3, written out: b_i = a_i / (2 + 1e-4 sum a_j^2)^0.75 over the five channels around i."""
    network = create_model("alexnet_test")
    layer = next(layer for layer in network.features if isinstance(layer, nn.LocalResponseNorm))
    a = 100 * torch.rand(1, 9, 2, 2, generator=torch.Generator().manual_seed(0))
    expected = torch.stack(
        [a[:, i] / (2 + 1e-4 * a[:, max(0, i - 2) : i + 3].square().sum(1)) ** 0.75 for i in range(9)],
        dim=1,
    )
    torch.testing.assert_close(layer(a), expected)


def test_two_towers_pad_images_until_the_windows_cover_them() -> None:
    network = create_model("alexnet_test").eval()
    x = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    padded = F.pad(x, (0, 3, 0, 3))
    assert padded.shape[2:] == (227, 227)
    torch.testing.assert_close(network(padded), network(x), rtol=0, atol=0)
    assert network.forward_stage(0, x).shape[2:] == (55, 55)


def test_two_towers_are_initialised_as_in_the_paper() -> None:
    torch.manual_seed(0)
    network = create_model("alexnet", hidden=64)
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert [layer.weight.std().item() for layer in layers[:-1]] == pytest.approx([0.01] * 7, rel=0.05)
    assert [set(layer.bias.tolist()) for layer in layers] == [{0.0}, {1.0}, {0.0}, {1.0}, {1.0}, {1.0}, {1.0}, {0.0}]


@pytest.mark.parametrize(("name", "places"), [("alexnet_test", [2, 5]), ("alexnet_one_tower_test", [0, 3])])
def test_dropout_is_placed_as_published(name: str, places: list[int]) -> None:
    """After the hidden linear layers in 2012, before them in torchvision."""
    head = create_model(name, drop_rate=0.3).classifier
    assert [index for index, layer in enumerate(head) if isinstance(layer, nn.Dropout)] == places
    assert {layer.p for layer in head if isinstance(layer, nn.Dropout)} == {0.3}


@pytest.mark.parametrize(("name", "smallest"), [("alexnet_test", 64), ("alexnet_one_tower_test", 63)])
def test_images_that_are_too_small_raise(name: str, smallest: int) -> None:
    network = create_model(name).eval()
    assert network(torch.zeros(1, 3, smallest, smallest)).shape == (1, 1000)
    message = f"images are 80x{smallest - 1}; this network needs at least {smallest}x{smallest}: resize them"
    with pytest.raises(InputError, match=message):
        network(torch.zeros(1, 3, 80, smallest - 1))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"drop_path_rate": 0.1}, "drop_path_rate is 0.1; an AlexNet has no residual branches to drop"),
        ({"towers": 3}, r"towers is 3; give 1 .the network of 2014. or 2 .that of 2012."),
        ({"dims": (8, 8, 8, 8)}, r"dims is \(8, 8, 8, 8\); give five numbers above 0, each a multiple of the 2 towers"),
        ({"dims": (8, 8, 8, 8, 0)}, "give five numbers above 0"),
        ({"dims": (8, 8, 8, 7, 8)}, "each a multiple of the 2 towers"),
        ({"hidden": 0}, "hidden is 0; give 1 or more"),
        ({"drop_rate": -0.1}, r"drop_rate is -0.1; give a rate in \[0, 1\)"),
    ],
)
def test_invalid_configs_raise(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        alexnet.AlexNetConfig(**fields)
