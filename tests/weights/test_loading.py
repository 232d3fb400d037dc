"""What fits, what does not, and what is said about it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from modernet.errors import InputError
from modernet.models import create_model
from modernet.weights import load_weights


def made(name: str, **fields: object) -> nn.Module:
    torch.manual_seed(1)
    network = create_model(name, **{"num_classes": 5, **fields})
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    return network


def refused(network: nn.Module, weights: dict[str, Tensor], **options: bool) -> str:
    """The message of a load that does not fit, which changes nothing."""
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(InputError) as error:
        load_weights(network, weights, **options)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    return str(error.value)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "backbone.", "encoder.", "model."])
def test_prefixes_of_wrappers_are_recognised(prefix: str) -> None:
    source, network = made("convnext_test"), create_model("convnext_test", num_classes=5)
    load_weights(network, {f"{prefix}{name}": value for name, value in source.state_dict().items()})
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in network.state_dict().items())


def test_another_number_of_classes_is_explained_with_both_fixes() -> None:
    message = refused(create_model("convnext_test", num_classes=7), made("convnext_test").state_dict())
    assert "head.weight is 5x64 in the file and 7x64 in the network" in message
    assert message.endswith("these weights have 5 classes: make the network with num_classes=5, or skip the head")


def test_the_head_can_be_skipped() -> None:
    source, network = made("convnext_test"), create_model("convnext_test", num_classes=7)
    head = network.state_dict()["head.weight"].clone()
    report = load_weights(network, source.state_dict(), skip_head=True)
    assert set(report.new) == {"head.weight", "head.bias"}
    assert torch.equal(network.state_dict()["head.weight"], head)
    assert torch.equal(network.state_dict()["norm.weight"], source.state_dict()["norm.weight"])


def test_weights_without_a_classifier_are_an_error() -> None:
    body = {name: value for name, value in made("convnext_test").state_dict().items() if not name.startswith("head.")}
    message = refused(create_model("convnext_test", num_classes=7), body)
    assert message.endswith("these weights have no classifier: skip the head, and train a new one")


def test_a_network_without_a_classifier_takes_weights_that_have_one() -> None:
    source, network = made("convnext_test"), create_model("convnext_test", num_classes=0)
    load_weights(network, source.state_dict(), skip_head=True)
    assert torch.equal(network.state_dict()["norm.weight"], source.state_dict()["norm.weight"])


@pytest.mark.medium
def test_another_variant_is_suggested_and_both_sides_are_shown() -> None:
    with torch.device("meta"):
        small = create_model("convnext_small")
    weights = {name: torch.empty(value.shape) for name, value in small.state_dict().items()}
    message = refused(create_model("convnext_tiny"), weights)
    assert "nothing was changed" in message
    assert "unexpected (162): stages.2.9.gamma, stages.2.9.dwconv.weight" in message
    assert message.endswith("these weights fit convnext_small")


def test_unknown_names_are_shown_with_those_of_the_network() -> None:
    message = refused(create_model("resnet_test"), {"something.weight": torch.zeros(3)})
    assert "its names belong to no known project\n  file:    something.weight\n  network: conv1.weight" in message
    assert "these weights fit no network of the zoo" in message


RESAMPLED: list[tuple[str, dict[str, object], dict[str, object], str]] = [
    ("vit_test", {"image_size": 64}, {"image_size": 96}, "pos_embed"),
    ("deit_test", {"image_size": 64}, {"image_size": 32}, "pos_embed"),
    ("swin_test", {"window_size": 4}, {"window_size": 6}, "layers.0.blocks.0.attn.relative_position_bias_table"),
    ("levit_test", {"image_size": 96}, {"image_size": 64}, "blocks.0.m.attention_biases"),
    ("gfnet_test", {"image_size": 64}, {"image_size": 96}, "blocks.0.filter.complex_weight"),
]


@pytest.mark.parametrize(("name", "there", "here", "which"), RESAMPLED)
def test_position_weights_are_resampled_only_on_request(
    name: str, there: dict[str, object], here: dict[str, object], which: str
) -> None:
    source, network = made(name, **there), create_model(name, num_classes=5, **here)
    weights = source.state_dict()
    assert refused(network, weights).endswith(
        "these weights are for another image size: allow resampling, or make the network for that size"
    )
    report = load_weights(network, weights, resample=True)
    assert which in report.resampled
    for each, value in network.state_dict().items():
        if each not in report.resampled:
            assert torch.equal(value, weights[each]), each


CONSTANT: list[tuple[Callable[[], nn.Module], Callable[[], nn.Module]]] = [
    (lambda: made("vit_test", image_size=64), lambda: create_model("vit_test", num_classes=5, image_size=96)),
    (lambda: made("levit_test", image_size=96), lambda: create_model("levit_test", num_classes=5, image_size=160)),
    (lambda: made("swin_test", window_size=4), lambda: create_model("swin_test", num_classes=5, window_size=6)),
]


@pytest.mark.parametrize(("source", "target"), CONSTANT)
def test_resampling_keeps_constants(source: Callable[[], nn.Module], target: Callable[[], nn.Module]) -> None:
    weights = {
        name: torch.full_like(value, 0.3) if name.endswith(("pos_embed", "bias_table", "attention_biases")) else value
        for name, value in source().state_dict().items()
    }
    network = target()
    report = load_weights(network, weights, resample=True)
    assert report.resampled
    for name in report.resampled:
        torch.testing.assert_close(network.state_dict()[name], torch.full_like(network.state_dict()[name], 0.3))
