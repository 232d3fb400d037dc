"""What code for timm asks of a network, asked of every family: the checks of timm's own suite, and its wrappers.

Not applicable: timm's dilated features (`output_stride`); `test_tools.py` has TorchScript.
"""

from __future__ import annotations

import copy
from itertools import chain
from typing import Any

import pytest
import timm
import timm.data
import timm.models
import timm.optim
import torch
from timm.models import FeatureHookNet, FeatureListNet, group_parameters
from timm.models._features import FeatureGetterNet
from torch import Tensor, nn

import modernet
from modernet.catalogue import TIMM_NAMES, list_weights
from modernet.errors import InputError
from modernet.files.hub_file import HubFile
from modernet.models import MODELS, Backbone, FeatureExtractor, get_entry
from modernet.models.pretrained_cfg import describe_images
from modernet.preparation import Preparation

SMALL = [name for name in MODELS if name.endswith("_test")]
BOTH_POOLS = [name for name in SMALL if "avgmax" in MODELS[name].config.pools]
# a sequence of their own modules, which is what timm's FeatureListNet rebuilds
SEQUENCES = ["resnet_test", "resnetd_test", "resnext_test", "mobilenet_v2_test", "vgg_test", "alexnet_test", "tc_test"]
NO_REGROWTH = ["alexnet_test", "alexnet_one_tower_test", "coat_test", "coatnet_test", "lenet_test", "vgg_test"]


def make(name: str, **fields: Any) -> Backbone:
    torch.manual_seed(0)
    network = modernet.create_model(name, **fields)
    assert isinstance(network, Backbone)
    return network


def images(network: Backbone, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, *network.pretrained_cfg["input_size"], generator=generator)


def shallow(name: str) -> dict[str, Any]:
    """Return fields that leave one block per stage."""
    config = MODELS[name].config
    depths = {"depths": (1,) * len(config.depths)} if hasattr(config, "depths") else {}
    return depths | {field: 1 for field in ("depth", "parallel_depth") if hasattr(config, field)}


