"""The contract of every network of the zoo, tested on each family's test variant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from modernet.errors import InputError
from modernet.models import MODELS, Backbone, FeatureExtractor, create_model

SMALL = MODELS.names("*_test")
ONE_SIZE = {
    "coatnet_test",
    "lenet_test",
    "levit_test",
    "rvt_plus_test",
}  # take images of one size only
UNPADDED = {
    "alexnet_test",
    "alexnet_one_tower_test",
}  # maps smaller than image / stride
NO_DROP_PATH = {
    "alexnet_one_tower_test",
    "alexnet_test",
    "lenet_test",
    "tc_test",
    "vgg_bn_test",
    "vgg_test",
}  # without residual branches


def make(name: str, **fields: Any) -> Backbone:
    torch.manual_seed(0)
    network = create_model(name, **{"num_classes": 10, **fields})
    assert isinstance(network, Backbone)
    return network


def activated(network: nn.Module) -> nn.Module:
    """Set parameters that are initialised at or near zero to one, so that residual branches contribute."""
    for name, parameter in network.named_parameters():
        if parameter.abs().max() < 1e-3 and not name.endswith("bias"):
            nn.init.ones_(parameter)
    return network


def images(name: str, height: int = 0, width: int = 0) -> Tensor:
    size, channels = MODELS[name].published.image_size, MODELS[name].config.in_chans
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, channels, height or size, width or size, generator=generator)


def loss(scores: Tensor) -> Tensor:
    """Return an asymmetric loss, so that no gradient is zero by symmetry."""
    wrong = torch.randn(scores.shape, generator=torch.Generator().manual_seed(2))
    return (scores - wrong).square().sum()


def as_map(output: Tensor, like: Tensor) -> Tensor:
    """Return a module's output as a feature map; it may be (b, c, h, w), channels last or tokens."""
    height, width = like.shape[2:]
    if output.ndim == 3:  # b t c, class tokens first
        output = output[:, output.shape[1] - height * width :].unflatten(1, (height, width))
    return output if output.shape == like.shape else output.permute(0, 3, 1, 2)


def without_gradient(network: nn.Module) -> list[str]:
    return [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]


def test_every_family_has_a_test_variant() -> None:
    families = {entry.network for entry in MODELS.values()}
    assert {MODELS[name].network for name in SMALL} == families


