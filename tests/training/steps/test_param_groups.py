import re
from collections.abc import Callable

import pytest
import timm
import torch
from torch import nn

from modernet.errors import InputError
from modernet.models import MODELS, create_model
from modernet.recipes import get_recipe
from modernet.segmentation import UPerNet
from modernet.training.steps.optimizer import make_optimizer
from modernet.training.steps.param_groups import parameter_groups


def scales(network: nn.Module, **options: object) -> dict[str, float]:
    """Name of each parameter -> its share of the learning rate."""
    by_id = {
        id(parameter): group["lr_scale"]
        for group in parameter_groups(network, 0.05, **options)  # type: ignore[arg-type]
        for parameter in group["params"]
    }
    return {name: by_id[id(parameter)] for name, parameter in network.named_parameters()}


def test_norms_biases_and_layer_scales_do_not_decay() -> None:
    network = create_model("convnext_test", num_classes=2)
    decayed, free = parameter_groups(network, 0.05)
    names = {id(parameter): name for name, parameter in network.named_parameters()}

    assert (decayed["weight_decay"], free["weight_decay"]) == (0.05, 0.0)
    in_decayed = {names[id(parameter)] for parameter in decayed["params"]}
    in_free = {names[id(parameter)] for parameter in free["params"]}
    assert in_decayed | in_free == set(names.values())
    assert not in_decayed & in_free
    assert {"stages.0.0.dwconv.weight", "stages.0.0.pwconv1.weight", "head.weight"} <= in_decayed
    assert {"stages.0.0.gamma", "stages.0.0.norm.weight", "stages.0.0.dwconv.bias", "head.bias", "norm.bias"} <= in_free


def test_a_recipe_may_decay_every_parameter() -> None:
    (group,) = parameter_groups(create_model("resnet_test"), 1e-4, decay_norms=True)

    assert group["weight_decay"] == 1e-4
    assert len(group["params"]) == len(list(create_model("resnet_test").parameters()))


@pytest.mark.medium
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("vit_tiny_patch16", "vit_tiny_patch16_224"),
        ("deit_tiny_distilled", "deit_tiny_distilled_patch16_224"),
        ("swin_tiny", "swin_tiny_patch4_window7_224"),
        ("levit_128s", "levit_128s"),
        ("coat_tiny", "coat_tiny"),
        ("coatnet_0", "coatnet_0_224"),
    ],
)
def test_what_does_not_decay_is_what_timm_spares(ours: str, theirs: str) -> None:
    with torch.device("meta"):
        network, other = create_model(ours), timm.create_model(theirs)
    spared = network.no_weight_decay()  # type: ignore[operator]
    names = {name for name, _ in other.named_parameters()} & other.no_weight_decay()

    assert len(spared) == len(names) > 0
    assert {name.rpartition(".")[2] for name in spared} == {name.rpartition(".")[2] for name in names}


def test_networks_of_timm_use_their_own_names() -> None:
    with torch.device("meta"):
        network, plain = create_model("timm:levit_128s"), create_model("timm:resnet18")

    assert {name.rpartition(".")[2] for name in network.no_weight_decay()} == {"attention_biases"}  # type: ignore[operator]
    assert network.no_weight_decay() <= dict(network.named_parameters()).keys()  # type: ignore[operator]
    assert plain.no_weight_decay() == set()  # type: ignore[operator]


def test_global_response_normalisation_does_not_decay() -> None:
    network = create_model("convnextv2_test")
    decayed = {id(parameter) for parameter in parameter_groups(network, 0.05)[0]["params"]}

    assert [name for name, p in network.named_parameters() if ".grn." in name and id(p) in decayed] == []


@pytest.mark.parametrize("name", MODELS.names("*_test"))
def test_each_layer_learns_a_factor_slower_than_the_one_above(name: str) -> None:
    network = create_model(name)
    by_name = scales(network, layer_decay=0.5)
    groups = network.layer_groups()  # type: ignore[operator]
    for distance, group in enumerate(reversed(groups)):
        assert {by_name[each] for each in group} == {0.5**distance}
    assert by_name.keys() == dict(network.named_parameters()).keys()


def twelve(name: str) -> tuple[int, int]:
    """The id of a parameter by the published table for 3, 3, 27, 3 blocks, and that of the head."""
    return published(name, last_block_group=12)


def six(name: str) -> tuple[int, int]:
    """The id of a parameter by the published table for 3, 3, 9, 3 blocks, and that of the head."""
    return published(name, last_block_group=6)


