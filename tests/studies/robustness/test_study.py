"""Tests of robustness give what a plain loop gives, and go on where they were stopped."""

from __future__ import annotations

import itertools
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from modernet.catalogue import imagenet_classes, imagenet_synsets
from modernet.data import fit_image, read_image
from modernet.data.transforms.corruptions import SEVERITIES, Corrupt
from modernet.data.transforms.corruptions.frost_pictures import FILES
from modernet.data.transforms.corruptions.jpeg import as_jpeg
from modernet.errors import InputError
from modernet.evaluation.robustness import ALEXNET, MCE_CORRUPTIONS
from modernet.machine import memory
from modernet.records import Record, read_record
from modernet.studies.robustness import NamedNetwork, RobustnessRequest, measure_baseline, measure_robustness
from modernet.studies.robustness.classification import ClassifierTest
from modernet.studies.robustness.units import hits
from modernet.training import Interrupted
from small_classifiers import COLOURS, save_classifier, save_images

CPU = torch.device("cpu")


def measure(network: str, request: RobustnessRequest, folder: Path, **options: object) -> Record:
    return measure_robustness(NamedNetwork.load(network), request, folder, device=CPU, **options)  # type: ignore[arg-type]


def few(photos: Path, **changes: object) -> RobustnessRequest:
    """Ask for two corruptions at two severities."""
    asked = RobustnessRequest(str(photos), (), ("brightness", "contrast"), (1, 5), batch_size=5)
    return replace(asked, **changes)  # type: ignore[arg-type]


def save_frost(folder: Path) -> Path:
    """Write six pictures with the names of the published ones."""
    folder.mkdir()
    for number, name in enumerate(FILES):
        Image.new("RGB", (400, 300), (40 * number, 120, 200)).save(folder / name)
    return folder


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
    with pytest.raises(InputError, match=r"contains a test with images '[0-9a-f]+', not '[0-9a-f]+'"):
        measure(network, few(others), tmp_path / "out")
    (tmp_path / "out" / "robustness.json").write_text("broken")
    with pytest.raises(InputError, match=r"cannot read .*robustness\.json: .*; give another --out"):
        measure(network, few(photos), tmp_path / "out")
    (tmp_path / "out" / "robustness.json").unlink()
    (tmp_path / "out" / "record.json").unlink()
    with pytest.raises(InputError, match=r"a test without its robustness\.json; give another --out"):
        measure(network, few(photos), tmp_path / "out")


def test_a_folder_belongs_to_one_way_of_matching_classes(tmp_path: Path) -> None:
    network, photos = save_classifier(tmp_path / "run"), save_images(tmp_path / "photos")
    maps = [tmp_path / "one.json", tmp_path / "other.json"]
    for path, swapped in zip(maps, ({"blue": "red", "red": "blue"}, {"blue": "green", "green": "blue"}), strict=True):
        path.write_text(json.dumps(swapped))
    measure(network, few(photos, class_map=maps[0]), tmp_path / "out")
    with pytest.raises(InputError, match=r"contains a test with labels '[0-9a-f]+', not '[0-9a-f]+'"):
        measure(network, few(photos, class_map=maps[1]), tmp_path / "out")


@pytest.mark.medium
def test_equal_images_are_known_whatever_their_folder_and_the_network(tmp_path: Path) -> None:
    network, photos = save_classifier(tmp_path / "run"), save_images(tmp_path / "photos")
    first = measure(network, few(photos), tmp_path / "out")
    calls = itertools.count()
    renamed = photos.rename(tmp_path / "pictures")
    again = measure(network, few(renamed), tmp_path / "out", should_stop=lambda: next(calls) < 0)
    assert next(calls) == 0
    assert again.metrics == first.metrics
    other = measure(save_classifier(tmp_path / "smaller", size=32), few(renamed), tmp_path / "other")
    assert other.settings["data"]["fingerprint"] == first.settings["data"]["fingerprint"]


