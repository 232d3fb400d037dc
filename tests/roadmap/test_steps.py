from __future__ import annotations

import csv
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from modernet.counting import Counts, count
from modernet.errors import InputError
from modernet.models import create_model
from modernet.roadmap import Step, default_stem_stride, road, select_steps
from modernet.roadmap.network import build

PUBLISHED = Path(__file__).with_name("published_roadmap.csv")

# row: 10^9 MACs at 224 x 224 and 10^6 parameters, for the tiny and the base road. The MACs are those that the
# paper prints, except for rows 12 and 13 of the tiny road.
COMPUTED = {
    "0": (4.0892, 25.557, 15.0075, 64.674),
    "1": (4.0892, 25.557, 15.0075, 64.674),
    "2": (4.5259, 28.629, 14.5184, 83.066),
    "3": (4.4175, 28.622, 14.3762, 83.058),
    "4": (2.3495, 15.723, 7.2344, 42.586),
    "5": (5.2680, 33.761, 16.7639, 96.527),
    "6": (4.6444, 25.851, 15.6794, 83.700),
    "7": (4.0651, 25.626, 14.6270, 83.095),
    "8a": (4.0973, 25.721, 14.6989, 83.369),
    "8b": (4.1456, 25.864, 14.8066, 83.781),
    "8c": (4.2100, 26.054, 14.9503, 84.330),
    "8d": (4.2906, 26.292, 15.1300, 85.016),
    "9": (4.1456, 25.864, 14.8066, 83.781),
    "10": (4.1456, 25.864, 14.8066, 83.781),
    "11": (4.1456, 25.830, 14.8066, 83.691),
    "12": (4.1456, 25.838, 14.8066, 83.710),
    "13": (4.4555, 28.589, 15.3547, 88.591),
}


def counted(step: Step) -> Counts:
    with torch.device("meta"):
        return count(build(step.design), 224)


def published() -> list[dict[str, str]]:
    with PUBLISHED.open() as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


@pytest.mark.medium
@pytest.mark.parametrize("size", ["tiny", "base"])
def test_macs_and_parameters_of_every_row_equal_the_papers(size: str) -> None:
    columns = slice(0, 2) if size == "tiny" else slice(2, 4)
    counts = {step.row: counted(step) for step in road(size)}
    actual = {row: (round(c.macs / 1e9, 4), round(c.params / 1e6, 3)) for row, c in counts.items()}
    assert actual == {row: numbers[columns] for row, numbers in COMPUTED.items()}


@pytest.mark.parametrize("size", ["tiny", "base"])
def test_printed_macs_equal_computed_ones_except_in_two_rows(size: str) -> None:
    column = 0 if size == "tiny" else 2
    differing = [s.row for s in road(size) if f"{s.published_gmacs:.2f}" != f"{COMPUTED[s.row][column]:.2f}"]
    assert differing == (["12", "13"] if size == "tiny" else [])


@pytest.mark.parametrize("size", ["tiny", "base"])
def test_rows_and_published_figures_equal_the_papers_table(size: str) -> None:
    for step, row in zip(road(size), published(), strict=True):
        assert (step.row, step.name) == (row["row"], row["step"])
        assert step.published_top1 == float(row[f"{size}_top1"])
        assert step.published_gmacs == float(row[f"{size}_gmacs_published"])
        column = 0 if size == "tiny" else 2
        assert COMPUTED[step.row][column] == float(row[f"{size}_gmacs"])
        if row[f"{size}_params_m"]:
            assert COMPUTED[step.row][column + 1] == float(row[f"{size}_params_m"])


@pytest.mark.parametrize("size", ["nano", "tiny", "base"])
def test_every_row_has_a_title_a_description_and_an_order(size: str) -> None:
    steps = road(size)
    assert [step.order for step in steps] == list(range(17))
    assert (
        len({step.row for step in steps}) == len({step.name for step in steps}) == len({s.title for s in steps}) == 17
    )
    assert all(step.change.endswith(".") and len(step.title) <= 25 for step in steps)
    assert [step.row for step in steps if step.side_step] == ["8a", "8c", "8d"]
    assert [step.row for step in steps if step.classic_recipe] == ["0"]


