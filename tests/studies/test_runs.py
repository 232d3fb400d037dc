from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from modernet.data import InMemory, OnDisk
from modernet.errors import InputError
from modernet.recipes import get_recipe
from modernet.records import RECORD_NAME, read_record
from modernet.studies import Machines, runs
from modernet.studies.runs import Run, Study, finish_runs, plan_runs, train_run
from modernet.weights import NetworkSpec

RECIPE = get_recipe("quick").replace(epochs=1, batch_size=16, image_size=32)
NETWORKS = ("resnet_test", "convnext_test")


def begin(data: str | Path, folder: str | Path, **changes: Any) -> Study:
    arguments: dict[str, Any] = {
        "seeds": 1, "recipe": RECIPE, "skip_unreadable": False, "machines": Machines(workers=1), "one_core": True,
    }  # fmt: skip
    return Study.begin(str(data), **(arguments | changes), folder=folder)


def plan(study: Study, *names: str) -> list[Run]:
    return [run for name in names for run in plan_runs(study, name, NetworkSpec("model", name, {}), RECIPE, {})]


def fail(run: Run, should_stop: Callable[[], bool]) -> None:
    raise RuntimeError("out of luck")


def test_a_study_compares_any_networks(image_folder: Path, tmp_path: Path) -> None:
    study = begin(image_folder, tmp_path / "study", seeds=2)
    records = finish_runs(study, plan(study, *NETWORKS), "comparing")

    assert [(record.name, record.settings["seed"]) for record in records] == [(n, s) for n in NETWORKS for s in (0, 1)]
    assert all(0 <= record.metrics["test_top1"] <= 100 for record in records)
    assert len({record.settings["params"] for record in records}) == 2


def test_every_network_is_trained_once_before_any_is_trained_twice(image_folder: Path, tmp_path: Path) -> None:
    trained: list[tuple[str, int]] = []

    def train(run: Run, should_stop: Callable[[], bool]) -> None:
        trained.append((run.name, run.seed))
        fail(run, should_stop)

    study = begin(image_folder, tmp_path / "study", seeds=2)
    finish_runs(study, plan(study, *NETWORKS), "comparing", train)

    assert trained == [(name, seed) for seed in (0, 1) for name in NETWORKS]


def test_finished_runs_are_skipped(image_folder: Path, tmp_path: Path) -> None:
    study = begin(image_folder, tmp_path / "study")
    first = finish_runs(study, plan(study, "resnet_test"), "comparing")
    trained: list[str] = []

    def train(run: Run, should_stop: Callable[[], bool]) -> None:
        trained.append(run.name)
        train_run(run, should_stop)

    again = finish_runs(study, plan(study, *NETWORKS), "comparing", train)

    assert trained == ["convnext_test"]
    assert again[0] == first[0]


def test_a_failed_run_is_reported_and_retried_by_the_next_call(image_folder: Path, tmp_path: Path) -> None:
    def fragile(run: Run, should_stop: Callable[[], bool]) -> None:
        (fail if run.name == "convnext_test" else train_run)(run, should_stop)

    study = begin(image_folder, tmp_path / "study")
    planned = plan(study, "convnext_test", "resnet_test")
    assert [record.error for record in finish_runs(study, planned, "comparing", fragile)] == [
        "RuntimeError: out of luck",
        None,
    ]
    assert "out of luck" in (tmp_path / "study" / "report.html").read_text(encoding="utf-8")

    assert [record.error for record in finish_runs(study, planned, "comparing")] == [None, None]


def test_a_failure_on_a_gpu_is_recorded_by_a_machine_without_one(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_gpu(device: torch.device) -> str:
        raise RuntimeError("no NVIDIA driver")

    monkeypatch.setattr(torch.cuda, "get_device_name", no_gpu)
    study = begin(image_folder, tmp_path, machines=Machines(workers=1, device=torch.device("cuda")))
    (run,) = plan(study, "resnet_test")
    (record,) = finish_runs(study, [run], "comparing", fail)

    assert record == read_record(run.folder / RECORD_NAME)
    assert record.error == "RuntimeError: out of luck"
    assert record.settings == run.settings | {"params": record.settings["params"], "macs": record.settings["macs"]}
    assert record.settings["params"] == sum(weight.numel() for weight in run.spec.build(2).parameters())
    assert "device" not in record.environment


def test_a_folder_with_other_settings_is_rejected(image_folder: Path, tmp_path: Path) -> None:
    study = begin(image_folder, tmp_path / "study")
    finish_runs(study, plan(study, "resnet_test"), "comparing")
    path = tmp_path / "study" / "resnet_test" / "seed-0" / RECORD_NAME
    before = path.read_bytes()

    spec = NetworkSpec("model", "resnet_test", {})
    others = plan_runs(study, "resnet_test", spec, RECIPE.replace(batch_size=8), {})
    with pytest.raises(InputError, match=r"to a study with other settings \(batch_size 16, not 8\); give another"):
        finish_runs(study, others, "comparing")

    assert path.read_bytes() == before


def test_images_are_opened_once_per_study(image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    open_dataset = runs.open_dataset

    def watched(data: str, **options: Any) -> Any:
        opened.append(data)
        return open_dataset(data, **options)

    monkeypatch.setattr(runs, "open_dataset", watched)
    for name in ("one", "other"):
        study = begin(image_folder, tmp_path / name)
        plan(study, *NETWORKS)

    assert len(opened) == 2


def test_images_are_opened_as_the_recipe_needs_them(tmp_path: Path) -> None:
    for label, colour in (("dark", 40), ("bright", 200)):
        (tmp_path / "images" / label).mkdir(parents=True)
        for index in range(12):
            gradient = (
                Image.linear_gradient("L").resize((24, 16)).point(lambda value, c=colour + index: (value + c) // 2)
            )
            gradient.convert("RGB").save(tmp_path / "images" / label / f"{index}.png")
    study = begin(tmp_path / "images", tmp_path / "study", recipe=RECIPE.replace(image_size=8))
    bilinear, crops, bicubic = (
        replace(study, recipe=study.recipe.replace(**changes)).images().train
        for changes in ({}, {"crop_scale": 0.5}, {"interpolation": "bicubic"})
    )

    assert isinstance(crops, OnDisk)  # random crops need whole images, which are not squares of one size here
    assert isinstance(bilinear, InMemory)
    assert isinstance(bicubic, InMemory)
    assert not torch.equal(bilinear.images, bicubic.images)


def test_paths_are_made_absolute_for_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shards").mkdir()
    for number in range(2):
        (tmp_path / "shards" / f"train-{number}.tar").touch()
    (tmp_path / "mnist").mkdir()
    monkeypatch.chdir(tmp_path)
    on_cluster: dict[str, Any] = {"machines": Machines(cluster="auto", run_cpus=1, run_gpus=0)}
    for path in ("shards", "shards/train-{0..1}.tar", "shards/train-0.tar", "./mnist"):
        study = begin(path, "walk", **on_cluster)
        assert (study.data, study.folder) == (str(tmp_path / path), tmp_path / "walk")
    absolute = str(tmp_path / "shards" / "train-{0..1}.tar")
    for name in ("mnist", "hf:org/shards", "https://host/train-{0..1}.tar", "nowhere", absolute):
        assert begin(name, "walk", **on_cluster).data == name