@pytest.mark.parametrize("name", SMALL)
class TestEveryFamily:
    def test_the_config_names_the_layers_and_the_size_of_the_last_map(self, name: str) -> None:
        network = make(name).eval()
        config, parameters = network.pretrained_cfg, dict(network.named_parameters())
        assert network.default_cfg is config
        classifiers = config["classifier"] if isinstance(config["classifier"], tuple) else (config["classifier"],)
        for classifier in classifiers:
            assert parameters[f"{classifier}.weight"].shape == (network.num_classes, network.head_hidden_size)
        assert parameters[f"{config['first_conv']}.weight"].ndim == 4
        assert config["num_classes"] == network.num_classes
        _, maps = network.forward_intermediates(images(network))
        assert tuple(maps[-1].shape[2:]) == config["pool_size"]
        data = timm.data.resolve_model_data_config(network)
        assert data["input_size"] == (network.in_chans, *[MODELS[name].published.image_size] * 2)
        assert len(data["mean"]) == len(data["std"]) == network.in_chans

    def test_the_size_of_the_last_map_is_right_for_odd_sizes(self, name: str) -> None:
        network, size = make(name).eval(), (75, 109)
        if network.has_one_size:
            pytest.skip("it takes images of one size only")
        maps = network.forward_intermediates(torch.randn(1, network.in_chans, *size), intermediates_only=True)
        assert network.grid_of(size) == tuple(maps[-1].shape[2:])

    def test_widths_are_those_of_features_and_of_the_classifier(self, name: str) -> None:
        network = make(name).eval()
        features = network.forward_features(images(network))
        assert features.shape[1 if features.ndim == 4 else 2] == network.num_features
        assert network.forward_head(features, pre_logits=True).shape == (2, network.head_hidden_size)

    def test_timm_groups_parameters_as_layer_groups_does(self, name: str) -> None:
        network = make(name)
        groups = group_parameters(network, network.group_matcher(coarse=False))
        assert list(groups.values()) == network.layer_groups()
        stages = group_parameters(network, network.group_matcher(coarse=True))
        assert [*chain.from_iterable(stages.values())] == [*chain.from_iterable(groups.values())]
        assert 1 < len(stages) <= len(groups)
        modules = timm.models.group_modules(network, network.group_matcher())
        assert sum(map(len, modules.values())) == sum(
            bool(list(module.parameters(recurse=False))) for module in network.modules() if module is not network
        )

    def test_layer_decay_of_timm_slows_the_stem(self, name: str) -> None:
        network = make(name)
        optimizer = timm.optim.create_optimizer_v2(network, "adamw", lr=1.0, weight_decay=0.05, layer_decay=0.5)
        scale = {id(p): group["lr_scale"] for group in optimizer.param_groups for p in group["params"]}
        layers = network.layer_groups()
        for index, names in enumerate(layers):
            assert {scale[id(network.get_parameter(n))] for n in names} == {0.5 ** (len(layers) - 1 - index)}

    def test_unweighted_parameters_exist(self, name: str) -> None:
        network = make(name)
        assert network.no_weight_decay() <= {parameter for parameter, _ in network.named_parameters()}

    def test_a_new_classifier_keeps_device_type_mode_pool_and_frozen_weights(self, name: str) -> None:
        network = make(name, device="meta", dtype=torch.float64).eval().requires_grad_(False)
        assert {(t.device.type, t.dtype) for t in network.parameters()} == {("meta", torch.float64)}
        network.reset_classifier(0)
        network.reset_classifier(0, "")
        assert not [p for p in network.parameters() if p.requires_grad]
        pool = MODELS[name].config.pools[0]
        network.reset_classifier(2, pool)
        network.reset_classifier(3)
        assert network.global_pool == pool
        assert not any(module.training for module in network.modules())
        assert {(t.device.type, t.dtype) for t in network.parameters()} == {("meta", torch.float64)}

    def test_feature_info_answers_as_timms(self, name: str) -> None:
        info = make(name).feature_info
        theirs = timm.models.FeatureInfo(info.info, len(info))
        assert info.channels() == theirs.channels()
        assert info.reduction() == theirs.reduction()
        assert info.module_name() == theirs.module_name()
        assert info.get_dicts(["num_chs", "reduction"]) == theirs.get_dicts(["num_chs", "reduction"])
        assert info.get_dicts(None, -1) == theirs.get_dicts(None, -1) == info[-1]
        assert info[-1]["num_chs"] == info[-1].num_chs == info.channels(-1) == info.channels([0, -1])[1]
        last = info.from_other((-1,))
        assert (last.channels(), last.out_indices, len(last)) == (info.channels()[-1:], (-1,), len(info))
        assert copy.deepcopy(last).out_indices == last.out_indices
        assert info.out_indices == tuple(range(len(info)))

    @pytest.mark.parametrize("norm", [False, True])
    def test_timms_feature_wrappers_return_our_maps(self, name: str, norm: bool) -> None:
        network = make(name).eval()
        x, last = images(network), len(network.feature_info) - 1
        expected = network.forward_intermediates(x, [0, last], norm=norm, intermediates_only=True)
        getter = FeatureGetterNet(copy.deepcopy(network), out_indices=(0, -1), norm=norm)
        assert getter.feature_info.channels() == [y.shape[1] for y in expected]
        torch.testing.assert_close(getter(x), expected, rtol=0, atol=0)
        if not norm:
            hooks = FeatureHookNet(copy.deepcopy(network), out_indices=(0, last) if last else (0,))(x)
            assert len(hooks) == len({0, last})
            for y, e in zip(hooks, expected[: len(hooks)], strict=True):  # y may have prefix tokens
                assert y.numel() - e.numel() == 2 * network.num_prefix_tokens * e.shape[1] * (y.ndim == 3)

    def test_intermediates_come_in_every_form(self, name: str) -> None:
        network = make(name).eval()
        x = images(network)
        final, maps = network.forward_intermediates(x)
        torch.testing.assert_close(final, network.forward_features(x), rtol=0, atol=0)
        for layout, back in (("NHWC", lambda y: y.permute(0, 3, 1, 2)), ("NLC", lambda y: y.transpose(1, 2))):
            others = network.forward_intermediates(x, output_fmt=layout, intermediates_only=True)
            for y, other in zip(maps, others, strict=True):
                assert torch.equal(back(other).flatten(2), y.flatten(2))
        answer = network.forward_intermediates(x, [-1], output_dict=True, return_prefix_tokens=True)
        torch.testing.assert_close(answer["image_features"], final, rtol=0, atol=0)
        torch.testing.assert_close(answer["image_intermediates"], maps[-1:], rtol=0, atol=0)
        assert ("image_intermediates_prefix" in answer) == (network.num_prefix_tokens > 0)
        only = network.forward_intermediates(x, [0], output_dict=True, intermediates_only=True)
        assert set(only) == {"image_intermediates"}
        with pytest.raises(InputError, match="output_fmt is 'NCL'; give 'NCHW' or 'NHWC' or 'NLC'"):
            network.forward_intermediates(x, output_fmt="NCL")  # type: ignore[arg-type]

    def test_the_final_norm_is_applied_on_request(self, name: str) -> None:
        network = make(name).eval()
        x = images(network)
        plain = network.forward_intermediates(x, intermediates_only=True)
        normed = network.forward_intermediates(x, norm=True, intermediates_only=True)
        assert [torch.equal(a, b) for a, b in zip(plain, normed, strict=True)][-1] == (not network.final_norms)
        features = network.forward_features(x)
        if features.ndim == 3 and name != "coat_test":  # which returns the tokens of three scales
            features = features[:, -normed[-1][0, 0].numel() :].transpose(1, 2).reshape(normed[-1].shape)
        if features.ndim == 4:
            torch.testing.assert_close(normed[-1], features, rtol=0, atol=0)

    @pytest.mark.medium
    @pytest.mark.parametrize("prune_norm", [False, True])
    def test_pruning_keeps_the_map_and_what_it_needs(self, name: str, prune_norm: bool) -> None:
        network = make(name).eval()
        x = images(network)
        maps = network.forward_intermediates(x, intermediates_only=True)
        last = len(maps) - 1
        with_head = copy.deepcopy(network)
        assert with_head.prune_intermediate_layers([-1], prune_head=False) == [last]
        torch.testing.assert_close(with_head(x), network(x), rtol=0, atol=0)
        for index, expected in enumerate(maps):
            pruned = copy.deepcopy(network)
            indices = pruned.prune_intermediate_layers([index], prune_norm=prune_norm)
            chosen = pruned.forward_intermediates(x, indices, norm=not prune_norm, intermediates_only=True)
            if prune_norm:
                torch.testing.assert_close(chosen, [expected], rtol=0, atol=0)
            features = pruned.forward_features(x)
            if prune_norm and features.ndim == 4:
                torch.testing.assert_close(features, expected, rtol=0, atol=0)  # they end at the map
            assert pruned.num_features == features.shape[1 if features.ndim == 4 else 2]
            assert torch.equal(pruned(x), pruned(x))
            pruned.train()
            outputs = [*pruned.forward_intermediates(x, norm=not prune_norm, intermediates_only=True)]
            sum(y.square().sum() for y in outputs).backward()
            unused = [n for n, p in pruned.named_parameters() if p.grad is None]
            assert not unused

    def test_a_pruned_network_gets_a_new_classifier_or_says_why_not(self, name: str) -> None:
        network = make(name)
        pool = MODELS[name].config.pools[0]
        network.prune_intermediate_layers([0])
        if any(name.startswith(each.removesuffix("_test")) and not network.regrows_head for each in NO_REGROWTH):
            with pytest.raises(InputError, match=r"the head of this \w+ is pruned, and a classifier needs it"):
                network.reset_classifier(7, pool)
        else:
            network.reset_classifier(7, pool)
            assert network(images(network)).shape == (2, 7)

    def test_dropout_is_before_the_classifier_and_in_training_only(self, name: str) -> None:
        network = make(name, drop_rate=0.5, num_classes=7)
        x = images(network)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.eval()
        features = network.forward_features(x)
        assert not torch.equal(network.forward_head(features), network.forward_head(features))
        network.eval()
        assert torch.equal(network.forward_head(features), network.forward_head(features))
        plain = make(name, drop_rate=0.0, num_classes=7).eval()
        plain.load_state_dict(network.state_dict())
        torch.testing.assert_close(network(x), plain(x), rtol=0, atol=0)

    def test_an_unknown_argument_is_a_type_error_too(self, name: str) -> None:
        with pytest.raises(TypeError, match=r"no field of .* is called 'not_a_field'"):
            make(name, not_a_field=1)


