import copy

import pytest
import torch

from modernet.errors import InputError
from modernet.models import Backbone, create_model
from modernet.roadmap import road
from modernet.tasks.head import drop_features, scale_head, with_pool
from modernet.weights import NetworkSpec


def make(name: str, num_classes: int = 4) -> Backbone:
    torch.manual_seed(0)
    network = create_model(name, num_classes=num_classes)
    assert isinstance(network, Backbone)
    return network


def test_dropout_hides_features_from_the_classifier_in_training_only() -> None:
    network = make("convnext_test").eval()
    images = torch.randn(2, 3, 64, 64)
    names, before = list(network.state_dict()), network(images)
    drop_features(network, 0.9)
    seen: list[torch.Tensor] = []
    network.get_classifier().register_forward_hook(lambda _, inputs, output: seen.append(inputs[0]))

    torch.testing.assert_close(network(images), before, rtol=0, atol=0)
    network.train()(images)
    assert 0.75 < (seen[1] == 0).float().mean() < 1
    kept = seen[1] != 0
    torch.testing.assert_close(seen[1][kept], 10 * seen[0][kept])
    assert list(network.state_dict()) == names
    copy.deepcopy(network)(images)


def test_no_dropout_adds_nothing() -> None:
    network = make("convnext_test")
    drop_features(network, 0.0)

    assert not network.get_classifier()._forward_pre_hooks


def test_every_classifier_is_dropped_and_scaled() -> None:
    network = make("deit_test")
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    scale_head(network, 0.001)
    drop_features(network, 0.5)

    for name, parameter in network.named_parameters():
        factor = 0.001 if name.startswith("head") else 1
        torch.testing.assert_close(parameter.detach(), factor * before[name], rtol=1e-6, atol=0)
    assert all(network.get_submodule(name)._forward_pre_hooks for name in ("head", "head_dist"))


def test_the_norm_before_a_classifier_is_not_scaled() -> None:
    network = make("levit_test")
    scale_head(network, 0.001)

    assert torch.equal(
        network.get_parameter("head.bn.weight"), torch.ones_like(network.get_parameter("head.bn.weight"))
    )
    assert network.get_parameter("head.l.weight").abs().max() < 1e-3


def test_a_classifier_without_a_linear_layer_is_refused() -> None:
    network = make("convnext_test", num_classes=0)
    scale_head(network, 1.0)
    with pytest.raises(
        InputError, match=r"head_init_scale is 0.5, but the classifier of this ConvNeXt is not linear; give 1"
    ):
        scale_head(network, 0.5)


def test_the_pooling_of_a_network_is_that_of_the_recipe() -> None:
    spec = NetworkSpec("model", "vit_test", {"patch_size": 8})
    assert with_pool(spec, None) is spec
    assert with_pool(spec, "avg").fields == {"patch_size": 8, "global_pool": "avg"}
    last = road("nano")[-1]
    with pytest.raises(InputError, match=r"^global_pool is 'token', and .* averages its positions; leave it out$"):
        with_pool(NetworkSpec.of_design(last.name, last.design), "token")
