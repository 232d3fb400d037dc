"""What fits, what does not, and what is said about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from modernet.errors import InputError
from modernet.models import MODELS, create_model, get_entry
from modernet.weights import load_weights
from modernet.weights.conversion import scheme_named


def made(name: str, **fields: object) -> nn.Module:
    torch.manual_seed(1)
    network = create_model(name, **{"num_classes": 5, **fields})
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    return network


def refused(network: nn.Module, weights: dict[str, Any], **options: bool) -> str:
    """The message of a load that does not fit, which changes nothing."""
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(InputError) as error:
        load_weights(network, weights, **options)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    return str(error.value)


def prefixed(prefix: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": value for name, value in weights.items()}


def equal(network: nn.Module, weights: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("prefix", "found_under"),
    [
        *((f"{prefix}.", prefix) for prefix in ("backbone", "encoder", "model", "net", "anything.at.all")),
        *((prefix, "") for prefix in ("module.", "_orig_mod.", "module._orig_mod.module.")),
        *(("model._orig_mod.", "model"), ("module.visual.trunk.", "visual.trunk")),
        *(("_fsdp_wrapped_module.backbone.", "backbone"), ("ema.module.", "ema")),
    ],
)
def test_any_prefixes_of_wrappers_are_recognised(prefix: str, found_under: str) -> None:
    weights, network = made("convnext_test").state_dict(), create_model("convnext_test", num_classes=5)
    assert load_weights(network, prefixed(prefix, weights)).found_under == found_under
    assert equal(network, weights)


@pytest.mark.parametrize("model", ["swin_test", "vit_test", "vgg_test", "mobilenet_v2_test"])
def test_wrappers_of_parts_are_recognised(model: str) -> None:
    """As `network.features = torch.compile(DataParallel(network.features))` writes them."""
    weights, network = made(model).state_dict(), create_model(model, num_classes=5)
    wrapped = {}
    for name, value in weights.items():
        first, *rest = name.split(".")
        wrapped[".".join([first, "_orig_mod", "module", *rest] if rest else [first])] = value
    load_weights(network, {"state_dict": prefixed("model.", wrapped)})
    assert equal(network, weights)


def test_names_that_only_differ_by_a_wrapper_are_kept_apart() -> None:
    weights, network = made("convnext_test").state_dict(), create_model("convnext_test", num_classes=5)
    both = prefixed("model.", weights) | prefixed("model._orig_mod.", weights)
    assert load_weights(network, both).found_under in ("model", "model._orig_mod")
    assert equal(network, weights)


PAIRS = [
    ("model_ema", "model"),
    ("params_ema", "params"),
    ("state_dict_ema", "state_dict"),
    ("ema", "model"),
    ("swa_model", "net"),
    ("averaged_model", "model"),
    ("teacher", "student"),
    ("EMA", "state_dict"),
]


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize(("average", "other"), PAIRS)
def test_averaged_weights_come_first(average: str, other: str, flat: bool) -> None:
    weights, network = made("convnext_test").state_dict(), create_model("convnext_test", num_classes=5)
    noise = {name: torch.randn_like(value) for name, value in weights.items()}
    content: dict[str, Any] = {other: prefixed("module.backbone.", noise), average: prefixed("backbone.", weights)}
    if flat:
        content = {"state_dict": prefixed(f"{other}.", noise) | prefixed(f"{average}.", weights)}
    report = load_weights(network, content)
    assert report.found_under == (f"state_dict.{average}" if flat else f"{average}.backbone")
    assert equal(network, weights)


def test_of_several_dictionaries_the_one_that_fits_is_taken() -> None:
    weights, network = made("convnext_test").state_dict(), create_model("convnext_test", num_classes=5)
    content = {
        "epoch": 3,
        "ema": made("resnet_test").state_dict(),
        "anything": {"net": weights},
        "head": made("vit_test"),
    }
    assert load_weights(network, content).found_under == "anything.net"
    assert equal(network, weights)


def test_an_average_without_buffers_does_not_fit() -> None:
    source, network = made("resnet_test"), create_model("resnet_test", num_classes=5)
    weights, average = source.state_dict(), dict(source.named_parameters())
    assert load_weights(network, {"ema": average, "state_dict": weights}).found_under == "state_dict"


def test_two_sets_that_fit_are_an_error_unless_one_is_chosen() -> None:
    first, second = made("convnext_test").state_dict(), create_model("convnext_test", num_classes=5).state_dict()
    content: dict[str, Any] = {"state_dict": {**prefixed("a.", first), **prefixed("b.net.", second)}}
    message = refused(create_model("convnext_test", num_classes=5), content)
    assert message == (
        "these weights: two sets of weights fit, state_dict.a and state_dict.b.net; choose with "
        "load_weights(entry='state_dict.b.net') or modernet convert --entry state_dict.b.net"
    )
    for entry, expected in {"state_dict.a": first, "state_dict.b": second}.items():
        network = create_model("convnext_test", num_classes=5)
        load_weights(network, content, entry=entry)
        assert equal(network, expected)
    with pytest.raises(InputError, match="has no weights under 'c'; there are state_dict"):
        load_weights(network, content, entry="c")


def test_an_entry_with_other_names_is_not_said_to_be_missing() -> None:
    network = create_model("convnext_test", num_classes=5)
    content = {"stats": {"mean": torch.zeros(3)}, "model": {"neck.weight": torch.zeros(3)}, "net": network.state_dict()}
    for entry, name in {"stats": "mean", "model.neck": "neck.weight"}.items():
        with pytest.raises(InputError, match=f"has no weights of a ConvNeXt under '{entry}', only {name}$"):
            load_weights(network, content, entry=entry)


@pytest.mark.parametrize(("content", "only"), [({}, "nothing"), ({"epoch": 3}, "epoch")])
def test_a_dictionary_without_tensors_is_named(content: dict[str, Any], only: str) -> None:
    with pytest.raises(InputError, match=f"these weights have no tensors, only {only}; give a state dict"):
        load_weights(create_model("convnext_test"), content)


def test_copies_of_one_set_are_not_two() -> None:
    weights, network = made("convnext_test").state_dict(), create_model("convnext_test", num_classes=5)
    load_weights(network, {"model": weights, "state_dict": prefixed("net.", weights)})
    assert equal(network, weights)


def test_a_detectors_backbone_is_found_under_openmmlabs_names() -> None:
    source, network = made("swin_test"), create_model("swin_test", num_classes=0)
    detector = scheme_named(source, "openmmlab").to_stored(source.state_dict())
    detector = {name: value for name, value in detector.items() if not name.startswith("head.")}
    report = load_weights(network, {**detector, "neck.0.weight": torch.zeros(3)}, skip_head=True)
    assert (report.project, report.found_under) == ("openmmlab", "backbone")
    assert torch.equal(network.state_dict()["norm.weight"], source.state_dict()["norm.weight"])


@pytest.mark.parametrize("name", MODELS.names("*_test"))
def test_colour_weights_score_grey_images_as_the_colour_network_does(name: str) -> None:
    size = get_entry(name).published.image_size
    colour, grey = made(name, in_chans=3).eval(), create_model(name, num_classes=5, in_chans=1).eval()
    report = load_weights(grey, colour.state_dict())
    assert len(report.adapted) == 1
    x = torch.randn(1, 1, size, size, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(grey(x), colour(x.expand(-1, 3, -1, -1)), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 2, 4, 7])
def test_the_first_convolution_is_adapted_as_by_timm(channels: int) -> None:
    from timm.models import adapt_input_conv

    source, network = made("convnext_test"), create_model("convnext_test", num_classes=5, in_chans=channels)
    report = load_weights(network, source.state_dict())
    (name,) = report.adapted
    expected = adapt_input_conv(channels, source.state_dict()[name])
    torch.testing.assert_close(network.state_dict()[name], expected)


def test_grey_weights_see_the_mean_of_the_colours() -> None:
    grey, colour = made("resnet_test", in_chans=1).eval(), create_model("resnet_test", num_classes=5).eval()
    load_weights(colour, grey.state_dict())
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(colour(x), grey(x.mean(1, keepdim=True)), rtol=1e-3, atol=1e-4)


def test_another_number_of_classes_is_explained_with_both_fixes() -> None:
    message = refused(create_model("convnext_test", num_classes=7), made("convnext_test").state_dict())
    assert "head.weight is 5x64 in the file and 7x64 in the network" in message
    assert message.endswith("these weights have 5 classes: make the network with num_classes=5, or skip the head")


def test_a_classifier_of_another_kind_is_explained() -> None:
    """With other inputs, or without a bias."""
    weights = made("convnext_test").state_dict()
    wider = {**weights, "head.weight": weights["head.weight"].repeat(1, 2)}
    without_bias = {name: value for name, value in weights.items() if name != "head.bias"}
    for content, classes in ((wider, 5), (without_bias, 7)):
        message = refused(create_model("convnext_test", num_classes=classes), content)
        assert message.endswith("these weights have another kind of classifier: skip the head, and train a new one")


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


def test_known_names_of_other_shapes_are_not_called_unknown() -> None:
    weights = {name: torch.cat([value, value]) for name, value in made("convnext_test").state_dict().items()}
    message = refused(create_model("convnext_test", num_classes=5), weights)
    assert "no known project" not in message
    assert f"of another shape ({len(weights)}): " in message


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
