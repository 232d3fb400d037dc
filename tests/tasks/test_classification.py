from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from modernet.data import ImageDataset
from modernet.errors import InputError
from modernet.recipes import get_recipe
from modernet.records import Record, read_record
from modernet.tasks import train_classifier
from modernet.tasks.classification import Classification
from modernet.training import Interrupted
from modernet.training.state.checkpoint import CHECKPOINT_NAME
from modernet.weights import NetworkSpec
from small_runs import EVERY_STEP

SPEC = NetworkSpec("model", "convnext_test", {"stem_stride": 1})
RECIPE = get_recipe("quick").replace(epochs=2, batch_size=16)
CPU = torch.device("cpu")


def train_on(data: ImageDataset, folder: Path, **options: Any) -> Record:
    return train_classifier(options.pop("spec", SPEC), data, RECIPE, folder=folder, device=CPU, **options)


def test_a_run_leaves_its_record_and_no_checkpoint(stripes: ImageDataset, tmp_path: Path) -> None:
    record = train_on(stripes, tmp_path, seed=3, workers=2)

    assert read_record(tmp_path / "record.json").metrics == record.metrics
    assert {path.name for path in tmp_path.iterdir()} == {
        "record.json",
        "network.json",
        "model.safetensors",
        "metrics.jsonl",
    }
    assert record.settings["seed"] == 3
    assert record.settings["params"] == sum(weight.numel() for weight in SPEC.build(2).parameters())
    assert record.settings["macs"] > 900_000
    assert record.settings["data"]["n_test"] == 30
    assert record.metrics["test_n"] == 30
    assert record.environment["workers"] == 2
    assert [row["epoch"] for row in record.history] == [1, 2]


def test_a_full_disk_after_the_last_step_loses_no_training(
    stripes: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_on(stripes, tmp_path / "whole")

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="No space left"):
        patched.setattr(Classification, "save", full)
        train_on(stripes, tmp_path / "run", intervals=EVERY_STEP)
    assert (tmp_path / "run" / CHECKPOINT_NAME).exists()

    again = train_on(stripes, tmp_path / "run")
    assert [row["train_loss"] for row in again.history] == [row["train_loss"] for row in whole.history]
    assert again.metrics["test_loss"] == whole.metrics["test_loss"]


@pytest.mark.parametrize("change", ["images", "network", "seed"])
def test_a_checkpoint_does_not_resume_another_run(change: str, stripes: ImageDataset, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train_on(stripes, tmp_path, should_stop=lambda: True)

    key = {"images": "data_fingerprint", "network": "layer_scale_init", "seed": "seed"}[change]
    with pytest.raises(InputError, match=f"belongs to a run with {key} .*, not .*; give another --out, or remove it"):
        if change == "images":
            train_on(replace(stripes, classes=("h", "v")), tmp_path)
        elif change == "network":
            train_on(stripes, tmp_path, spec=replace(SPEC, fields={"stem_stride": 1, "layer_scale_init": 0.1}))
        else:
            train_on(stripes, tmp_path, seed=1)


def test_images_that_are_too_small_are_refused(stripes: ImageDataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="images of 16x16 are too small for this network"):
        train_on(stripes, tmp_path, spec=replace(SPEC, fields={}))


def test_a_batch_of_one_is_refused_where_batch_norms_cannot_use_it(stripes: ImageDataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give a larger --batch-size or --device-batch"):
        train_classifier(
            NetworkSpec("model", "resnet_test", {}), stripes, RECIPE.replace(batch_size=1), folder=tmp_path, device=CPU
        )


def test_a_folder_that_cannot_be_written_to_is_refused_before_training(stripes: ImageDataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(InputError, match=r"cannot write to .*Not a directory; give another --out"):
        train_on(stripes, tmp_path / "file" / "run")
