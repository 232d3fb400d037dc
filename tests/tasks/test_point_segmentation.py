"""Segmentation of point clouds: parts of shapes, and scenes."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from modernet.data.points.dataset import PointDataset
from modernet.data.points.inputs import PointInputs
from modernet.data.points.sources.files import read_whole
from modernet.errors import InputError
from modernet.recipes import PointSegmentationRecipe, get_recipe
from modernet.records import Record, read_record
from modernet.report import write_report
from modernet.tasks import PredictRequest, load_network
from modernet.tasks.point_segmentation import find, predict, train_point_segmenter
from modernet.training import Interrupted
from small_clouds import PARTS, POINTS, SPEC, dataset, write_clouds

CPU = torch.device("cpu")
RECIPE = get_recipe("point_segmentation_nano").replace(epochs=2, batch_size=12, points=POINTS, lr=5e-3, turn=False)
assert isinstance(RECIPE, PointSegmentationRecipe)


def scene(data: PointDataset) -> PointDataset:
    """Return the same without categories."""
    return replace(data, inputs=PointInputs(POINTS), parts={"": (0, 1, 2, 3)})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on parts."""
    folder = tmp_path_factory.mktemp("parts") / "run"
    train_point_segmenter(SPEC, dataset(parts=True), RECIPE.replace(epochs=12), folder=folder, device=CPU)
    return folder


def test_parts_are_learned_and_measured_over_shapes(trained: Path, tmp_path: Path) -> None:
    record = read_record(trained / "record.json")

    assert record.primary.name == "miou"
    assert record.metrics["test_miou"] > 60
    assert record.metrics["test_category_miou"] == pytest.approx(record.metrics["test_miou"], abs=20)
    assert "test_mean_accuracy" not in record.metrics
    assert record.metrics["test_n"] == 14
    assert "test_miou_mean" in record.metrics
    counts = torch.tensor(record.details["confusion"]["counts"])
    assert counts.sum() == 14 * POINTS
    assert counts[:2, 2:].sum() == counts[2:, :2].sum() == 0, "a disc has no part of a rod"
    clouds = record.details["clouds"]
    assert [name for name, _ in clouds["colours"]] == record.details["confusion"]["classes"]
    assert len(clouds["pictures"]) == 6
    assert "% of the points right, mean IoU" in clouds["pictures"][0]["why"]

    write_report([record], tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "Colours of the classes: disc below, disc above" in page
    assert (tmp_path / "errors.png").exists()


def test_scenes_are_measured_over_classes(tmp_path: Path) -> None:
    record = train_point_segmenter(SPEC, scene(dataset(parts=True)), RECIPE, folder=tmp_path, device=CPU)

    assert "test_category_miou" not in record.metrics
    counts = np.array(record.details["confusion"]["counts"])
    union = counts.sum(0) + counts.sum(1) - counts.diagonal()
    assert record.metrics["test_miou"] == pytest.approx(100 * np.mean(counts.diagonal() / union))
    assert record.metrics["test_accuracy"] == pytest.approx(100 * counts.trace() / counts.sum())


def test_a_stopped_run_resumes_to_the_same_losses(tmp_path: Path) -> None:
    def losses(record: Record) -> list[float]:
        return [row[key] for row in record.history for key in ("train_loss", "validation_loss", "validation_miou")]

    data = dataset(parts=True)
    whole = train_point_segmenter(SPEC, data, RECIPE, folder=tmp_path / "whole", device=CPU)
    asked = itertools.count(1)
    with pytest.raises(Interrupted):
        train_point_segmenter(
            SPEC, data, RECIPE, folder=tmp_path / "run", device=CPU, should_stop=lambda: next(asked) >= 3
        )
    assert losses(train_point_segmenter(SPEC, data, RECIPE, folder=tmp_path / "run", device=CPU)) == losses(whole)


def test_every_point_of_a_file_is_predicted_and_coloured(trained: Path, tmp_path: Path) -> None:
    files, saved = write_clouds(tmp_path / "clouds", 4), load_network(trained)
    assert saved.spec.head["parts"] == {name: list(parts) for name, parts in PARTS.items()}
    found = find([str(files)])
    answers = list(predict(saved, found, PredictRequest(out=tmp_path / "out")))

    assert [Path(answer.name).name for answer in answers] == ["0.xyz", "2.xyz", "1.xyz", "3.xyz"]
    for answer in answers:
        shape = Path(answer.name).parent.name
        assert {each.label.split()[0] for each in answer.predictions} == {shape}
        assert sum(each.share for each in answer.predictions) == pytest.approx(1)
        assert answer.lines()[0].endswith(answer.predictions[0].colour)
        header, body = (tmp_path / "out" / f"{Path(answer.name).stem}.ply").read_bytes().split(b"end_header\n")
        assert b"element vertex 40\n" in header
        assert len(body) == 40 * 19

    for name in ("disc", "rod"):  # on a map, to the millimetre
        cloud = np.loadtxt(files / name / f"{int(name == 'rod')}.xyz")
        (tmp_path / "map" / name).mkdir(parents=True)
        np.savetxt(tmp_path / "map" / name / f"{name}.xyz", cloud + np.array([5e5, 5e6, 300]), "%.4f")
    there = list(predict(saved, find([str(tmp_path / "map")]), PredictRequest(out=tmp_path / "there")))
    for before, after in zip(answers[::2], there, strict=True):
        assert after.predictions == before.predictions
        assert read_whole(tmp_path / "there" / f"{Path(after.name).stem}.ply", 50).origin == pytest.approx(
            [5e5, 5e6, 300], abs=1
        )

    (tmp_path / "elsewhere").mkdir()
    lost = (files / "rod" / "1.xyz").rename(tmp_path / "elsewhere" / "1.xyz")
    with pytest.raises(InputError, match=r"has to know what shape it is; put it into a folder called disc or rod"):
        list(predict(saved, [lost], PredictRequest()))
    with pytest.raises(InputError, match=r"--out .* holds 3.xyz itself"):
        list(predict(saved, [files / "rod" / "3.xyz"], PredictRequest(out=files / "rod")))