def published(name: str, last_block_group: int) -> tuple[int, int]:
    head = last_block_group + 1
    table: list[tuple[str, Callable[[int], int]]] = [
        (r"downsample_layers\.0\.()", lambda _: 0),
        (r"stages\.0\.()", lambda _: 1),
        (r"(?:downsample_layers|stages)\.1\.()", lambda _: 2),
        (r"downsample_layers\.2\.()", lambda _: 3),
        (r"stages\.2\.(\d+)\.", lambda block: 3 + block // 3),
        (r"(?:downsample_layers|stages)\.3\.()", lambda _: last_block_group),
        (r"(?:norm|head)\.()", lambda _: head),
    ]
    (found,) = [rule(int(match[1] or 0)) for pattern, rule in table if (match := re.match(pattern, name))]
    return found, head


@pytest.mark.parametrize(
    ("model", "rule", "ids"),
    [("convnext_small", twelve, 14), ("convnextv2_base", twelve, 14), ("convnext_tiny", six, 8)],
)
def test_every_parameter_has_the_published_id(model: str, rule: Callable[[str], tuple[int, int]], ids: int) -> None:
    with torch.device("meta"):
        network = create_model(model)
    by_name = scales(network, layer_decay=0.8, groups="paper")

    expected = {name: 0.8 ** (head - layer) for name in by_name for layer, head in [rule(name)]}
    assert by_name == pytest.approx(expected)
    assert len(set(expected.values())) == ids


def test_the_single_groups_of_the_second_version_have_the_stem_in_the_first() -> None:
    with torch.device("meta"):
        network = create_model("convnextv2_tiny")
    by_name = scales(network, layer_decay=0.9, groups="single")

    depths = (3, 3, 9, 3)
    assert by_name["downsample_layers.0.0.weight"] == by_name["stages.0.0.dwconv.weight"] == pytest.approx(0.9**18)
    for stage, depth in enumerate(depths):
        for block in range(depth):
            layer = sum(depths[:stage]) + block + 1
            assert by_name[f"stages.{stage}.{block}.pwconv1.weight"] == pytest.approx(0.9 ** (19 - layer))
    assert by_name["downsample_layers.3.1.weight"] == by_name["stages.3.0.norm.bias"]
    assert by_name["norm.weight"] == by_name["head.weight"] == 1.0


def test_layer_groups_that_were_not_published_are_refused() -> None:
    with pytest.raises(InputError, match="a ResNet has no published groups 'paper'; give --layer-decay-groups block"):
        parameter_groups(create_model("resnet_test"), 0.05, 0.8, "paper")
    with pytest.raises(InputError, match="a ConvNeXt has no published groups 'halves'"):
        create_model("convnext_test").layer_groups("halves")  # type: ignore[operator]
    with pytest.raises(InputError, match="a ResNet has no published groups 'stage'"):
        parameter_groups(UPerNet(create_model("resnet_test"), 5, 16), 0.05, 0.8, "stage")  # type: ignore[arg-type]


def test_a_network_without_an_order_of_layers_is_refused() -> None:
    with pytest.raises(InputError, match="a Linear does not define the order of its layers; give --layer-decay 1"):
        parameter_groups(nn.Linear(2, 2), 0.05, 0.8)


@pytest.mark.parametrize(("name", "groups"), [("convnext_tiny", 6), ("convnext_small", 12)])
def test_the_segmenters_of_convnext_give_each_stage_one_rate(name: str, groups: int) -> None:
    """All downsampling layers are layer 0, stage i is layer i + 1, the rest layer `groups` + 1."""
    with torch.device("meta"):
        network = UPerNet(create_model(name), 150)  # type: ignore[arg-type]
    found = scales(network, layer_decay=0.9, groups="stage")

    for parameter, layer in {
        "pyramid.backbone.downsample_layers.0.0.weight": 0,
        "pyramid.backbone.downsample_layers.3.1.weight": 0,
        "pyramid.backbone.stages.0.0.gamma": 1,
        "pyramid.backbone.stages.2.8.norm.weight": 3,
        "pyramid.backbone.stages.3.2.pwconv1.weight": 4,
        "pyramid.levels.0.weight": groups + 1,
        "decode_head.fpn_bottleneck.conv.weight": groups + 1,
        "auxiliary_head.conv_seg.bias": groups + 1,
    }.items():
        assert found[parameter] == pytest.approx(0.9 ** (groups + 1 - layer)), parameter


def test_what_a_backbone_exempts_from_decay_is_exempt_in_a_larger_network() -> None:
    network = UPerNet(create_model("swin_test"), 5, 16)  # type: ignore[arg-type]
    free = {
        id(weight)
        for group in parameter_groups(network, 0.05)
        if not group["weight_decay"]
        for weight in group["params"]
    }
    tables = [weight for name, weight in network.named_parameters() if name.endswith("bias_table")]

    assert tables
    assert all(id(table) in free for table in tables)


class StateSpace(nn.Module):
    """A layer with dynamics of two dimensions and of one."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.log_dt = nn.Parameter(torch.ones(2, 3)), nn.Parameter(torch.ones(2))
        self.c = nn.Parameter(torch.ones(2, 3))

    def dynamics(self) -> list[nn.Parameter]:
        return [self.a, self.log_dt]


@pytest.mark.parametrize("decay_norms", [False, True])
def test_dynamics_have_a_rate_of_their_own_and_do_not_decay(decay_norms: bool) -> None:
    network = nn.Sequential(StateSpace(), nn.Linear(2, 2))
    groups = parameter_groups(network, 0.05, decay_norms=decay_norms, dynamics_scale=0.1)
    found = {id(parameter): group for group in groups for parameter in group["params"]}
    layer = network[0]
    assert isinstance(layer, StateSpace)

    assert len(found) == 5
    for parameter in layer.dynamics():
        assert (found[id(parameter)]["weight_decay"], found[id(parameter)]["lr_scale"]) == (0.0, 0.1)
    assert (found[id(layer.c)]["weight_decay"], found[id(layer.c)]["lr_scale"]) == (0.05, 1.0)


def test_the_rate_of_dynamics_is_that_of_the_recipe() -> None:
    network = nn.Sequential(StateSpace(), nn.Linear(2, 2))
    recipe = get_recipe("quick").replace(lr=0.01)
    for own, scale in ((1e-3, 0.1), (None, 1.0)):
        groups = make_optimizer(network, recipe.replace(dynamics_lr=own)).param_groups
        (shared,) = {group["lr_scale"] for group in groups if any(p is network[0].a for p in group["params"])}
        assert shared == pytest.approx(scale)


def test_parameters_without_gradient_are_left_out() -> None:
    network = nn.Sequential(nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 2))

    found = [parameter for group in parameter_groups(network, 0.05) for parameter in group["params"]]
    assert {id(parameter) for parameter in found} == {id(parameter) for parameter in network[1].parameters()}
