"""VGG: torchvision's networks under the same names, and invalid configs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from modernet.counting import count
from modernet.errors import InputError
from modernet.models import MODELS, create_model, vgg


def randomise(network: nn.Module) -> None:
    """Biases and norms too, so that swapped parameters show."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        if parameter.ndim == 1:
            nn.init.uniform_(parameter, 0.5, 1.5)
    for name, buffer in network.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            nn.init.uniform_(buffer, 0.5, 1.5)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_small_vgg_equals_torchvision_under_the_same_names(batch_norm: bool) -> None:
    plan: list[str | int] = [8, "M", 12, 12, "M", 16, "M", 16, "M", 512, "M"]
    layers = torchvision.models.vgg.make_layers(plan, batch_norm)
    with torch.device("meta"):
        reference = torchvision.models.VGG(nn.Sequential(), num_classes=7)
    reference.features = layers
    for index, (cin, cout) in {0: (512 * 49, 32), 3: (32, 32), 6: (32, 7)}.items():
        reference.classifier[index] = nn.Linear(cin, cout)  # the same, but narrower
    randomise(reference.eval())
    ours = create_model(
        "vgg16", depths=(1, 2, 1, 1, 1), dims=(8, 12, 16, 16, 512), batch_norm=batch_norm, hidden=32, num_classes=7
    ).eval()
    ours.load_state_dict(reference.state_dict())
    for size in (32, 72):
        x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
        expected = reference(x)
        torch.testing.assert_close(ours(x), expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize("name", ["vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"])
def test_every_variant_has_the_layers_of_torchvision(name: str) -> None:
    with torch.device("meta"):
        ours, reference = create_model(name), torchvision.models.get_model(name, weights=None, init_weights=False)
    assert [type(layer) for layer in ours.features] == [type(layer) for layer in reference.features]
    assert {n: p.shape for n, p in ours.state_dict().items()} == {n: p.shape for n, p in reference.state_dict().items()}
    meta = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"].meta
    counts, published = count(ours, 224), MODELS[name].published
    assert counts.params == meta["num_params"]
    assert (round(counts.macs / 1e9, 3), published.top1) == (meta["_ops"], meta["_metrics"]["ImageNet-1K"]["acc@1"])


def test_vgg_is_initialised_as_in_torchvision() -> None:
    torch.manual_seed(0)
    network = create_model("vgg_test", dims=(64, 128, 64), hidden=256)
    convolution = network.features[3]
    assert convolution.weight.std().item() == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.02)
    assert network.classifier[0].weight.std().item() == pytest.approx(0.01, rel=0.02)
    biases = [parameter for name, parameter in network.named_parameters() if name.endswith("bias")]
    assert all(bool((bias == 0).all()) for bias in biases)


def test_features_are_the_last_relu_of_every_stage_and_the_last_pool() -> None:
    with torch.device("meta"):
        network = create_model("vgg16", features_only=True)
        maps = network(torch.empty(1, 3, 224, 224))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (64, 224, 224),
        (128, 112, 112),
        (256, 56, 56),
        (512, 28, 28),
        (512, 14, 14),
        (512, 7, 7),
    ]
    assert network.feature_info.module_name()[4] == "features.29"  # "conv5_3"


def test_images_that_are_too_small_raise() -> None:
    network = create_model("vgg_test").eval()
    assert network(torch.zeros(1, 3, 8, 8)).shape == (1, 1000)
    with pytest.raises(InputError, match="images are 9x7; this network needs at least 8x8: resize them"):
        network(torch.zeros(1, 3, 9, 7))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"drop_path_rate": 0.1}, "drop_path_rate is 0.1; a VGG has no residual branches to drop"),
        ({"depths": (1, 1)}, r"depths \(1, 1\) and dims .* give one number above 0 in each for every stage"),
        ({"depths": (1, 0, 1)}, "give one number above 0"),
        ({"dims": (8, 0, 8)}, "give one number above 0"),
        ({"hidden": 0}, "hidden is 0; give 1 or more"),
        ({"drop_rate": 1.0}, r"drop_rate is 1.0; give a rate in \[0, 1\)"),
    ],
)
def test_invalid_configs_raise(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        vgg.VGGConfig(**{"depths": (1, 1, 1), "dims": (8, 8, 8), **fields})
