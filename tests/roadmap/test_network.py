from __future__ import annotations

import re
from dataclasses import replace
from itertools import zip_longest

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from modernet.errors import InputError
from modernet.models import FeatureExtractor
from modernet.models.convnext import ConvNeXt, ConvNeXtConfig
from modernet.roadmap import Design, Step, road, select_steps
from modernet.roadmap.network import Network, build

NANO = road("nano", stem_stride=2)
ADOPTED = select_steps(NANO, "0-13")


def images(size: int = 32, channels: int = 3) -> Tensor:
    return torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(0))


def randomise(network: nn.Module) -> None:
    """Norms, biases and layer scale too, so that swapped parameters show."""
    torch.manual_seed(0)
    for p in network.parameters():
        if p.ndim == 1:
            nn.init.uniform_(p, 0.5, 1.5)
    for name, buffer in network.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            nn.init.uniform_(buffer, 0.5, 1.5)


def rename(name: str, pairs: list[tuple[str, str]]) -> str:
    for pattern, replacement in pairs:
        name = re.sub(pattern, replacement, name)
    return name


def resnet_name(ours: str) -> str:
    """Return torchvision's name for a parameter of the first design."""
    name = rename(
        ours,
        [
            (r"^stem\.conv\.", "conv1."),
            (r"^stem\.norm\.", "bn1."),
            (r"\.body\.norm", ".bn"),
            (r"\.body\.conv", ".conv"),
            (r"\.shortcut\.conv\.", ".downsample.0."),
            (r"\.shortcut\.norm\.", ".downsample.1."),
            (r"^head\.", "fc."),
        ],
    )
    return re.sub(r"^stages\.(\d)", lambda stage: f"layer{int(stage[1]) + 1}", name)


def convnext_name(ours: str) -> str:
    """Return the paper's name for a parameter of the last design."""
    return rename(
        ours,
        [
            (r"^stem\.conv\.", "downsample_layers.0.0."),
            (r"^stem\.norm\.", "downsample_layers.0.1."),
            (r"^stages\.(\d)\.downsample\.norm\.", r"downsample_layers.\1.0."),
            (r"^stages\.(\d)\.downsample\.conv\.", r"downsample_layers.\1.1."),
            (r"\.body\.conv1\.", ".dwconv."),
            (r"\.body\.norm1\.", ".norm."),
            (r"\.body\.conv2\.", ".pwconv1."),
            (r"\.body\.conv3\.", ".pwconv2."),
        ],
    )


def same_scores(ours: nn.Module, theirs: nn.Module, size: int) -> None:
    expected = theirs.eval()(images(size))
    torch.testing.assert_close(ours.eval()(images(size)), expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize("depths", [(1, 2, 1, 1), (3, 4, 6, 3)])
def test_the_first_design_equals_torchvisions_resnet(depths: tuple[int, ...]) -> None:
    theirs = torchvision.models.ResNet(torchvision.models.resnet.Bottleneck, list(depths))
    randomise(theirs)
    weights = theirs.state_dict()
    ours = build(replace(road("tiny")[0].design, depths=depths))
    assert {resnet_name(name) for name in ours.state_dict()} == set(weights)
    ours.load_state_dict({name: weights[resnet_name(name)] for name in ours.state_dict()})
    same_scores(ours, theirs, 64)


@pytest.mark.medium
@pytest.mark.parametrize(
    ("depths", "dims", "stem_stride"), [((1, 2, 1), (8, 12, 16), 2), ((3, 3, 9, 3), (96, 192, 384, 768), 4)]
)
def test_the_last_design_equals_the_zoos_convnext(
    depths: tuple[int, ...], dims: tuple[int, ...], stem_stride: int
) -> None:
    theirs = ConvNeXt(ConvNeXtConfig(depths=depths, dims=dims, stem_stride=stem_stride))
    randomise(theirs)
    weights = theirs.state_dict()
    ours = build(replace(road("tiny")[-1].design, depths=depths, widths=dims, stem_stride=stem_stride))
    assert {convnext_name(name) for name in ours.state_dict()} == set(weights)
    # the 1x1 convolutions are linear layers there
    state = {n: weights[convnext_name(n)].reshape(tensor.shape) for n, tensor in ours.state_dict().items()}
    ours.load_state_dict(state)
    same_scores(ours, theirs, 64)


@pytest.mark.medium
@pytest.mark.parametrize("step", select_steps(NANO, "0,7,11-13"), ids=lambda step: step.row)
def test_every_step_overfits_one_batch(step: Step) -> None:
    torch.manual_seed(0)
    x, y = torch.randn(8, 3, 32, 32), torch.arange(8) % 4
    network = build(step.design, 4)
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    for _ in range(20):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(x), y)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3


designs = st.builds(
    Design,
    depths=st.just((1, 2)),
    widths=st.sampled_from([(8, 16), (16, 8), (8, 8)]),
    stem=st.sampled_from(["resnet", "patchify"]),
    stem_stride=st.sampled_from([1, 2, 4]),
    block=st.sampled_from(["bottleneck", "inverted"]),
    spatial_conv=st.sampled_from(["middle", "first"]),
    groups=st.sampled_from([1, 2, "depthwise"]),
    kernel_size=st.sampled_from([1, 3, 7]),
    activation=st.sampled_from(["relu", "gelu"]),
    activations=st.sampled_from(["all", "one"]),
    norm=st.sampled_from(["batch", "layer"]),
    norms=st.sampled_from(["all", "one"]),
    downsampling=st.sampled_from(["in_block", "separate"]),
    layer_scale_init=st.sampled_from([None, 0.5]),
    head_norm=st.booleans(),
)