@pytest.mark.parametrize("name", BOTH_POOLS)
def test_pools_average_the_map_or_take_its_maximum(name: str) -> None:
    network = make(name).eval()
    features = network.forward_features(images(network))
    kept = {}
    for pool in ("avg", "max", "avgmax"):
        network.reset_classifier(0, pool)
        kept[pool] = network.pool_map(features)
        assert network(images(network)).shape == (2, network.head_hidden_size)
    torch.testing.assert_close(kept["avg"], features.flatten(2).mean(2))
    assert torch.equal(kept["max"], features.flatten(2).max(2).values)
    torch.testing.assert_close(kept["avgmax"], (kept["avg"] + kept["max"]) / 2)
    network.reset_classifier(5)
    assert network.global_pool == "avgmax"


@pytest.mark.parametrize("name", SEQUENCES)
def test_timm_rebuilds_networks_that_are_a_sequence_of_modules(name: str) -> None:
    network = make(name).eval()
    x = images(network)
    expected = [y.clone() for y in network.forward_intermediates(x, intermediates_only=True)]
    indices = network.feature_info.out_indices
    flat = not name.startswith("res")  # whose maps are those of whole stages
    rebuilt = FeatureListNet(copy.deepcopy(network), out_indices=indices, flatten_sequential=flat)
    if name != "alexnet_test":  # it pads images before its first layer
        torch.testing.assert_close(rebuilt(x), expected, rtol=0, atol=0)
    assert rebuilt.feature_info.channels() == network.feature_info.channels()


