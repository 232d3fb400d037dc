"""Tests of robustness give what a plain loop gives, and go on where they were stopped."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from modernet.data import fit_image, read_image
from modernet.data.transforms.corruptions import Corrupt
from modernet.data.transforms.corruptions.jpeg import as_jpeg
from modernet.errors import InputError
from modernet.records import Record, read_record
from modernet.studies.robustness import NamedNetwork, RobustnessRequest, measure_baseline, measure_robustness
from modernet.training import Interrupted
from small_classifiers import COLOURS, save_classifier, save_images

CPU = torch.device("cpu")


def measure(network: str, request: RobustnessRequest, folder: Path, **options: object) -> Record:
    return measure_robustness(NamedNetwork.load(network), request, folder, device=CPU, **options)  # type: ignore[arg-type]


def few(photos: Path, **changes: object) -> RobustnessRequest:
    """Ask for two corruptions at two severities."""
    asked = RobustnessRequest(str(photos), (), ("brightness", "contrast"), (1, 5), batch_size=5)
    return replace(asked, **changes)  # type: ignore[arg-type]


def errors(record: Record, suite: str = "c") -> dict[tuple[str, int], float]:
    rows = record.details["corruptions"]
    return {(row["corruption"], row["severity"]): row["error"] for row in rows if row["suite"] == suite}


def without_date(record: Record) -> Record:
    return replace(record, environment={})


@torch.inference_mode()
def plain_errors(network: str, photos: Path, side: int, crop: float) -> dict[tuple[str, int], float]:
    """Return the errors in per cent of a loop over images; of clean ones as `("clean", 0)`."""
    saved = NamedNetwork.load(network).saved
    wrong: dict[tuple[str, int], list[bool]] = {}
    cells = [("clean", 0), *itertools.product(("brightness", "contrast"), (1, 5))]
    for label, name in enumerate(COLOURS):
        for path in sorted((photos / name).iterdir()):
            image = fit_image(read_image(path), side, crop=crop)[None]
            for corruption, severity in cells:
                changed = as_jpeg(Corrupt(corruption, severity)(image) if severity else image, 85)
                seen = saved.preparation.normalise(changed)
                seen = torch.nn.functional.interpolate(seen, saved.preparation.size, mode="bilinear", antialias=True)
                wrong.setdefault((corruption, severity), []).append(int(saved.network(seen).argmax()) != label)
    return {cell: 100 * sum(found) / len(found) for cell, found in wrong.items()}


@pytest.mark.parametrize(("size", "side", "crop"), [(48, 48, 0.9), (160, 224, 0.875)])
def test_a_record_has_the_errors_of_a_plain_loop(tmp_path: Path, size: int, side: int, crop: float) -> None:
    network, photos = save_classifier(tmp_path / "run", size=size, crop=0.9), save_images(tmp_path / "photos")
    record = measure(network, few(photos), tmp_path / "out")
    expected = plain_errors(network, photos, side, crop)

    assert record.metrics["clean_top1"] == pytest.approx(100 - expected.pop(("clean", 0)))
    assert errors(record) == pytest.approx(expected)
    assert len(set(expected.values())) > 1
    assert record.metrics["c_mean_error"] == pytest.approx(sum(expected.values()) / 4)
    assert record.metrics["n"] == 12
    assert read_record(tmp_path / "out" / "record.json") == record
    assert f"central {side} x {side}" in record.settings["protocol"]["images"]


def test_a_stopped_test_goes_on_and_gives_the_same_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network, photos = save_classifier(tmp_path / "run"), save_images(tmp_path / "photos")
    whole = measure(network, few(photos), tmp_path / "whole")
    calls = itertools.count()
    with pytest.raises(Interrupted):
        measure(network, few(photos), tmp_path / "out", should_stop=lambda: next(calls) >= 7)  # of 3 batches a cell
    finished = sorted(path.name for path in (tmp_path / "out" / "units").iterdir())
    assert finished == ["c-brightness-1.json", "clean.json"]

    calls = itertools.count()
    resumed = measure(network, few(photos), tmp_path / "out", should_stop=lambda: next(calls) < 0)
    assert next(calls) == 3 * 3  # the three cells that were left
    assert without_date(resumed) == without_date(whole)


def test_what_was_measured_before_stays_in_the_record(tmp_path: Path) -> None:
    network, photos = save_classifier(tmp_path / "run"), save_images(tmp_path / "photos")
    first = measure(network, few(photos, corruptions=("contrast",)), tmp_path / "out")
    both = measure(network, few(photos, suites=("calibration",), corruptions=("brightness",)), tmp_path / "out")
    assert errors(both).keys() == set(itertools.product(("brightness", "contrast"), (1, 5)))
    assert errors(first).items() <= errors(both).items()
    assert both.settings["suites"] == ["c", "calibration"]


def test_the_folder_of_another_test_is_refused(tmp_path: Path) -> None:
    network, photos = save_classifier(tmp_path / "run"), save_images(tmp_path / "photos")
    measure(network, few(photos), tmp_path / "out")
    with pytest.raises(InputError, match=r"contains a test with weights '[0-9a-f]+', not '[0-9a-f]+'; give another"):
        measure(save_classifier(tmp_path / "other", seed=1), few(photos), tmp_path / "out")
    with pytest.raises(InputError, match="contains a test with seed 0, not 1"):
        measure(network, few(photos, seed=1), tmp_path / "out")
    others = save_images(tmp_path / "others", each=2)
    with pytest.raises(InputError, match="contains a test with data 'photos', not 'others'"):
        measure(network, few(others), tmp_path / "out")
    (tmp_path / "out" / "robustness.json").unlink()
    with pytest.raises(InputError, match="contains another run; give another --out"):
        measure(network, few(photos), tmp_path / "out")


def test_errors_are_normalised_by_a_named_baseline_or_not_at_all(tmp_path: Path) -> None:
    network, photos = save_classifier(tmp_path / "run"), save_images(tmp_path / "photos")
    every = few(photos, severities=(1, 2, 3, 4, 5))
    alone = measure(network, every, tmp_path / "alone")
    assert alone.settings["baseline"] is None
    assert not [name for name in alone.metrics if "mce" in name]
    assert not [row for row in alone.details["corruption_means"] if "ce" in row]

    other = save_classifier(tmp_path / "other", seed=1)
    baseline = measure_baseline(other, every, tmp_path / "beside" / "baseline")
    beside = measure(network, every, tmp_path / "beside", baseline=baseline)
    assert beside.settings["baseline"] == "resnet_test"
    means = {row["corruption"]: row["error"] for row in baseline.details["corruption_means"]}
    for row in beside.details["corruption_means"]:
        assert row["ce"] == pytest.approx(100 * row["error"] / means[row["corruption"]])
    assert measure_baseline(f"{tmp_path}/beside/baseline", every, tmp_path / "unused") == baseline

    others = save_images(tmp_path / "others", each=2)
    with pytest.raises(InputError, match="the baseline resnet_test was tested on photos, and not on these images"):
        measure(network, few(others), tmp_path / "others-out", baseline=baseline)


def test_classes_may_be_missing_and_images_broken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network, photos = save_classifier(tmp_path / "run"), save_images(tmp_path / "photos", classes=("green",))
    record = measure(network, few(photos), tmp_path / "one")
    assert record.metrics["n"] == 4

    (photos / "green" / "2.png").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"2\.png.*skip"):
        measure(network, few(photos), tmp_path / "two")
    record = measure(network, few(photos, skip_unreadable=True), tmp_path / "two")
    assert record.metrics["n"] == 3


def test_a_network_of_another_task_is_refused(tmp_path: Path) -> None:
    network = NamedNetwork.load(save_classifier(tmp_path / "run"))
    other = replace(network, saved=replace(network.saved, task="depth"))
    with pytest.raises(InputError, match="trained for depth; tested are networks for classification, detection, segm"):
        measure_robustness(other, few(save_images(tmp_path / "photos")), tmp_path / "out")


def test_probes_of_clean_images_agree_on_their_accuracy(tmp_path: Path) -> None:
    network, photos = save_classifier(tmp_path / "run", crop=0.9), save_images(tmp_path / "photos")
    probes = ("calibration", "resolution", "translation", "bias")
    record = measure(network, RobustnessRequest(str(photos), probes), tmp_path / "out")
    assert record.settings["suites"] == list(probes)
    assert record.metrics["resolution_48_top1"] == record.metrics["bias_unchanged_top1"]
    assert [row["image_size"] for row in record.details["resolution"]] == [24, 36, 48, 60, 72, 96]
    assert {row["shift"] for row in record.details["translation"]} == {1, 2, 4}
    assert sum(row["n"] for row in record.details["calibration"]["bins"]) == record.metrics["calibration_n"] == 12
    assert record.primary.name == "calibration_ece"
