"""Point clouds: they train, resume, evaluate, predict and report through the same verbs as images."""

from __future__ import annotations

import base64
import io
import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from modernet.cli import main
from modernet.data.points.loading import point_loader
from modernet.errors import InputError
from modernet.recipes import PointRecipe, get_recipe
from modernet.records import Record, read_record
from modernet.tasks import load_network
from modernet.tasks.points import build_network, train_points
from modernet.training import Interrupted
from modernet.weights import weights_of_run
from small_clouds import FIELDS, POINTS, SPEC, dataset, write_clouds

CPU = torch.device("cpu")
RECIPE = get_recipe("points_nano").replace(epochs=3, batch_size=12, points=POINTS, warmup_epochs=0.5, lr=5e-3)
assert isinstance(RECIPE, PointRecipe)


def losses(record: Record) -> list[float]:
    return [row[key] for row in record.history for key in ("train_loss", "validation_loss", "validation_accuracy")]


def options(data: Path, out: Path) -> list[str]:
    given = ["train", "--recipe", "points_nano", "--data", str(data), "--epochs", "2", "--points", str(POINTS)]
    return [*given, "--batch-size", "12", "--out", str(out), "--model", "ascn", "--model-fields", *FIELDS]


def test_a_tiny_network_learns_and_its_last_epochs_are_in_the_record(tmp_path: Path) -> None:
    record = train_points(SPEC, dataset(), RECIPE.replace(epochs=8), folder=tmp_path, device=CPU)

    assert record.metrics["test_accuracy"] > 90
    assert record.metrics["test_n"] == 14
    assert record.metrics["train_clouds_per_second"] > 0
    counts = torch.tensor(record.details["confusion"]["counts"])
    assert record.details["confusion"]["classes"] == ["disc", "rod"]
    assert counts.sum(1).tolist() == [7, 7]
    shares = 100 * counts.diagonal() / counts.sum(1)
    assert record.metrics["test_mean_accuracy"] == pytest.approx(float(shares.mean()))
    assert record.settings["params"] == sum(each.numel() for each in load_network(tmp_path).network.parameters())

    tested = [row["test_accuracy"] for row in record.history if "test_accuracy" in row]
    assert [row["epoch"] for row in record.history if "test_accuracy" in row] == [4, 5, 6, 7]
    assert record.metrics["test_accuracy_mean"] == pytest.approx(np.mean([*tested, record.metrics["test_accuracy"]]))
    assert "test_accuracy_spread" in record.metrics

    clouds = record.details["clouds"]
    assert clouds["colours"] == []
    assert [each["image"] for each in clouds["pictures"]] == [f"cloud {index}" for index in range(6)]
    assert {each["why"] for each in clouds["pictures"]} <= {"disc", "rod", "disc, taken for rod", "rod, taken for disc"}
    picture = Image.open(io.BytesIO(base64.b64decode(clouds["pictures"][0]["jpeg"])))
    assert picture.size == (160, 160)
    assert np.asarray(picture).min() < 128


def test_a_stopped_run_resumes_to_the_same_losses(tmp_path: Path) -> None:
    whole = train_points(SPEC, dataset(), RECIPE, folder=tmp_path / "whole", device=CPU)
    asked = itertools.count(1)
    with pytest.raises(Interrupted):
        train_points(SPEC, dataset(), RECIPE, folder=tmp_path / "run", device=CPU, should_stop=lambda: next(asked) >= 6)
    resumed = train_points(SPEC, dataset(), RECIPE, folder=tmp_path / "run", device=CPU)

    assert losses(resumed) == losses(whole)
    assert resumed.metrics["test_accuracy_mean"] == whole.metrics["test_accuracy_mean"]


def test_a_saved_network_gives_the_same_logits(tmp_path: Path) -> None:
    known = dataset()
    train_points(SPEC, known, RECIPE.replace(epochs=1), folder=tmp_path, device=CPU)
    saved = load_network(tmp_path)

    assert saved.inputs == known.inputs
    assert saved.spec.kind == "points"
    again = build_network(saved.spec, 2).eval()
    again.load_state_dict(saved.network.state_dict())
    batch = next(point_loader(known.test, known.inputs, batch_size=8, device=CPU, train=False).batches())
    with torch.no_grad():
        assert torch.equal(saved.network(*batch.inputs), again(*batch.inputs))


def test_a_finished_run_goes_on_and_keeps_its_classifier_where_the_classes_are_the_same(tmp_path: Path) -> None:
    first = train_points(SPEC, dataset(), RECIPE, folder=tmp_path / "first", device=CPU)
    start = weights_of_run(tmp_path / "first")
    standing = RECIPE.replace(epochs=1, lr=0.0, min_lr=0.0, warmup_epochs=0.0)
    kept = train_points(SPEC, dataset(), standing, start=start, folder=tmp_path / "kept", device=CPU)
    other = replace(dataset(), classes=("no", "yes"))
    new = train_points(SPEC, other, standing, start=start, folder=tmp_path / "new", device=CPU)

    assert [each.settings["weights"]["classifier"] for each in (kept, new)] == ["kept", "new"]
    before, after = (load_network(tmp_path / name).network.state_dict() for name in ("first", "kept"))
    weights = [name for name in before if "running" not in name and "num_batches" not in name]
    assert all(torch.equal(before[name], after[name]) for name in weights)
    assert first.settings["params"] == kept.settings["params"]

    deeper = replace(SPEC, fields={**SPEC.fields, "key_widths": (8, 8, 8), "value_widths": (16, 16, 16)})
    with pytest.raises(InputError, match=r"do not fit the network; give --model .*first, without other --model-fields"):
        train_points(deeper, dataset(), standing, start=start, folder=tmp_path / "deeper", device=CPU)