@pytest.mark.parametrize("name", SMALL)
class TestBackbone:
    def test_it_is_small(self, name: str) -> None:
        assert sum(p.numel() for p in make(name).parameters()) < 500_000

    def test_forward_returns_one_score_per_class(self, name: str) -> None:
        assert make(name)(images(name)).shape == (2, 10)

    def test_forward_is_features_then_head(self, name: str) -> None:
        network = make(name).eval()
        x = images(name)
        torch.testing.assert_close(network.forward_head(network.forward_features(x)), network(x), rtol=0, atol=0)

    def test_every_parameter_gets_a_gradient(self, name: str) -> None:
        network = activated(make(name))
        loss(network(images(name))).backward()
        assert without_gradient(network) == []

    @pytest.mark.medium
    @pytest.mark.parametrize(("height", "width"), [(96, 64), (64, 64), (72, 72)])
    def test_other_image_sizes_work_or_raise(self, name: str, height: int, width: int) -> None:
        network, x = make(name).eval(), images(name, height, width)
        size = MODELS[name].published.image_size
        if name in ONE_SIZE and (height, width) != (size, size):
            with pytest.raises(InputError, match=f"images are {height}x{width}; .*{size}x{size}"):
                network(x)
        else:
            assert network(x).shape == (2, 10)

    def test_other_numbers_of_input_channels_work(self, name: str) -> None:
        assert make(name, in_chans=2)(images(name)[:, :1].expand(-1, 2, -1, -1)).shape == (2, 10)

    def test_feature_maps_have_the_shapes_in_feature_info(self, name: str) -> None:
        network = make(name).eval()
        _, maps = network.forward_intermediates(images(name))
        assert [x.shape[1] for x in maps] == network.feature_info.channels()
        assert network.num_features == network.feature_info.channels(-1)
        if name not in UNPADDED:
            size = MODELS[name].published.image_size
            sides = [-(-size // reduction) for reduction in network.feature_info.reduction()]
            assert [tuple(x.shape[2:]) for x in maps] == [(side, side) for side in sides]

    def test_feature_maps_are_the_outputs_of_the_named_modules(self, name: str) -> None:
        network = make(name).eval()
        hooked: dict[str, Tensor] = {}

        def keep(module_name: str) -> Any:
            # only the first call: a ResNet's shared ReLU module ends its stem
            return lambda _module, _inputs, output: hooked.setdefault(module_name, output.clone())

        for module_name in network.feature_info.module_name():
            network.get_submodule(module_name).register_forward_hook(keep(module_name))
        _, maps = network.forward_intermediates(images(name))
        for module_name, feature_map in zip(network.feature_info.module_name(), maps, strict=True):
            torch.testing.assert_close(feature_map, as_map(hooked[module_name], feature_map), rtol=0, atol=0)

    def test_forward_intermediates_selects_stages(self, name: str) -> None:
        network = make(name).eval()
        x = images(name)
        count = len(network.feature_info)
        _, everything = network.forward_intermediates(x)
        last, first = network.forward_intermediates(x, [0], stop_early=True)
        torch.testing.assert_close(last, first[0] if count > 1 else network.forward_features(x), rtol=0, atol=0)
        torch.testing.assert_close(first, everything[:1], rtol=0, atol=0)
        end, _ = network.forward_intermediates(x, [0])
        torch.testing.assert_close(end, network.forward_features(x), rtol=0, atol=0)
        last_ones = min(2, count)
        torch.testing.assert_close(
            network.forward_intermediates(x, last_ones, intermediates_only=True),
            everything[-last_ones:],
            rtol=0,
            atol=0,
        )
        torch.testing.assert_close(
            network.forward_intermediates(x, (-1, 0), intermediates_only=True),
            [everything[count - 1], everything[0]],
            rtol=0,
            atol=0,
        )

    @pytest.mark.medium
    @pytest.mark.parametrize("out_indices", [None, (0,), (-1,)])
    def test_features_only_returns_maps_and_drops_unused_parameters(self, name: str, out_indices: Any) -> None:
        network = create_model(name, features_only=True, out_indices=out_indices)
        assert isinstance(network, FeatureExtractor)
        activated(network)
        maps = network(images(name))
        assert [m.shape[1] for m in maps] == network.feature_info.channels()
        sum(m.square().sum() for m in maps).backward()
        assert without_gradient(network) == []

    def test_a_new_classifier_fits_and_0_classes_return_features(self, name: str) -> None:
        network = make(name).double()
        x = images(name).double()
        network.reset_classifier(7)
        assert network(x).shape == (2, 7)
        for classifier in map(network.get_submodule, network.classifier_names()):
            assert {m.out_features for m in classifier.modules() if isinstance(m, nn.Linear)} == {7}
        network.reset_classifier(0)
        assert network.num_classes == 0
        assert network(x).shape == (2, network.head_hidden_size)
        network.reset_classifier(0, global_pool="")
        assert network(x).shape == network.forward_features(x).shape
        for pool in MODELS[name].config.pools:
            if pool:
                network.reset_classifier(3, global_pool=pool)
                assert network(x).shape == (2, 3)

    def test_pre_logits_are_the_input_of_the_classifier(self, name: str) -> None:
        network = make(name).eval()
        features = network.forward_features(images(name))
        vector = network.forward_head(features, pre_logits=True)
        assert vector.shape == (2, network.head_hidden_size)
        if len(network.classifier_names()) == 1:  # with several heads, each may have its own input
            torch.testing.assert_close(network.get_classifier()(vector), network.forward_head(features), rtol=0, atol=0)

    def test_layer_groups_cover_every_parameter_once_from_stem_to_head(self, name: str) -> None:
        network = make(name)
        groups = network.layer_groups()
        assert sorted(n for group in groups for n in group) == sorted(n for n, _ in network.named_parameters())
        assert all(groups)
        assert len(groups) >= 2 + network_depth(name), "stem, one per block, head"
        for classifier in network.classifier_names():
            assert {f"{classifier}.{n}" for n, _ in network.get_submodule(classifier).named_parameters()} <= set(
                groups[-1]
            )
        assert next(network.named_parameters())[0] not in groups[-1]

    def test_the_state_dict_restores_the_network(self, name: str, tmp_path: Path) -> None:
        network, other = make(name).eval(), create_model(name, num_classes=10).eval()
        torch.save(network.state_dict(), tmp_path / "weights.pth")
        other.load_state_dict(torch.load(tmp_path / "weights.pth", weights_only=True))
        torch.testing.assert_close(other(images(name)), network(images(name)), rtol=0, atol=0)

    @pytest.mark.medium
    def test_drop_path_acts_on_the_blocks_in_training_only(self, name: str) -> None:
        x = images(name)
        if name in NO_DROP_PATH:
            with pytest.raises(InputError, match=r"drop_path_rate is 0.9; .* has no residual branches"):
                make(name, drop_path_rate=0.9)
            return
        network, plain = make(name, drop_path_rate=0.5), make(name)
        plain.load_state_dict(network.state_dict())
        torch.testing.assert_close(network.eval()(x), plain.eval()(x), rtol=0, atol=0)
        activated(network).train()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d | nn.Dropout):
                module.eval()
        first, *others = (network(x) for _ in range(8))
        assert not all(torch.equal(scores, first) for scores in others)

    @pytest.mark.medium
    def test_checkpointed_blocks_give_the_same_gradients_and_statistics(self, name: str) -> None:
        network, plain = activated(make(name, **self.drop_path(name))), activated(make(name, **self.drop_path(name)))
        assert isinstance(network, Backbone)
        if not network.has_blocks:
            with pytest.raises(InputError, match="has no blocks to checkpoint"):
                network.set_grad_checkpointing()
            return
        network.set_grad_checkpointing()
        for model in (plain, network):
            torch.manual_seed(3)
            loss(model(images(name))).backward()
        expected = dict(plain.named_parameters())
        for parameter_name, parameter in network.named_parameters():
            torch.testing.assert_close(parameter.grad, expected[parameter_name].grad, msg=parameter_name)
        for buffer, value in network.named_buffers():
            torch.testing.assert_close(value, plain.get_buffer(buffer), rtol=0, atol=0)

    @staticmethod
    def drop_path(name: str) -> dict[str, float]:
        return {} if name in NO_DROP_PATH else {"drop_path_rate": 0.5}

    @pytest.mark.medium
    def test_torch_export_gives_the_same_scores_for_any_batch_size(self, name: str) -> None:
        network = make(name).eval()
        exported = torch.export.export(network, (images(name),), dynamic_shapes=({0: torch.export.Dim("batch")},))
        five = images(name).repeat(3, 1, 1, 1)[:5]
        torch.testing.assert_close(exported.module()(five), network(five))

    @pytest.mark.medium
    def test_torch_compile_captures_one_graph(self, name: str) -> None:
        torch.compiler.reset()
        # training, including randomness; the export above covers evaluation
        network = activated(make(name, **self.drop_path(name)))
        compiled = torch.compile(network, fullgraph=True, backend="eager")
        torch.manual_seed(4)
        scores = compiled(images(name))
        loss(scores).backward()
        torch.manual_seed(4)
        torch.testing.assert_close(scores, network(images(name)))

    def test_channels_last_gives_the_same_scores(self, name: str) -> None:
        network = make(name).eval()
        expected = network(images(name))
        network.to(memory_format=torch.channels_last)
        x = images(name).contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-5)

    def test_config_values_out_of_range_raise(self, name: str) -> None:
        for fields, message in [
            ({"num_classes": -1}, "num_classes is -1; give 0 .no classifier. or more"),
            ({"in_chans": 0}, "in_chans is 0; give 1 or more"),
            ({"drop_rate": 1.0}, r"drop_rate is 1.0; give a rate in \[0, 1\)"),
            ({"drop_path_rate": 1.0}, r"drop_path_rate is 1.0; give a rate in \[0, 1\)"),
            ({"global_pool": "map"}, "global_pool is 'map'; give .*, or ''"),
            ({"global_pool": ""}, "global_pool='' returns features, but num_classes is 10; give num_classes=0"),
        ]:
            with pytest.raises(InputError, match=message):
                make(name, **fields)

    def test_nonexistent_feature_maps_raise(self, name: str) -> None:
        network = make(name)
        count = len(network.feature_info)
        with pytest.raises(
            InputError, match=f"out_indices is 99; this network has {count} feature maps: give 1 to {count}"
        ):
            network.forward_intermediates(images(name), 99)
        with pytest.raises(InputError, match=f"there is no feature map 98; give indices from 0 to {count - 1}"):
            network.forward_intermediates(images(name), [98])
        with pytest.raises(InputError, match=f"out_indices is empty; give feature maps from 0 to {count - 1}"):
            network.forward_intermediates(images(name), [])


def network_depth(name: str) -> int:
    """Return the number of blocks, the sum of the config's depths."""
    depths = getattr(MODELS[name].config, "depths", getattr(MODELS[name].config, "depth", 0))
    return depths if isinstance(depths, int) else sum(depths)