@pytest.mark.parametrize("feature_cls", ["list", "getter", "hook", "fx"])
def test_an_extractor_answers_as_timms(feature_cls: str) -> None:
    network = modernet.create_model("resnet_test", features_only=True, out_indices=(1, -1), feature_cls=feature_cls)
    assert isinstance(network, FeatureExtractor)
    assert network.feature_info.out_indices == (1, 4)
    assert (network.feature_info.channels(), network.feature_info.channels(0)) == ([32, 256], 8)
    assert "classifier" not in network.default_cfg
    assert network.pretrained_cfg["input_size"] == (3, 64, 64)
    gradients = []
    for enable in (False, True):
        network.set_grad_checkpointing(enable)
        network.zero_grad()
        sum(y.square().mean() for y in network(torch.ones(2, 3, 64, 64))).backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
    torch.testing.assert_close(gradients[1], gradients[0])


def test_a_dictionary_of_maps_is_refused() -> None:
    with pytest.raises(InputError, match="feature_cls is 'dict'; give list or getter or hook or fx: all return a list"):
        modernet.create_model("resnet_test", features_only=True, feature_cls="dict")


@pytest.mark.parametrize(("name", "count"), [("vit_test", 1), ("deit_test", 2)])
def test_prefix_tokens_come_beside_the_maps(name: str, count: int) -> None:
    network = make(name).eval()
    x = images(network)
    ((first, prefix), _) = network.forward_intermediates(
        x, norm=True, return_prefix_tokens=True, intermediates_only=True
    )
    block = network.forward_stage(0, x)
    tokens = network.get_submodule("norm")(block.x)
    assert (network.num_prefix_tokens, prefix.shape[1]) == (count, count)
    torch.testing.assert_close(prefix, tokens[:, :count], rtol=0, atol=0)
    torch.testing.assert_close(first.flatten(2).transpose(1, 2), tokens[:, count:], rtol=0, atol=0)