def test_a_batch_of_one_cloud_is_a_one_line_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="batch norms of this network need more than one cloud per micro-batch"):
        train_points(SPEC, dataset(), RECIPE.replace(batch_size=1), folder=tmp_path, device=CPU)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="gloo")
def test_two_processes_give_the_losses_of_one_that_takes_their_micro_batches_in_turn(tmp_path: Path) -> None:
    given = options(write_clouds(tmp_path / "clouds"), tmp_path / "two")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    # batch norms see a micro-batch in either case, but the running means of both are not those of one
    subprocess.run([*launcher, "-m", "modernet", *given], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert main([*options(tmp_path / "clouds", tmp_path / "one"), "--device-batch", "6"]) == 0

    of_two, of_one = (read_record(tmp_path / name / "record.json") for name in ("two", "one"))
    assert of_two.environment["processes"] == 2
    assert [row["train_loss"] for row in of_two.history] == pytest.approx(
        [row["train_loss"] for row in of_one.history], rel=1e-5
    )
    assert of_two.metrics["test_n"] == of_one.metrics["test_n"]
    assert [each["image"] for each in of_two.details["clouds"]["pictures"]] == [
        each["image"] for each in of_one.details["clouds"]["pictures"]
    ]


@pytest.mark.medium
def test_the_verbs_serve_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, run = write_clouds(tmp_path / "clouds"), tmp_path / "run"
    assert main(options(data, run)) == 0
    printed = capsys.readouterr().out
    assert "ascn on clouds: test accuracy" in printed
    assert ", over the last epochs " in printed
    assert main([*options(data, run), "--resume"]) == 0
    assert main([*options(data, run), "--explain"]) == 0
    assert main(["models", "--points", "ascn"]) == 0
    assert "Xie et al." in capsys.readouterr().out

    assert main(["evaluate", str(run), "--data", str(data), "--json", "--out", str(tmp_path / "measured")]) == 0
    measured, record = json.loads(capsys.readouterr().out), read_record(run / "record.json")
    assert measured["accuracy"] == pytest.approx(record.metrics["test_accuracy"])
    assert measured["mean_accuracy"] == pytest.approx(record.metrics["test_mean_accuracy"])
    assert measured["accuracy_low"] < measured["accuracy"] + 1e-9
    assert {"accuracy/disc", "accuracy/rod"} <= set(measured)

    (data / "rod" / "broken.xyz").write_text("0 0 0\n1 nan 0\n")
    wanted = [str(data / "rod" / name) for name in ("1.xyz", "broken.xyz")]
    assert main(["predict", str(run), *wanted, "--json"]) == 1
    printed_all = capsys.readouterr()
    (answer,) = json.loads(printed_all.out)
    assert answer["name"].endswith("1.xyz")
    assert sum(guess["probability"] for guess in answer["predictions"]) == pytest.approx(1)
    (line,) = [line for line in printed_all.err.splitlines() if "broken.xyz" in line]
    assert "not finite" in line
    (data / "rod" / "broken.xyz").unlink()
    assert main(["predict", str(run), str(data / "disc"), "--top", "1"]) == 0
    assert capsys.readouterr().out.count("%  ") == 30

    assert main(["report", str(run), "--out", str(tmp_path / "report")]) == 0
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count("data:image/jpeg") == 6
    assert "Clouds/s" in page
    assert "accuracy, mean of the last 5 epochs" in page
    with Image.open(tmp_path / "report" / "errors.png") as drawn:
        assert drawn.height > 600
    capsys.readouterr()
    refused = "the network takes point clouds, and this needs one that takes images"
    assert main(["export", str(run), "--to", "torch"]) == 2
    assert refused in capsys.readouterr().err
    assert main(["optimize", str(run), "--data", "digit_scenes", "--out", str(tmp_path / "fast")]) == 2
    assert "the task points; modernet optimize takes classifiers" in capsys.readouterr().err
    assert main(["robustness", str(run), "--data", "digit_scenes", "--out", str(tmp_path / "tested")]) == 2
    assert "was trained for points" in capsys.readouterr().err


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_clouds(tmp_path / "clouds")
    given = ["train", "--recipe", "points_nano", "--data", str(data), "--out", str(tmp_path / "run")]
    sequences = ["train", "--recipe", "sequences_nano", "--data", "listops-nano", "--out", str(tmp_path / "run")]
    images = ["train", "--recipe", "small_images", "--data", "digit_scenes", "--out", str(tmp_path / "run")]
    segmentation = ["train", "--recipe", "point_segmentation_nano", "--data", str(data), "--out", str(tmp_path / "run")]
    for command, message in (
        ([*given, "--model", "ascm"], "no model for point clouds is called 'ascm'; did you mean ascn"),
        (
            [*given, "--model", "ascn", "--model-fields", "head=3"],
            "no field of ascn is called 'head'; did you mean heads",
        ),
        ([*given, "--model", "resnet18"], "resnet18 takes images, and the recipe points_nano is for point clouds"),
        ([*given, "--model", "s4"], "s4 takes sequences, and the recipe points_nano is for point clouds"),
        ([*given, "--weights", str(data)], "give the folder of a finished run on point clouds"),
        ([*sequences, "--model", "ascn"], "ascn takes point clouds, and the recipe sequences_nano is for sequences"),
        ([*images, "--model", "ascn"], "ascn takes point clouds, and the recipe small_images is for images"),
        (segmentation, "clouds has a class for each cloud, and the task is point_segmentation"),
        ([*given, "--data", str(tmp_path / "none")], "none"),
        (["models", "--points", "--sequences"], "two lists"),
    ):
        assert main(command) == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("modernet:")]
        assert message in line