@pytest.mark.medium
def test_frost_of_one_folder_is_of_one_source(tmp_path: Path) -> None:
    network, photos = save_classifier(tmp_path / "run"), save_images(tmp_path / "photos")
    frost = few(photos, corruptions=("frost",))
    assert "frost" not in measure(network, few(photos), tmp_path / "out").settings
    assert measure(network, frost, tmp_path / "out").settings["frost"] == "synthesised"
    pictures = save_frost(tmp_path / "frost")
    photographs = few(photos, corruptions=("frost",), severities=(2,), frost=pictures)
    with pytest.raises(InputError, match=r"contains a test with frost 'synthesised', not 'photographs [0-9a-f]+'"):
        measure(network, photographs, tmp_path / "out")
    assert measure(network, photographs, tmp_path / "other").settings["frost"].startswith("photographs ")
    kept = measure(network, few(photos, suites=("calibration",)), tmp_path / "out")
    assert kept.settings["frost"] == "synthesised"


def test_what_a_corruption_lacks_is_missed_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, photos = save_classifier(tmp_path / "run"), save_images(tmp_path / "photos")
    (save_frost(tmp_path / "frost") / "frost6.jpg").unlink()
    with pytest.raises(InputError, match=r"has no frost6\.jpg; give"):
        measure(network, few(photos, corruptions=("fog", "frost"), frost=tmp_path / "frost"), tmp_path / "out")
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(InputError, match="spatter needs OpenCV"):
        measure(network, few(photos, corruptions=("contrast", "spatter")), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.medium
def test_images_that_do_not_fit_into_memory_give_the_same_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, photos = save_classifier(tmp_path / "run", crop=0.9), save_images(tmp_path / "photos")
    asked = few(photos, suites=("calibration",), corruptions=("gaussian_noise",), severities=(3,))
    decoded = measure(network, asked, tmp_path / "decoded")
    monkeypatch.setattr(memory, "available_bytes", lambda device: 0)
    from_disk = measure(network, asked, tmp_path / "from_disk")
    assert errors(from_disk) == errors(decoded)
    assert from_disk.metrics == pytest.approx(decoded.metrics)


def test_networks_of_imagenet_are_normalised_by_alexnet(tmp_path: Path) -> None:
    photos = save_images(tmp_path / "photos", imagenet_synsets()[:2], each=10)
    found = []
    for size in (160, 48):
        network = NamedNetwork.load(save_classifier(tmp_path / f"run-{size}", imagenet_classes(), size=size))
        test = ClassifierTest(network, RobustnessRequest(str(photos)), CPU, lambda: False)
        outcomes = [{"kind": "clean", **hits(torch.arange(20) < 15, torch.arange(20) // 10)}]
        expected = []
        for number, (name, severity) in enumerate(itertools.product(MCE_CORRUPTIONS, SEVERITIES)):
            right = torch.arange(20) < number % 11
            cell = {"kind": "corruption", "suite": "c", "corruption": name, "severity": severity}
            outcomes.append({**cell, **hits(right, torch.arange(20) // 10)})
            expected.append((1 - number % 11 / 20) / ALEXNET[name])
        found.append(test.summary(outcomes))
        assert test.settings()["baseline"] == (
            "AlexNet on all 50,000 images of 1,000 classes (here: 20 images, 2 classes)" if size == 160 else None
        )
    assert found[0].metrics["c_mce"] == pytest.approx(100 * sum(expected) / 75)
    assert found[0].task_metrics[0].title == "mCE, C"
    assert "c_mce" not in found[1].metrics


def test_errors_are_normalised_by_a_named_baseline_or_not_at_all(tmp_path: Path) -> None:
    network, photos = save_classifier(tmp_path / "run"), save_images(tmp_path / "photos")
    every = few(photos, severities=(1, 2, 3, 4, 5))
    alone = measure(network, every, tmp_path / "alone")
    assert alone.settings["baseline"] is None
    assert not [name for name in alone.metrics if "mce" in name]
    assert not [row for row in alone.details["corruption_means"] if "ce" in row]

    other = save_classifier(tmp_path / "other", seed=1)
    baseline = measure_baseline(other, every, tmp_path / "beside" / "baseline")
    beside = measure(network, every, tmp_path / "beside", baseline=lambda: baseline)
    assert beside.settings["baseline"] == "other"
    means = {row["corruption"]: row["error"] for row in baseline.details["corruption_means"]}
    for row in beside.details["corruption_means"]:
        assert row["ce"] == pytest.approx(100 * row["error"] / means[row["corruption"]])
    assert measure_baseline(f"{tmp_path}/beside/baseline", every, tmp_path / "unused") == baseline

    others = save_images(tmp_path / "others", each=2)
    with pytest.raises(InputError, match="the baseline other was tested on photos, and not on these images"):
        measure(network, few(others), tmp_path / "others-out", baseline=lambda: baseline)


def test_a_baseline_of_another_kind_of_test_is_refused(tmp_path: Path) -> None:
    network, photos = save_classifier(tmp_path / "run"), save_images(tmp_path / "photos")
    frost = few(photos, corruptions=("frost",), severities=(1,))
    baseline = measure(network, frost, tmp_path / "baseline")

    def refused(run: str, request: RobustnessRequest) -> str:
        with pytest.raises(InputError, match="test it with that, or give another --baseline") as raised:
            measure(run, request, tmp_path / "out", baseline=lambda: baseline)
        return str(raised.value)

    assert "the baseline run was tested with seed 0, not 1" in refused(network, replace(frost, seed=1))
    photographs = replace(frost, frost=save_frost(tmp_path / "frost"))
    assert "tested with frost 'synthesised', not 'photographs" in refused(network, photographs)
    smaller = save_classifier(tmp_path / "smaller", size=32)
    assert "tested with images 'shorter side scaled to 48, bilinear; central 48 x 48'" in refused(smaller, frost)

    with pytest.raises(InputError, match="--baseline normalises errors on corrupted images; add --suite c"):
        measure_baseline(network, RobustnessRequest(str(photos), ("calibration",)), tmp_path / "none")


def test_a_baseline_is_measured_once_all_else_is_known_to_be_usable(tmp_path: Path) -> None:
    network, photos = save_classifier(tmp_path / "run"), save_images(tmp_path / "photos")
    measure(network, few(photos, seed=1), tmp_path / "out")

    def baseline() -> Record:
        raise AssertionError("measured")

    with pytest.raises(InputError, match="contains a test with seed 1, not 0"):
        measure(network, few(photos), tmp_path / "out", baseline=baseline)


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


@pytest.mark.medium
def test_sizes_above_that_of_a_small_network_show_what_the_images_have(tmp_path: Path) -> None:
    run, photos = save_classifier(tmp_path / "run", size=24, crop=0.9), save_images(tmp_path / "photos", each=8)
    record = measure(run, RobustnessRequest(str(photos), ("resolution",)), tmp_path / "out")
    saved = NamedNetwork.load(run).saved

    def right(path: Path, first: int) -> bool:
        """Return whether an image is answered correctly at 48 pixels, after it was scaled to `first`."""
        image = fit_image(read_image(path), first, crop=0.9 if first == 48 else 1.0)
        seen = saved.preparation.normalise(fit_image(image, 48)[None])
        return COLOURS[int(saved.network(seen).argmax())] == path.parent.name

    with torch.inference_mode():
        shares = [100 * sum(right(path, first) for path in photos.rglob("*.png")) / 24 for first in (48, 24)]
    assert record.metrics["resolution_48_top1"] == pytest.approx(shares[0]) != pytest.approx(shares[1])


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


def test_a_few_images_are_one_or_more(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="most_images is 0; give 1 or more, or None for all"):
        few(tmp_path, most_images=0)
