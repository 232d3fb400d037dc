"""Detectors and segmenters under corruption: their record is what plain loops give."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from modernet.cli import main
from modernet.data import BoxTargets, InMemory, OnDisk, OpenedSplit, SceneGenerator, open_split, read_image
from modernet.data.images.marks import NO_MARKS
from modernet.data.targets import SemanticTargets
from modernet.data.transforms.corruptions import Corrupt
from modernet.detection import RCNN
from modernet.errors import InputError
from modernet.evaluation.average_precision import AveragePrecision
from modernet.evaluation.detecting import detect
from modernet.evaluation.segmenting import class_probabilities
from modernet.preparation import Preparation
from modernet.records import Record, read_record
from modernet.studies.robustness import NamedNetwork, RobustnessRequest, measure_baseline, measure_robustness
from modernet.tasks import EvaluateRequest, get_task, segmentation
from modernet.training import Interrupted
from modernet.weights import NetworkSpec, SavedNetwork
from small_dense import GROUND, save_boxes, save_detector, save_maps, save_segmenter

CPU = torch.device("cpu")
NAMES = ("inverse_sparkles", "checkerboard_cutout")
Measured = Mapping[str, float]


def asked(data: Path, **changes: Any) -> RobustnessRequest:
    """Ask for two corruptions at one severity."""
    return replace(RobustnessRequest(str(data), (), NAMES, (4,), batch_size=2), **changes)


def measure(network: str, request: RobustnessRequest, folder: Path, **options: Any) -> Record:
    return measure_robustness(NamedNetwork.load(network), request, folder, device=CPU, **options)


def plain_detection(saved: SavedNetwork, opened: OpenedSplit, corrupt: Corrupt | None) -> Measured:
    split, network = opened.split, saved.network
    assert isinstance(split, OnDisk)
    assert isinstance(split.targets, BoxTargets)
    assert isinstance(network, RCNN)
    precision = AveragePrecision(saved.classes, split.targets.category_ids, masks=False)
    for position, index in enumerate(split.indices.tolist()):
        image = read_image(split.images.name(index))
        seen = image if corrupt is None else corrupt(image[None])[0]
        (found,) = detect(network, [seen], saved.preparation)
        precision.add(position, (64, 64), found, split.targets.take(np.array([position])))
    return precision.measure().metrics


def plain_segmentation(saved: SavedNetwork, opened: OpenedSplit, corrupt: Corrupt | None) -> Measured:
    split = opened.split
    assert isinstance(split, OnDisk)
    counts = torch.zeros(len(GROUND), len(GROUND), dtype=torch.int64)
    for index in split.indices.tolist():
        path = Path(split.images.name(index))
        image = read_image(path)[None]
        seen = image if corrupt is None else corrupt(image)
        found = class_probabilities(saved.network, seen, saved.preparation)[0].argmax(0)
        truth = torch.from_numpy(np.array(Image.open(path.parent.parent / "masks" / path.name))).long()
        counts += torch.bincount((len(GROUND) * truth + found).flatten(), minlength=counts.numel()).view_as(counts)
    union = counts.sum(0) + counts.sum(1) - counts.diag()
    right = counts.diag().double()
    return {
        "miou": 100 * float((right / union)[union > 0].mean()),
        "pixel_accuracy": 100 * float(right.sum() / counts.sum()),
    }


@pytest.mark.parametrize(
    ("save", "save_data", "plain", "targets", "primary"),
    [
        (save_detector, save_boxes, plain_detection, "boxes", "box_ap"),
        (save_segmenter, save_maps, plain_segmentation, "semantic", "miou"),
    ],
)
def test_a_record_has_the_metrics_of_a_plain_loop(
    save: Callable[[Path], str],
    save_data: Callable[[Path], Path],
    plain: Callable[[SavedNetwork, OpenedSplit, Corrupt | None], Measured],
    targets: Any,
    primary: str,
    tmp_path: Path,
) -> None:
    network, data = save(tmp_path / "run"), save_data(tmp_path / "data")
    record = measure(network, asked(data), tmp_path / "out")

    saved = NamedNetwork.load(network).saved
    opened = open_split(str(data), "test", saved.preparation, marks=NO_MARKS, targets=targets)
    clean = plain(saved, opened, None)
    cells = {name: plain(saved, opened, Corrupt(name, 4)) for name in NAMES}
    assert record.metrics["n"] == len(opened.split)
    for metric, value in clean.items():
        if metric not in {each.name for each in get_task(saved.task).metrics}:
            continue
        assert record.metrics[f"clean_{metric}"] == pytest.approx(value)
        mean = (cells[NAMES[0]][metric] + cells[NAMES[1]][metric]) / 2
        assert record.metrics[f"cbar_{metric}_mpc"] == pytest.approx(mean)
        if value:
            assert record.metrics[f"cbar_{metric}_rpc"] == pytest.approx(100 * mean / value)
        else:
            assert f"cbar_{metric}_rpc" not in record.metrics
    assert clean[primary] > 0
    assert len({clean[primary], *(cell[primary] for cell in cells.values())}) == 3

    rows = {(row["corruption"], row["severity"]): row[primary] for row in record.details["corruptions"]}
    assert rows == pytest.approx({(name, 4): cell[primary] for name, cell in cells.items()})
    assert record.primary.name == f"cbar_{primary}_mpc"
    assert record.details["measure"]["name"] == primary
    assert read_record(tmp_path / "out" / "record.json") == record
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert f"{record.details['measure']['title']} by severity, corruptions of ImageNet-C-bar</h3>" in page
    assert '<span class="name">checkerboard cutout</span>' in page


def test_a_stopped_test_goes_on_and_gives_the_same_record(tmp_path: Path) -> None:
    network, data = save_segmenter(tmp_path / "run"), save_maps(tmp_path / "data")
    whole = measure(network, asked(data), tmp_path / "whole")
    n, read = int(whole.metrics["n"]), itertools.count()
    with pytest.raises(Interrupted):
        measure(network, asked(data), tmp_path / "out", should_stop=lambda: next(read) >= 2 * n)
    finished = sorted(path.name for path in (tmp_path / "out" / "units").iterdir())
    assert finished == ["cbar-inverse_sparkles-4.json", "clean.json"]

    read = itertools.count()
    resumed = measure(network, asked(data), tmp_path / "out", should_stop=lambda: next(read) < 0)
    assert next(read) == n
    assert replace(resumed, environment={}) == replace(whole, environment={})
    with pytest.raises(InputError, match="contains a test with seed 0, not 1"):
        measure(network, asked(data, seed=1), tmp_path / "out")


def test_scenes_in_memory_are_corrupted_and_keep_their_maps(tmp_path: Path) -> None:
    saved = NamedNetwork.load(save_segmenter(tmp_path / "run")).saved
    generator = SceneGenerator("test")
    scenes = [generator.scene(index) for index in range(8)]
    images = torch.stack([scene.image for scene in scenes]).contiguous(memory_format=torch.channels_last)
    targets = SemanticTargets(torch.stack([scene.semantic for scene in scenes]), np.arange(8))
    opened = OpenedSplit("digit_scenes", GROUND, InMemory(images, targets), saved.preparation)
    corrupt = Corrupt("checkerboard_cutout", 4)
    request = EvaluateRequest(tmp_path / "run", opened, "test", 4, CPU, skip_unreadable=False)
    by_hand = replace(request, data=replace(opened, split=InMemory(corrupt(images), targets)))

    measured = segmentation.evaluate(saved, replace(request, corrupt=corrupt)).metrics
    assert measured == segmentation.evaluate(saved, by_hand).metrics
    assert measured["miou"] != segmentation.evaluate(saved, request).metrics["miou"]


def test_what_only_classifiers_have_is_refused_in_one_line(tmp_path: Path) -> None:
    network, data = save_segmenter(tmp_path / "run"), save_maps(tmp_path / "data")
    for changes, message in (
        (
            {"suites": ("c", "calibration")},
            "--suite calibration is for classifiers, and the network was trained for seg",
        ),
        ({"shifted": (str(data),)}, "--shifted is for classifiers"),
        ({"published": data}, "--published is for classifiers"),
    ):
        with pytest.raises(InputError, match=message):
            measure(network, asked(data, **changes), tmp_path / "out")
    record = measure(network, asked(data, corruptions=NAMES[:1]), tmp_path / "out")
    with pytest.raises(InputError, match="--baseline is for classifiers, and the network was trained for segmentation"):
        measure(network, asked(data), tmp_path / "other", baseline=lambda: record)
    with pytest.raises(InputError, match=r"--baseline is for classifiers, and .*run/ was trained for segmentation"):
        measure_baseline(network, asked(data), tmp_path / "baseline")


def test_modernet_evaluate_corrupts_for_no_classifier() -> None:
    request = EvaluateRequest(None, "nowhere", "test", 1, CPU, skip_unreadable=False, corrupt=Corrupt("contrast", 1))
    classifier = SavedNetwork(
        torch.nn.Identity(), NetworkSpec("model", "none", {}), (), Preparation(8, (0,) * 3, (1,) * 3)
    )
    with pytest.raises(InputError, match="modernet robustness tests classifiers on corrupted images"):
        get_task("classification").evaluate(classifier, request)


def test_the_verb_prints_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network, data = save_segmenter(tmp_path / "run"), save_maps(tmp_path / "data")
    options = ["--corruptions", ",".join(NAMES), "--severities", "2,4", "--out", str(tmp_path / "out")]
    assert main(["robustness", network, "--data", str(data), *options]) == 0
    out = capsys.readouterr().out
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    values = [f"{row['miou']:.1f}" for row in record["details"]["corruptions"]]
    assert "mIoU in % by severity" in out
    (row,) = (line.split() for line in out.splitlines() if "inverse_sparkles" in line)
    assert row[:4] == ["cbar", "inverse_sparkles", *values[:2]]
    assert (
        f"mPC of mIoU, C-bar (2 of 10 corruptions; severities 2, 4): {record['metrics']['cbar_miou_mpc']:.1f} %" in out
    )
    assert (
        f"rPC of mIoU, C-bar (2 of 10 corruptions; severities 2, 4): {record['metrics']['cbar_miou_rpc']:.1f} %" in out
    )
    assert "not normalised" not in out
