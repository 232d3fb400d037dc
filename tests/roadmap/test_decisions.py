from __future__ import annotations

import itertools

import pytest
import torch

from modernet.errors import InputError
from modernet.roadmap import DEFAULT_DECISIONS, road, road_decisions, select_decisions, switched
from modernet.roadmap.network import build
from modernet.studies.fraction import new_fraction

ALL = [
    "stage_ratio", "patchify_stem", "depthwise_conv", "increase_width", "inverted_bottleneck", "move_up_depthwise",
    "kernel_5", "kernel_7", "kernel_9", "kernel_11", "gelu", "fewer_activations", "fewer_norms", "layer_norm",
    "separate_downsampling",
]  # fmt: skip
TOGETHER = ",".join(name for name in ALL if name not in ("kernel_5", "kernel_9", "kernel_11"))


def test_every_step_that_changes_the_network_is_a_decision() -> None:
    assert [decision.name for decision in road_decisions("nano")] == ALL
    by_name = {decision.name: decision for decision in road_decisions("tiny")}
    assert by_name["kernel_7"].off == by_name["kernel_11"].off == {"kernel_size": 3}
    assert by_name["kernel_11"].on == {"kernel_size": 11}
    assert by_name["gelu"].off == {"activation": "relu"}


def test_all_decisions_on_is_convnext_and_all_off_is_resnet() -> None:
    steps = road("nano", stem_stride=2)
    decisions = select_decisions("nano", TOGETHER)

    assert switched(steps[-1].design, decisions, [1] * 12) == steps[-1].design
    assert switched(steps[-1].design, decisions, [-1] * 12) == steps[0].design


@pytest.mark.medium
def test_any_two_decisions_combine_in_any_way() -> None:
    """A fraction of resolution IV has every pair of levels of every pair of decisions."""
    end = road("nano", stem_stride=2)[-1].design
    decisions = select_decisions("nano", TOGETHER)
    for levels in new_fraction(len(decisions)):
        with torch.device("meta"):
            assert build(switched(end, decisions, levels), 10).eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


@pytest.mark.medium
def test_every_network_of_the_default_study_can_be_built() -> None:
    end = road("nano", stem_stride=2)[-1].design
    decisions = select_decisions("nano", DEFAULT_DECISIONS)
    built = set()
    for levels in itertools.product((-1, 1), repeat=len(decisions)):
        design = switched(end, decisions, levels)
        with torch.device("meta"):
            build(design, 10)
        built.add(design)
    assert len(built) == 2 ** len(decisions)


@pytest.mark.parametrize(
    ("size", "spec", "message"),
    [
        ("nano", "gelu", "decisions is 'gelu'; give two or more, a single decision has no interactions"),
        ("nano", "gelu,gelu", "give two or more"),
        ("nano", "gelu,gelo", "no decision of the road is called 'gelo'; did you mean gelu?"),
        (
            "nano",
            "resnet,gelu",
            "resnet cannot be switched on and off: it is the start of the road; leave it out",
        ),
        (
            "nano",
            "gelu,training_recipe",
            "training_recipe cannot be switched on and off: it does not change the network",
        ),
        (
            "nano",
            "kernel_5,kernel_7",
            "kernel_5 and kernel_7 both change kernel_size, so they cannot be switched independently",
        ),
        ("base", "increase_width,stage_ratio", "stage_ratio and increase_width both change widths"),
        ("huge", "gelu,layer_norm", "no size of the road is called 'huge'"),
    ],
)
def test_decisions_that_cannot_be_switched_raise(size: str, spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        select_decisions(size, spec)


def test_decisions_are_in_the_order_of_the_road() -> None:
    assert [decision.name for decision in select_decisions("tiny", "layer_norm, gelu")] == ["gelu", "layer_norm"]
