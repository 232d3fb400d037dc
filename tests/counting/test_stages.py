from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from modernet.counting import count, describe_stages
from modernet.errors import InputError
from modernet.models import MODELS, Backbone, ModelConfig, create_model
from modernet.models.backbone import Feature, FeatureInfo
from modernet.roadmap import Design
from modernet.roadmap.network import build


def backbone(name: str, **fields: object) -> Backbone:
    network = create_model(name, **fields)
    assert isinstance(network, Backbone)
    return network


def seen_columns(network: Backbone, stage: int, width: int) -> int:
    """Return how many columns of an image affect the middle column of a feature map, by experiment.

    Image i of the batch is NaN in column i, and so is everything that depends on it.
    """
    x = torch.zeros(width, 3, max(32, network.feature_info.reduction()[stage]), width)
    x[range(width), :, :, range(width)] = torch.nan
    with torch.no_grad():
        maps = network.eval().forward_intermediates(x, [stage], stop_early=True, intermediates_only=True)
    middle: Tensor = maps[0][:, :, :, maps[0].shape[-1] // 2]  # type: ignore[index]
    return int(middle.isnan().flatten(1).any(1).sum())


class Chain(Backbone):
    """A backbone of one stage, to test layers that no network of the zoo has."""

    classifier_name, head_modules = "head", ("head",)

    def __init__(self, *layers: nn.Module, reduction: int = 1, channels: int = 3) -> None:
        super().__init__(ModelConfig(num_classes=0))
        self.num_features = channels
        self.stage, self.head = nn.Sequential(*layers), nn.Identity()
        self.feature_info = FeatureInfo([Feature(channels, reduction, "stage")])

    def forward_stage(self, index: int, x: Tensor) -> Tensor:
        out: Tensor = self.stage(x)
        return out

    def pool(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))

    def group_key(self, name: str) -> tuple[float, ...]:
        return (0,)


class Shortcut(nn.Module):
    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x) + self.shortcut(x)
        return out


class Gate(nn.Module):
    """Squeeze and excitation without weights: every position depends on the whole image."""

    def forward(self, x: Tensor) -> Tensor:
        return x * x.mean((2, 3), keepdim=True).sigmoid()


def test_unused_parameters_count_for_the_head() -> None:
    network = backbone("convnext_test", num_classes=0, global_pool="")
    assert describe_stages(network, 64)[-1].params == 2 * network.num_features


@pytest.mark.medium
@pytest.mark.parametrize("name", MODELS.names("*_test"))
def test_rows_add_up_to_the_counts_and_have_the_shapes_of_a_forward_pass(name: str) -> None:
    network = backbone(name, num_classes=7).eval()
    size, in_chans = MODELS[name].published.image_size, MODELS[name].config.in_chans
    rows = describe_stages(network, size, in_chans)
    counts = count(network, size, in_chans)
    assert sum(row.params for row in rows) == counts.params
    assert sum(row.macs for row in rows) == counts.macs
    _, maps = network.forward_intermediates(torch.zeros(1, in_chans, size, size))
    assert [row.shape for row in rows] == [*[tuple(x.shape[1:]) for x in maps], (7,)]
    assert [row.name for row in rows] == [*network.feature_info.module_name(), "head"]


def test_the_receptive_fields_of_resnet50_and_convnext_tiny_match_the_literature() -> None:
    with torch.device("meta"):
        resnet, convnext = backbone("resnet50"), backbone("convnext_tiny")
    assert [row.receptive_field for row in describe_stages(resnet, 224)] == [7, 35, 91, 267, 427, None]
    # a 7x7 at stride s adds 6s pixels, a 2x2 downsampling s
    stages, field, stride = [], 4, 4
    for depth in (3, 3, 9, 3):
        field += depth * 6 * stride
        stages.append(field)
        field, stride = field + stride, 2 * stride
    assert [row.receptive_field for row in describe_stages(convnext, 224)] == [*stages, None]


@pytest.mark.parametrize(
    ("network", "stage"),
    [
        (backbone("resnet_test"), 3),
        (create_model("resnet18", depths=(1, 1, 1), width=4), 3),
        (backbone("convnext_test", depths=(1, 1), dims=(4, 4)), 1),
        (build(Design(depths=(1, 2), widths=(4, 4), stem="patchify", kernel_size=5), 2), 1),
        (build(Design(depths=(1, 1), widths=(4, 4), stem_stride=1, spatial_conv="first"), 2), 1),
        (Chain(nn.Conv2d(3, 3, 3, dilation=2, padding=2), nn.AvgPool2d(2), reduction=2), 0),
        (Chain(nn.Conv2d(3, 3, 5, padding="same"), nn.Conv2d(3, 3, 3, padding="valid")), 0),
        (Chain(Shortcut(nn.Conv2d(3, 3, 3, 2, 1), nn.AvgPool2d(2)), reduction=2), 0),
        (Chain(Shortcut(nn.Conv2d(3, 3, 2, 2), nn.MaxPool2d(3, 2, 1)), nn.Conv2d(3, 3, 3, padding=1), reduction=2), 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else str(value),
)
def test_the_receptive_field_matches_an_experiment(network: Backbone, stage: int) -> None:
    field = describe_stages(network, 64)[stage].receptive_field
    assert field is not None
    stride = network.feature_info.reduction()[stage]
    width = (field // (2 * stride) + 2) * 2 * stride
    assert seen_columns(network, stage, width) == field


def test_the_receptive_field_of_a_rectangular_kernel_is_its_larger_side() -> None:
    assert describe_stages(Chain(nn.Conv2d(3, 3, (1, 9), padding=(0, 4))), 16)[0].receptive_field == 9


@pytest.mark.parametrize(
    "layer",
    [Gate(), nn.GroupNorm(1, 3), nn.LayerNorm([3, 16, 16]), nn.AdaptiveAvgPool2d(4)],
    ids=lambda x: type(x).__name__,
)
def test_layers_that_mix_all_positions_depend_on_the_whole_image(layer: nn.Module) -> None:
    network = Chain(nn.Conv2d(3, 3, 3, padding=1), layer, nn.ReLU())
    assert describe_stages(network, 16)[0].receptive_field is None


def test_images_need_not_be_square() -> None:
    assert describe_stages(backbone("resnet_test"), (64, 96))[0].shape == (8, 32, 48)


def test_images_may_have_one_channel() -> None:
    assert describe_stages(backbone("resnet_test", in_chans=1), 64, in_chans=1)[0].params == 7 * 7 * 8 + 16


def test_an_image_smaller_than_one_position_is_rejected() -> None:
    with pytest.raises(
        InputError, match="image_size is 16; a position of the last feature map is 32 pixels: give more"
    ):
        describe_stages(backbone("convnext_test"), 16)


def test_designs_of_the_road_have_receptive_fields() -> None:
    design = Design(depths=(1, 1), widths=(4, 8))
    for changed in (design, replace(design, downsampling="separate", norm="layer", layer_scale_init=1.0)):
        assert describe_stages(build(changed, 2), 64)[1].receptive_field is not None
