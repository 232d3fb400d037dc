from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modernet.errors import InputError
from modernet.recipes import get_recipe
from modernet.records import RECORD_NAME, Record, read_record
from modernet.studies import Machines, classic_recipe, walk_road

RECIPE = get_recipe("quick").replace(epochs=1, batch_size=16)


def short_walk(data: Path, folder: Path, **changes: Any) -> list[Record]:
    arguments: dict[str, Any] = {"steps": "0,4,13", "seeds": 1, "recipe": RECIPE, "machines": Machines(workers=1)}
    return walk_road(str(data), **(arguments | changes), folder=folder)


@pytest.mark.medium
def test_a_walk_leaves_records_a_chart_and_a_page(image_folder: Path, tmp_path: Path) -> None:
    records = short_walk(image_folder, tmp_path / "walk", seeds=2)

    assert [(record.settings["row"], record.settings["seed"]) for record in records] == [
        (row, seed) for row in ("0", "4", "13") for seed in (0, 1)
    ]
    assert all(0 <= record.metrics["test_top1"] <= 100 and record.error is None for record in records)
    assert records[0].settings["recipe"]["name"] == "classic"
    assert records[2].settings["recipe"]["name"] == "quick"
    assert {path.name for path in (tmp_path / "walk").iterdir()} == {
        "00-resnet", "04-depthwise_conv", "16-separate_downsampling", "road.png", "report.html",
    }  # fmt: skip
    assert (tmp_path / "walk" / "road.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_with_another_walk_is_rejected(image_folder: Path, tmp_path: Path) -> None:
    short_walk(image_folder, tmp_path / "walk", steps="0")
    before = read_record(tmp_path / "walk" / "00-resnet" / "seed-0" / RECORD_NAME)

    with pytest.raises(InputError, match=r"to a study with other settings \(batch_size 16, not 8\); give another"):
        short_walk(image_folder, tmp_path / "walk", steps="0", recipe=RECIPE.replace(batch_size=8))

    assert read_record(tmp_path / "walk" / "00-resnet" / "seed-0" / RECORD_NAME) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": 0}, "seeds is 0; give 1 or more"),
        ({"size": "huge"}, "no size of the road is called 'huge'"),
        ({"steps": "99"}, "no step of the road is called '99'"),
    ],
)
def test_wrong_arguments_are_rejected_before_images_are_read(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        short_walk(tmp_path / "nowhere", tmp_path / "walk", **change)


def test_the_classic_recipe_keeps_epochs_batch_and_spatial_augmentation() -> None:
    modern = get_recipe("small_images").replace(epochs=7, batch_size=64, shift=0.3)
    classic = classic_recipe(modern)

    assert classic.schedule.epochs == 7
    assert classic.batch_size == 64
    assert classic.augmentation.shift == 0.3
    assert classic.optimizer.optimizer == "sgd"
    assert classic.optimizer.lr == pytest.approx(0.05)
    assert classic.augmentation.mixup == classic.regularization.label_smoothing == 0.0


@pytest.mark.medium
def test_the_report_covers_walks_of_earlier_calls(image_folder: Path, tmp_path: Path) -> None:
    short_walk(image_folder, tmp_path / "walk", steps="0")
    later = short_walk(image_folder, tmp_path / "walk", steps="1")

    assert [record.settings["row"] for record in later] == ["1"]
    page = (tmp_path / "walk" / "report.html").read_text(encoding="utf-8")
    assert "ResNet-nano" in page
    assert "Modern recipe" in page


def test_a_stem_too_coarse_for_the_images_is_rejected(image_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="images of 16x16 are too small for this network"):
        short_walk(image_folder, tmp_path / "walk", stem_stride=4)