def test_a_vit_is_resized_once_to_what_it_computed_in_every_pass() -> None:
    network = make("vit_test").eval().requires_grad_(False)
    x = torch.randn(2, 3, 96, 128, generator=torch.Generator().manual_seed(1))
    expected = network(x)
    network.set_input_size((96, 128))
    assert network.get_submodule("patch_embed").grid_size == (6, 8)
    assert network.get_parameter("pos_embed").shape == (1, 1 + 6 * 8, 32)
    assert not network.get_parameter("pos_embed").requires_grad
    torch.testing.assert_close(network(x), expected, rtol=0, atol=0)
    assert timm.data.resolve_model_data_config(network)["input_size"] == (3, 96, 128)
    swin = make("swin_test")
    swin.set_input_size(128)
    assert (swin.pretrained_cfg["input_size"], swin.pretrained_cfg["pool_size"]) == ((3, 128, 128), (16, 16))


def test_data_configs_are_those_of_the_published_weights() -> None:
    wrong = {}
    for entry in list_weights():
        network = modernet.create_model(entry.name, **shallow(entry.model), device="meta")
        data = timm.data.resolve_model_data_config(network)
        size = (3, entry.image_size, entry.image_size)
        expected: dict[str, Any] = {
            "input_size": size,
            "mean": entry.mean,
            "std": entry.std,
            "crop_pct": entry.crop,
            "interpolation": entry.interpolation,
        }
        if {key: data[key] for key in expected} != expected:
            wrong[entry.name] = data
        assert network.num_classes == entry.num_classes, entry.name
        if isinstance(entry.file, HubFile) and entry.model in TIMM_NAMES:
            theirs: Any = timm.get_pretrained_cfg(f"{TIMM_NAMES[entry.model]}.{entry.tag}")
            for test in (False, True):
                published = timm.data.resolve_data_config(pretrained_cfg=theirs.to_dict(), use_test_size=test)
                data = timm.data.resolve_model_data_config(network, use_test_size=test)
                if data != published:
                    wrong[entry.name] = data
    assert not wrong


def test_a_network_for_other_images_says_so() -> None:
    for name, fields in [("convnext_tiny", {"img_size": 160}), ("deit_tiny", {"img_size": (160, 160)})]:
        network = modernet.create_model(name, **shallow(name), **fields, in_chans=1)
        data = timm.data.resolve_model_data_config(network)
        assert data["input_size"] == (1, 160, 160)
        assert data["mean"] == (pytest.approx(sum(list_weights(name)[0].mean) / 3),)
        assert network.pretrained_cfg["pool_size"] == (160 // network.feature_info.reduction(-1),) * 2


def test_an_interpolation_that_timm_does_not_know_is_described_by_its_nearest() -> None:
    for ours, theirs in [("opencv", "bilinear"), ("bicubic", "bicubic")]:
        preparation = Preparation(64, (0.5,) * 3, (0.25,) * 3, interpolation=ours)
        assert describe_images(make("swin_test"), preparation)["interpolation"] == theirs


@pytest.mark.medium
@pytest.mark.parametrize("theirs", [*TIMM_NAMES.values(), *(f"coatnet_{size}_224" for size in range(5))])
def test_timms_names_are_names_of_the_same_networks(theirs: str) -> None:
    assert modernet.is_model(theirs)
    entry = get_entry(theirs)
    with torch.device("meta"):
        reference = timm.create_model(theirs) if entry.published.params_m and entry.published.params_m < 60 else None
        network = modernet.create_model(theirs, **({} if reference else shallow(entry.name)))
    assert network.pretrained_cfg["architecture"] == entry.name
    if reference is not None:
        assert sum(p.numel() for p in network.parameters()) == sum(p.numel() for p in reference.parameters())
