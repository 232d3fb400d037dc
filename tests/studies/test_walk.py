from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from modernet.errors import InputError
from modernet.recipes import get_recipe
from modernet.records import RECORD_NAME, Record, read_record
from modernet.studies import classic_recipe, runs, walk_road
from modernet.studies.runs import Study
from modernet.weights import NetworkSpec

RECIPE = get_recipe("quick").replace(epochs=1, batch_size=16)


def short_walk(data: Path, folder: Path, **changes: Any) -> list[Record]:
    arguments: dict[str, Any] = {"steps": "0,4,13", "seeds": 1, "recipe": RECIPE, "workers": 1, "folder": folder}
    return walk_road(str(data), **(arguments | changes))


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


def test_finished_runs_are_not_trained_again(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = short_walk(image_folder, tmp_path / "walk", steps="0")
    trained: list[str] = []
    train = runs.train_classifier

    def watched(spec: Any, *rest: Any, **options: Any) -> Record:
        trained.append(spec.name)
        return train(spec, *rest, **options)

    monkeypatch.setattr(runs, "train_classifier", watched)
    again = short_walk(image_folder, tmp_path / "walk", steps="0,4")

    assert trained == ["Depthwise conv"]
    assert again[0] == first[0]


def test_a_failing_step_is_reported_and_the_rest_goes_on_and_it_is_tried_again(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = runs.train_classifier

    def fragile(spec: Any, *rest: Any, **options: Any) -> Record:
        if spec.name == "Depthwise conv":
            raise RuntimeError("out of luck")
        return train(spec, *rest, **options)

    with monkeypatch.context() as patched:
        patched.setattr(runs, "train_classifier", fragile)
        records = short_walk(image_folder, tmp_path / "walk")
    assert [record.error for record in records] == [None, "RuntimeError: out of luck", None]
    assert "out of luck" in (tmp_path / "walk" / "report.html").read_text(encoding="utf-8")

    assert [record.error for record in short_walk(image_folder, tmp_path / "walk")] == [None, None, None]


def test_a_run_that_failed_on_a_gpu_is_recorded_by_a_machine_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_gpu(device: torch.device) -> str:
        raise RuntimeError("no NVIDIA driver")

    monkeypatch.setattr(torch.cuda, "get_device_name", no_gpu)
    study = Study("images", "nano", RECIPE, False, "cuda", tmp_path, 1, None)
    spec = NetworkSpec("model", "convnext_test", {})
    settings = {"study": "roadmap"}
    runs._record_failure(runs.Run(study, tmp_path, spec, RECIPE, 0, {}, settings), "RuntimeError: out of luck")

    record = read_record(tmp_path / RECORD_NAME)
    assert (record.error, record.settings) == ("RuntimeError: out of luck", settings)
    assert "device" not in record.environment


def test_a_folder_with_another_walk_is_refused(image_folder: Path, tmp_path: Path) -> None:
    short_walk(image_folder, tmp_path / "walk", steps="0")
    before = read_record(tmp_path / "walk" / "00-resnet" / "seed-0" / RECORD_NAME)

    with pytest.raises(InputError, match=r"of a study with other settings \(batch_size 16, not 8\); give another"):
        short_walk(image_folder, tmp_path / "walk", steps="0", recipe=RECIPE.replace(batch_size=8))

    assert read_record(tmp_path / "walk" / "00-resnet" / "seed-0" / RECORD_NAME) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": 0}, "seeds is 0; give 1 or more"),
        ({"workers": 0}, "workers is 0; give 1 or more"),
        ({"size": "huge"}, "no size of the road is called 'huge'"),
        ({"steps": "99"}, "no step of the road is called '99'"),
    ],
)
def test_wrong_arguments_are_said_before_images_are_read(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        short_walk(tmp_path / "nowhere", tmp_path / "walk", **change)


def test_the_classic_recipe_differs_in_the_recipe_alone() -> None:
    modern = get_recipe("small_images").replace(epochs=7, batch_size=64, shift=0.3)
    classic = classic_recipe(modern)

    assert classic.schedule.epochs == 7
    assert classic.batch_size == 64
    assert classic.augmentation.shift == 0.3
    assert classic.optimizer.optimizer == "sgd"
    assert classic.optimizer.lr == pytest.approx(0.05)
    assert classic.augmentation.mixup == classic.regularization.label_smoothing == 0.0


def test_a_walk_in_parts_is_reported_whole(image_folder: Path, tmp_path: Path) -> None:
    short_walk(image_folder, tmp_path / "walk", steps="0")
    later = short_walk(image_folder, tmp_path / "walk", steps="1")

    assert [record.settings["row"] for record in later] == ["1"]
    page = (tmp_path / "walk" / "report.html").read_text(encoding="utf-8")
    assert "ResNet-nano" in page
    assert "Modern recipe" in page


def test_images_are_opened_once_and_anew_for_each_walk(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    open_dataset = runs.open_dataset

    def watched(data: str, **options: Any) -> Any:
        opened.append(data)
        return open_dataset(data, **options)

    monkeypatch.setattr(runs, "open_dataset", watched)
    short_walk(image_folder, tmp_path / "one", steps="0")
    short_walk(image_folder, tmp_path / "other", steps="0")

    assert len(opened) == 2


def test_images_are_opened_as_the_recipe_shows_them(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[dict[str, Any]] = []

    def watched(data: str, **options: Any) -> Any:
        opened.append(options)
        return data

    monkeypatch.setattr(runs, "open_dataset", watched)
    folder = tmp_path / "walk"
    study = Study.begin(
        str(image_folder), size="nano", seeds=1, recipe=RECIPE, skip_unreadable=False, workers=1, device=None,
        cluster=None, run_cpus=None, run_gpus=None, folder=folder,
    )  # fmt: skip
    for recipe in (RECIPE, RECIPE.replace(crop_scale=0.5), RECIPE.replace(interpolation="bicubic")):
        for _ in range(2):
            replace(study, recipe=recipe).images()
    runs._opened.cache_clear()

    assert [(options["whole_images"], options["interpolation"]) for options in opened] == [
        (False, "bilinear"), (True, "bilinear"), (False, "bicubic"),
    ]  # fmt: skip


def test_a_path_is_made_whole_for_a_cluster_also_one_with_braces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shards").mkdir()
    for number in range(2):
        (tmp_path / "shards" / f"train-{number}.tar").touch()
    (tmp_path / "mnist").mkdir()
    monkeypatch.chdir(tmp_path)
    rest: dict[str, Any] = {
        "size": "nano", "seeds": 1, "recipe": RECIPE, "skip_unreadable": False, "workers": None, "device": None,
        "cluster": "auto", "run_cpus": 1, "run_gpus": 0, "folder": "walk",
    }  # fmt: skip
    for path in ("shards", "shards/train-{0..1}.tar", "shards/train-0.tar", "./mnist"):
        assert Study.begin(path, **rest).data == str(tmp_path / path)
    whole = str(tmp_path / "shards" / "train-{0..1}.tar")
    for name in ("mnist", "hf:org/shards", "https://host/train-{0..1}.tar", "nowhere", whole):
        assert Study.begin(name, **rest).data == name


def test_a_stem_too_coarse_for_the_images_is_said(image_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="images of 16x16 are too small for this network"):
        short_walk(image_folder, tmp_path / "walk", stem_stride=4)