@pytest.mark.parametrize("size", ["nano", "tiny", "base"])
def test_every_adopted_row_changes_one_decision_of_the_previous_row(size: str) -> None:
    adopted = [step for step in road(size) if not step.side_step]
    changed = {
        after.name: {
            f.name for f in fields(after.design) if getattr(before.design, f.name) != getattr(after.design, f.name)
        }
        for before, after in pairwise(adopted)
    }
    assert changed == {
        "training_recipe": set(),
        "stage_ratio": {"depths", "widths"} if size == "base" else {"depths"},
        "patchify_stem": {"stem"},
        "depthwise_conv": {"groups"},
        "increase_width": {"widths"},
        "inverted_bottleneck": {"block"},
        "move_up_depthwise": {"spatial_conv"},
        "kernel_7": {"kernel_size"},
        "gelu": {"activation"},
        "fewer_activations": {"activations"},
        "fewer_norms": {"norms"},
        "layer_norm": {"norm"},
        "separate_downsampling": {"downsampling", "head_norm", "layer_scale_init"},
    }


@pytest.mark.medium
def test_the_last_row_equals_the_zoos_convnext() -> None:
    with torch.device("meta"):
        assert counted(road("tiny")[-1]) == count(create_model("convnext_tiny"), 224)
        assert counted(road("base")[-1]) == count(create_model("convnext_base"), 224)


def test_the_nano_road_has_no_published_figures_and_a_layer_scale_of_1() -> None:
    steps = road("nano")
    assert {(step.published_top1, step.published_gmacs) for step in steps} == {(None, None)}
    assert steps[0].design.depths == (1, 2, 2, 1)
    assert steps[-1].design.widths == (12, 24, 48, 96)
    assert steps[-1].design.layer_scale_init == 1.0
    assert road("tiny")[-1].design.layer_scale_init == 1e-6


def test_stem_stride_and_layer_scale_can_be_set() -> None:
    steps = road("nano", stem_stride=2, layer_scale_init=0.1)
    assert {step.design.stem_stride for step in steps} == {2}
    assert "2x2 pixels" in steps[3].change
    assert steps[-1].design.layer_scale_init == 0.1
    assert "initially 0.1" in steps[-1].change


def test_the_base_road_mentions_its_change_of_width() -> None:
    assert "from 64 to 84" in road("base")[2].change
    assert "from 84 to 128" in road("base")[5].change
    assert "width" not in road("tiny")[2].change


@pytest.mark.parametrize(
    ("spec", "rows"),
    [
        ("all", list(COMPUTED)),
        ("0-13", [str(row) if row != 8 else "8b" for row in range(14)]),
        ("0,4,13", ["0", "4", "13"]),
        ("13, 0 ,0", ["0", "13"]),
        ("8", ["8b"]),
        ("7-9", ["7", "8b", "9"]),
        ("8a-8d", ["8a", "8b", "8c", "8d"]),
        ("7-8a", ["7", "8a"]),
        ("8b-9", ["8b", "9"]),
        ("resnet,kernel_11", ["0", "8d"]),
        ("gelu-fewer_norms", ["9", "10", "11"]),
    ],
)
def test_steps_are_selected_by_rows_names_and_ranges(spec: str, rows: list[str]) -> None:
    assert [step.row for step in select_steps(road("nano"), spec)] == rows


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("14", "no step of the road is called '14'; give rows 0, 1, .*13, their names .*ranges .* and 'all'"),
        ("", "no step of the road is called ''"),
        ("0,", "no step of the road is called ''"),
        ("-3", "no step of the road is called ''"),
        ("patchify", "no step of the road is called 'patchify'"),
        ("9-3", "the range '9-3' of steps runs backwards; give 3-9"),
    ],
)
def test_nonexistent_steps_raise(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        select_steps(road("nano"), spec)


def test_an_unknown_size_raises() -> None:
    with pytest.raises(InputError, match="no size of the road is called 'small'; there is: base, nano, tiny"):
        road("small")


@pytest.mark.parametrize(("image_size", "stride"), [(8, 1), (31, 1), (32, 2), (64, 2), (127, 2), (128, 4), (224, 4)])
def test_the_stem_stride_follows_the_image_size(image_size: int, stride: int) -> None:
    assert default_stem_stride(image_size) == stride


@pytest.mark.parametrize("image_size", [16, 31, 32, 48, 127, 128, 224])
def test_the_last_stage_keeps_2x2_positions(image_size: int) -> None:
    for step in (road("nano", stem_stride=default_stem_stride(image_size)))[:: len(COMPUTED) - 1]:
        x = torch.zeros(1, 3, image_size, image_size)
        assert build(step.design, 2).eval().forward_features(x).shape[2] >= 2


def test_images_below_8_pixels_raise() -> None:
    with pytest.raises(InputError, match="image_size is 7; give 8 or more, the minimum for four stages"):
        default_stem_stride(7)
