from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import Tensor

import modernet
from modernet.errors import InputError
from modernet.models import Backbone, FeatureExtractor, create_model
from modernet.weights import load_weights

NAMES = ["timm:regnetx_002", "timm:efficientnet_b0", "timm:repvgg_a0", "timm:convit_tiny", "timm:levit_128s"]


def make(name: str, **fields: Any) -> Backbone:
    torch.manual_seed(0)
    network = create_model(name, num_classes=5, **fields)
    assert isinstance(network, Backbone)
    return network.eval()


def images() -> Tensor:
    return torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))


@pytest.mark.medium
@pytest.mark.parametrize("name", NAMES)
def test_timm_networks_fulfil_the_contract(name: str) -> None:
    network, reference = make(name), timm.create_model(name.removeprefix("timm:"), num_classes=5).eval()
    report = load_weights(network, reference.state_dict())
    assert report.project == "timm"
    x = images()
    with torch.no_grad():
        scores = network(x)
        torch.testing.assert_close(scores, reference(x), rtol=0, atol=0)
        features = network.forward_features(x)
        torch.testing.assert_close(network.forward_head(features), scores)
        vector = network.forward_head(features, pre_logits=True)
        _, maps = network.forward_intermediates(x)
    assert vector.shape == (2, network.head_hidden_size)
    assert [m.shape[1] for m in maps] == network.feature_info.channels()
    assert [m.shape[2] for m in maps] == [-(-224 // reduction) for reduction in network.feature_info.reduction()]
    assert sorted(n for group in network.layer_groups() for n in group) == sorted(
        n for n, _ in network.named_parameters()
    )
    assert sum(p.numel() for n in network.classifier_names() for p in network.get_submodule(n).parameters())


def test_feature_maps_come_in_the_requested_order_and_unused_layers_are_removed() -> None:
    whole = make("timm:regnetx_002")
    torch.manual_seed(0)
    extractor = create_model("timm:regnetx_002", features_only=True, out_indices=(2, 1)).eval()
    assert isinstance(extractor, FeatureExtractor)
    maps = extractor(images())
    assert [m.shape[1] for m in maps] == extractor.feature_info.channels() == [56, 24]
    assert sum(p.numel() for p in extractor.parameters()) < 0.2 * sum(p.numel() for p in whole.parameters())


def test_a_new_classifier_checkpointing_and_stochastic_depth() -> None:
    network = make("timm:regnety_002", drop_path_rate=0.1)
    network.reset_classifier(7)
    assert network(images()).shape == (2, 7)
    network.reset_classifier(0)
    assert network(images()).shape == (2, network.head_hidden_size)
    network.set_grad_checkpointing()
    with pytest.raises(InputError, match="timm:regnety_002 does not run stage by stage"):
        network.forward_stage(0, images())


def test_an_empty_pool_returns_the_features() -> None:
    network = make("timm:regnetx_002")
    bare = create_model("timm:regnetx_002", num_classes=0, global_pool="").eval()
    load_weights(bare, network.state_dict(), skip_head=True)
    torch.testing.assert_close(bare(images()), network.forward_features(images()), rtol=0, atol=0)
    crossvit = create_model("timm:crossvit_tiny_240", features_only=True).eval()  # does not support an empty pool
    assert len(crossvit(torch.randn(1, 3, 240, 240))) == len(crossvit.feature_info)  # type: ignore[arg-type]


def test_a_classifier_needs_a_pool() -> None:
    for network in (make("timm:test_resnet"), make("resnet_test")):
        network.reset_classifier(0, "")
        with pytest.raises(InputError, match="global_pool='' returns features, but num_classes is 5"):
            network.reset_classifier(5)
        assert (network.num_classes, network.global_pool) == (0, "")
        network.reset_classifier(5, "avg")
        assert network(torch.randn(2, 3, 64, 64)).shape == (2, 5)


def test_pools_are_those_of_timms_network() -> None:
    names = ("test_vit", "test_vit2", "test_resnet", "regnetx_002")
    assert [make(f"timm:{name}").global_pool for name in names] == ["token", "avg", "avg", "avg"]
    by_map = make("timm:test_vit", global_pool="map")
    assert (by_map.global_pool, by_map(torch.randn(2, 3, 160, 160)).shape) == ("map", (2, 5))
    vit = make("timm:test_vit", global_pool="avg")
    tokens = vit.forward_features(torch.randn(2, 3, 160, 160))
    assert vit.pool(tokens).shape == (2, vit.head_hidden_size)
    assert (vit.global_pool, vit.network.global_pool) == ("avg", "avg")
    vit.reset_classifier(0, "token")
    torch.testing.assert_close(vit.forward_head(tokens), vit.network.fc_norm(tokens[:, 0]))
    with pytest.raises(InputError, match="timm:test_resnet does not take global_pool; leave it out"):
        make("timm:test_resnet", global_pool="token")
    with pytest.raises(InputError, match="global_pool is 'min'; give 'default' or 'avg' or"):
        make("timm:test_resnet", global_pool="min")


def test_image_size_is_passed_on_if_the_network_takes_it() -> None:
    assert make("timm:vit_tiny_patch16_224", image_size=64)(torch.randn(1, 3, 64, 64)).shape == (1, 5)
    with pytest.raises(InputError, match="timm:regnetx_002 does not take image_size; leave it out"):
        make("timm:regnetx_002", image_size=64)


def test_names_are_timms() -> None:
    assert "timm:regnetx_002" in modernet.list_models("timm:regnetx_*")
    with pytest.raises(InputError, match="no network of timm is called 'regnetz_002'; did you mean regnet"):
        create_model("timm:regnetz_002")


def test_what_timms_network_has_is_handed_through() -> None:
    network = make("timm:test_vit", drop_rate=0.2)
    theirs: Any = network.network
    assert network.pretrained_cfg is network.default_cfg is theirs.pretrained_cfg
    assert (network.head_hidden_size, network.num_features) == (theirs.head_hidden_size, theirs.num_features)
    assert (network.num_prefix_tokens, network.embed_dim, theirs.head_drop.p) == (1, theirs.embed_dim, 0.2)
    groups = timm.models.group_parameters(network, network.group_matcher(coarse=True))
    expected = timm.models.group_parameters(theirs, theirs.group_matcher(coarse=True))
    assert list(groups.values()) == [[f"network.{name}" for name in names] for names in expected.values()]
    network.set_input_size((96, 96))
    x = torch.randn(2, 3, 96, 96)
    options: dict[str, Any] = {"norm": True, "output_fmt": "NLC", "output_dict": True, "return_prefix_tokens": True}
    ours, reference = (each.forward_intermediates(x, indices=[-1, 0], **options) for each in (network, theirs))
    for key in ("image_intermediates", "image_intermediates_prefix"):  # timm's come in order of depth
        torch.testing.assert_close(ours[key], reference[key][::-1], rtol=0, atol=0)
    assert network.prune_intermediate_layers([0]) == [0]
    assert network(x).shape == theirs.forward_features(x).shape
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = network.no_such_thing


def test_the_tag_and_the_pool_reach_timm() -> None:
    network = modernet.create_model("timm:test_resnet.r160_in1k", global_pool="max")
    assert isinstance(network, Backbone)
    assert network.pretrained_cfg["tag"] == "r160_in1k"
    features = network.forward_features(torch.randn(1, 3, 64, 64))
    torch.testing.assert_close(network.pool(features), features.amax((2, 3)))