@pytest.mark.medium
@settings(max_examples=40, deadline=None, derandomize=True)
@given(designs)
def test_any_design_can_be_built_and_every_parameter_gets_a_gradient(design: Design) -> None:
    torch.manual_seed(0)
    network = build(design, 3, drop_path_rate=0.0)
    x = torch.randn(8, 3, 32, 32)
    last, maps = network.forward_intermediates(x)
    info = network.feature_info
    assert [tuple(m.shape) for m in maps] == [
        (8, c, 32 // r, 32 // r) for c, r in zip(info.channels(), info.reduction(), strict=True)
    ]
    assert info.channels() == list(design.out_widths)
    scores = network.forward_head(last)
    assert scores.shape == (8, 3)
    nn.functional.cross_entropy(scores, torch.arange(8) % 3).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []
    assert sorted(n for group in network.layer_groups() for n in group) == sorted(
        n for n, _ in network.named_parameters()
    )


def layers_of(network: Network, stage: int, block: int) -> list[str]:
    return [type(layer).__name__ for layer in network.get_submodule(f"stages.{stage}.{block}.body")]


def test_blocks_have_the_norms_and_activations_of_the_paper() -> None:
    bodies = {step.row: layers_of(build(step.design, 2), 0, 0) for step in ADOPTED}
    conv, bn, ln = "Conv2d", "BatchNorm2d", "LayerNorm2d"
    assert bodies["0"] == [conv, bn, "ReLU", conv, bn, "ReLU", conv, bn]
    assert bodies["9"] == [conv, bn, "GELU", conv, bn, "GELU", conv, bn]
    assert bodies["10"] == [conv, bn, conv, bn, "GELU", conv, bn]
    assert bodies["11"] == [conv, bn, conv, "GELU", conv]
    assert bodies["12"] == bodies["13"] == [conv, ln, conv, "GELU", conv]


def test_stem_and_shortcuts_keep_their_norms() -> None:
    networks = {step.row: build(step.design, 2) for step in ADOPTED}
    for row, network in networks.items():
        norm = nn.BatchNorm2d if int(row.rstrip("b")) < 12 else nn.LayerNorm
        assert isinstance(network.get_submodule("stem.norm"), norm)
        shortcut = network.get_submodule("stages.1.0.shortcut")
        if row == "13":
            assert isinstance(shortcut, nn.Identity)
        else:
            assert isinstance(shortcut.get_submodule("norm"), norm)
    assert hasattr(networks["9"].stem, "act")
    assert not hasattr(networks["10"].stem, "act")


@pytest.mark.parametrize("step", NANO, ids=lambda step: step.row)
def test_a_convolution_has_a_bias_unless_a_batch_norm_follows(step: Step) -> None:
    network = build(step.design, 2)
    for parent in network.modules():
        children = list(parent.children()) if isinstance(parent, nn.Sequential) else []
        for layer, follower in zip_longest(children, children[1:]):
            if isinstance(layer, nn.Conv2d):
                assert (layer.bias is None) == isinstance(follower, nn.BatchNorm2d)


def test_drop_path_rises_to_its_rate_over_the_blocks_of_every_step() -> None:
    for step in ADOPTED:
        network = build(step.design, 2, drop_path_rate=0.5)
        rates = [module.rate for module in network.modules() if type(module).__name__ == "DropPath"]
        assert rates[0] == 0.0
        assert rates[-1] == 0.5
        assert rates == sorted(rates)
        assert len(rates) == sum(step.design.depths)


def test_layer_groups_run_from_stem_to_head() -> None:
    groups = build(ADOPTED[-1].design, 2).layer_groups()
    assert len(groups) == 2 + sum(ADOPTED[-1].design.depths)
    assert all(name.startswith("stem.") for name in groups[0])
    assert {name.split(".")[0] for name in groups[-1]} == {"norm", "head"}
    assert {".".join(name.split(".")[:3]) for name in groups[2]} == {"stages.1.downsample", "stages.1.0"}


def test_a_design_is_a_backbone_for_other_tasks() -> None:
    for step in (ADOPTED[0], ADOPTED[-1]):
        extractor = FeatureExtractor(build(step.design, 0), (0, 1))
        maps = extractor(images())
        assert [m.shape[1] for m in maps] == extractor.feature_info.channels()
        sum(m.square().sum() for m in maps).backward()
        assert [name for name, p in extractor.named_parameters() if p.grad is None] == []


def test_one_input_channel_and_a_new_classifier() -> None:
    network = build(ADOPTED[-1].design, 5, in_chans=1)
    assert network(images(channels=1)).shape == (2, 5)
    network.reset_classifier(0)
    assert network(images(channels=1)).shape == (2, 96)


@pytest.mark.medium
@pytest.mark.parametrize("row", [0, -1])
def test_both_ends_export_and_compile(row: int) -> None:
    network = build(ADOPTED[row].design, 2).eval()
    expected = network(images())
    exported = torch.export.export(network, (images(),))
    torch.testing.assert_close(exported.module()(images()), expected)
    torch.compiler.reset()
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(images()), expected)


def test_values_out_of_range_raise() -> None:
    with pytest.raises(InputError, match=r"drop_path_rate is 1\.5; give a rate in"):
        build(Design(), 10, drop_path_rate=1.5)
