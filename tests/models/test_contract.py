"""What every network of the zoo can do, tested on the small variant of every family."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from modernet.errors import InputError
from modernet.models import MODELS, Backbone, FeatureExtractor, create_model, list_models

SMALL = list_models("*_test")
SIZE = 64


def make(name: str, **fields: Any) -> Backbone:
    torch.manual_seed(0)
    network = create_model(name, **{"num_classes": 10, **fields})
    assert isinstance(network, Backbone)
    return network


def pictures(channels: int = 3, height: int = SIZE, width: int = SIZE) -> Tensor:
    return torch.randn(2, channels, height, width, generator=torch.Generator().manual_seed(1))


def without_gradient(network: nn.Module) -> list[str]:
    return [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]


def test_every_family_has_a_small_variant() -> None:
    families = {entry.network for entry in MODELS.values()}
    assert {MODELS[name].network for name in SMALL} == families


@pytest.mark.parametrize("name", SMALL)
class TestBackbone:
    def test_it_is_small(self, name: str) -> None:
        assert sum(p.numel() for p in make(name).parameters()) < 500_000

    def test_forward_gives_one_score_a_class(self, name: str) -> None:
        assert make(name)(pictures()).shape == (2, 10)

    def test_forward_is_features_then_head(self, name: str) -> None:
        network = make(name).eval()
        x = pictures()
        torch.testing.assert_close(network.forward_head(network.forward_features(x)), network(x), rtol=0, atol=0)

    def test_every_parameter_gets_a_gradient(self, name: str) -> None:
        network = make(name)
        network(pictures()).square().sum().backward()
        assert without_gradient(network) == []

    @pytest.mark.parametrize(("height", "width"), [(96, 64), (32, 32), (72, 72)])
    def test_other_picture_sizes_work(self, name: str, height: int, width: int) -> None:
        assert make(name).eval()(pictures(height=height, width=width)).shape == (2, 10)

    def test_one_channel_pictures_work(self, name: str) -> None:
        assert make(name, in_chans=1)(pictures(channels=1)).shape == (2, 10)

    def test_feature_maps_have_the_shapes_that_feature_info_says(self, name: str) -> None:
        network = make(name).eval()
        _, maps = network.forward_intermediates(pictures())
        info = network.feature_info
        expected = [(2, c, SIZE // r, SIZE // r) for c, r in zip(info.channels(), info.reduction(), strict=True)]
        assert [tuple(x.shape) for x in maps] == expected

    def test_feature_maps_are_the_outputs_of_the_named_modules(self, name: str) -> None:
        network = make(name).eval()
        hooked: dict[str, Tensor] = {}

        def keep(module_name: str) -> Any:
            # the first call: a ResNet's one ReLU module ends its stem, and nothing else
            return lambda _module, _inputs, output: hooked.setdefault(module_name, output.clone())

        for module_name in network.feature_info.module_name():
            network.get_submodule(module_name).register_forward_hook(keep(module_name))
        last, maps = network.forward_intermediates(pictures())
        for module_name, feature_map in zip(network.feature_info.module_name(), maps, strict=True):
            torch.testing.assert_close(feature_map, hooked[module_name], rtol=0, atol=0)
        assert last is maps[-1]

    def test_forward_intermediates_selects_stages(self, name: str) -> None:
        network = make(name).eval()
        x = pictures()
        count = len(network.feature_info)
        _, everything = network.forward_intermediates(x)
        last, two = network.forward_intermediates(x, [0, 1], stop_early=True)
        assert last is two[1]
        torch.testing.assert_close(two, everything[:2], rtol=0, atol=0)
        end, _ = network.forward_intermediates(x, [0])
        torch.testing.assert_close(end, everything[-1], rtol=0, atol=0)
        torch.testing.assert_close(
            network.forward_intermediates(x, 2, intermediates_only=True), everything[-2:], rtol=0, atol=0
        )
        torch.testing.assert_close(
            network.forward_intermediates(x, (-1, 0), intermediates_only=True),
            [everything[count - 1], everything[0]],
            rtol=0,
            atol=0,
        )

    @pytest.mark.parametrize("out_indices", [None, (0,), (0, 1), (-1,), 2])
    def test_features_only_returns_maps_and_keeps_no_idle_parameter(self, name: str, out_indices: Any) -> None:
        network = create_model(name, features_only=True, out_indices=out_indices)
        assert isinstance(network, FeatureExtractor)
        maps = network(pictures())
        info = network.feature_info
        assert [m.shape[1] for m in maps] == info.channels()
        assert [SIZE // m.shape[2] for m in maps] == info.reduction()
        sum(m.square().sum() for m in maps).backward()
        assert without_gradient(network) == []

    def test_a_new_classifier_fits_and_0_classes_return_features(self, name: str) -> None:
        network = make(name).double()
        x = pictures().double()
        network.reset_classifier(7)
        assert network(x).shape == (2, 7)
        assert isinstance(network.get_classifier(), nn.Linear)
        network.reset_classifier(0)
        assert network.num_classes == 0
        assert network(x).shape == (2, network.num_features)
        network.reset_classifier(0, global_pool="")
        assert network(x).shape == network.forward_features(x).shape
        network.reset_classifier(3, global_pool="avg")
        assert network(x).shape == (2, 3)

    def test_pre_logits_are_what_the_classifier_sees(self, name: str) -> None:
        network = make(name).eval()
        features = network.forward_features(pictures())
        vector = network.forward_head(features, pre_logits=True)
        assert vector.shape == (2, network.num_features)
        torch.testing.assert_close(network.get_classifier()(vector), network.forward_head(features), rtol=0, atol=0)

    def test_without_pool_the_last_map_comes_out(self, name: str) -> None:
        network = make(name, num_classes=0, global_pool="")
        assert network(pictures()).shape == (
            2,
            network.num_features,
            *[SIZE // network.feature_info.reduction()[-1]] * 2,
        )

    def test_layer_groups_hold_every_parameter_once_from_stem_to_head(self, name: str) -> None:
        network = make(name)
        groups = network.layer_groups()
        assert sorted(n for group in groups for n in group) == sorted(n for n, _ in network.named_parameters())
        assert len(groups) == 2 + sum(network_depths(name)), "stem, one for each block, head"
        first, *_, last = dict(network.named_parameters())
        assert first in groups[0]
        assert last in groups[-1]

    def test_the_state_dict_makes_an_equal_network(self, name: str, tmp_path: Path) -> None:
        network, other = make(name).eval(), create_model(name, num_classes=10).eval()
        torch.save(network.state_dict(), tmp_path / "weights.pth")
        other.load_state_dict(torch.load(tmp_path / "weights.pth", weights_only=True))
        torch.testing.assert_close(other(pictures()), network(pictures()), rtol=0, atol=0)

    def test_drop_path_reaches_the_blocks_while_training_only(self, name: str) -> None:
        x = pictures()
        network, plain = make(name, drop_path_rate=0.9), make(name)
        plain.load_state_dict(network.state_dict())
        torch.testing.assert_close(network.eval()(x), plain.eval()(x), rtol=0, atol=0)
        for module in network.modules():
            if isinstance(gamma := getattr(module, "gamma", None), nn.Parameter):
                nn.init.ones_(gamma)  # so that a residual branch weighs something
        network.train()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        assert not torch.equal(network(x), network(x))

    def test_torch_export_gives_the_same_scores(self, name: str) -> None:
        network = make(name).eval()
        exported = torch.export.export(network, (pictures(),))
        torch.testing.assert_close(exported.module()(pictures()), network(pictures()))

    def test_torch_compile_sees_one_graph(self, name: str) -> None:
        torch.compiler.reset()
        network = make(name)
        compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
        scores = compiled(pictures())
        scores.square().sum().backward()
        assert without_gradient(network) == []
        network.eval()
        torch.testing.assert_close(compiled(pictures()), network(pictures()))

    def test_channels_last_gives_the_same_scores(self, name: str) -> None:
        network = make(name).eval()
        expected = network(pictures())
        network.to(memory_format=torch.channels_last)
        x = pictures().contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-5)

    def test_config_values_out_of_range_are_refused(self, name: str) -> None:
        for fields, message in [
            ({"num_classes": -1}, "num_classes is -1; give 0 .no classifier. or more"),
            ({"in_chans": 0}, "in_chans is 0; give 1 or more"),
            ({"drop_path_rate": 1.0}, r"drop_path_rate is 1.0; give a rate in \[0, 1\)"),
            ({"global_pool": "max"}, "global_pool is 'max'; give 'avg', or ''"),
            ({"global_pool": ""}, "global_pool='' returns a feature map, but num_classes is 10; give num_classes=0"),
        ]:
            with pytest.raises(InputError, match=message):
                make(name, **fields)

    def test_feature_maps_that_do_not_exist_are_refused(self, name: str) -> None:
        network = make(name)
        count = len(network.feature_info)
        with pytest.raises(InputError, match=f"the last 9 feature maps were asked for; this network has {count}"):
            network.forward_intermediates(pictures(), 9)
        with pytest.raises(InputError, match=f"feature map 8 was asked for; this network has 0 to {count - 1}"):
            network.forward_intermediates(pictures(), [8])
        with pytest.raises(InputError, match=f"no feature map was asked for; this network has 0 to {count - 1}"):
            network.forward_intermediates(pictures(), [])


def network_depths(name: str) -> tuple[int, ...]:
    depths: tuple[int, ...] = MODELS[name].config.depths  # type: ignore[attr-defined]
    return depths
