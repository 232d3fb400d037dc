from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from modernet.records import Record
from modernet.report import Road, road_markdown, road_table, summarise_road
from modernet.report.notation import quantity, signed

Runs = Callable[..., Record]
Walk = Callable[..., list[Record]]


def printed(road: Road, width: int = 100) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(road_table(road))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_each_step_is_one_line_at_100_columns(walk: Walk) -> None:
    (road,) = summarise_road(walk())
    lines = printed(road)
    for step in road.steps:
        assert sum(line.startswith(f" {step.row} ") and step.title in line for line in lines) == 1
    assert max(map(len, lines)) <= 100


def test_significance_side_steps_and_failures_are_visible_without_colour(run: Runs) -> None:
    records = [run("7", seed=i, top1=80.0 + i / 10) for i in range(3)]
    records += [run("8a", seed=i, top1=90.0 + i / 10) for i in range(3)]
    records += [run("8b", seed=0, error="out of memory")]
    (road,) = summarise_road(records)
    lines = printed(road)
    side = next(line for line in lines if "Kernel 5x5" in line)
    assert "(Kernel 5x5)" in side
    assert "90.1 ± 0.1" in side
    assert "+10.0 [" in side
    assert "] *" in side
    assert "failed" in next(line for line in lines if "Kernel 7x7" in line)
    assert any("Failed at 8b Kernel 7x7: out of memory" in line for line in lines)


def test_the_table_shows_markup_in_a_record_as_text(run: Runs) -> None:
    (road,) = summarise_road([run("1", title="[red]x[/red]"), run("2", error="[/bold] at [0]")])
    text = "\n".join(printed(road))
    assert "[red]x[/red]" in text
    assert "[/bold] at [0]" in text


def test_markdown_has_the_same_rows(walk: Walk) -> None:
    (road,) = summarise_road(walk())
    lines = road_markdown(road).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == 2 + len(road.steps)
    assert len({line.count(" | ") for line in rows}) == 1
    kernel = next(line for line in rows if line.startswith("| 8b |"))
    step = next(step for step in road.steps if step.row == "8b")
    assert f"{step.test_mean:.1f} ± {step.test_std:.1f}" in kernel
    assert "80.57 +0.65" in kernel


def test_markdown_escapes_special_characters(run: Runs) -> None:
    (road,) = summarise_road([run("1", title="a|b <i>`c`\nd")])
    assert r"| a\|b \<i\>\`c\` d |" in road_markdown(road)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0"),
        (999, "999"),
        (25_557_032, "25.6M"),
        (4_089_184_256, "4.09G"),
        (999_900, "1.00M"),
        (123_456, "123k"),
    ],
)
def test_a_quantity_has_three_digits_and_a_prefix(value: float | None, text: str) -> None:
    assert quantity(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1.26, "+1.3"), (-0.04, "−0.0"), (0.0, "0.0"), (None, "–"), (-12.0, "−12.0")]
)
def test_a_difference_shows_its_sign_even_where_it_rounds_to_zero(value: float | None, text: str) -> None:
    assert signed(value, 1) == text


def test_large_test_splits_get_a_second_decimal(run: Runs) -> None:
    data = dict(run("1").settings["data"]) | {"n_test": 50_000}
    (road,) = summarise_road([run("1", top1=80.123, data=data)])
    assert "| 80.12 |" in road_markdown(road)


def test_tables_name_the_networks_behind_the_papers_values(run: Runs) -> None:
    (road,) = summarise_road([run("1", published_of="ResNet-50 to ConvNeXt-T"), run("2")])
    assert "ImageNet-1K top-1 of ResNet-50 to ConvNeXt-T and" in " ".join(" ".join(printed(road)).split())
    assert "ImageNet-1K top-1 of ResNet-50 to ConvNeXt-T and" in road_markdown(road)
    (road,) = summarise_road([run("1"), run("2")])
    assert "ImageNet-1K top-1 and its difference" in road_markdown(road)
