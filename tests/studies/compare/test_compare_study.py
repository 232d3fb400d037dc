from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from modernet import progress
from modernet.errors import InputError
from modernet.recipes import get_recipe
from modernet.records import RECORD_NAME, Record, read_record
from modernet.report.compare.compared import Compared, Measurement
from modernet.studies import Machines
from modernet.studies.compare import CompareRequest, compare, estimate_comparison, speeds, study
from modernet.studies.compare.runs import TrainingRun, train_run
from modernet.training import Interrupted

CONVNEXT = "convnext_test:depths=(1,1,1,1),dims=(8,8,16,16),stem_stride=2"
RESNET = "resnet18:width=8,depths=(1,1,1,1)"
TOO_COARSE = "convnext_test"  # its stride is 32
RECIPE = get_recipe("quick").replace(batch_size=16).lasting(1)


def asked(data: Path | str, *candidates: str, **changes: Any) -> CompareRequest:
    arguments: dict[str, Any] = {"recipe": RECIPE, "seeds": 2, "robustness": False}
    return CompareRequest(candidates or (CONVNEXT, RESNET), str(data), **(arguments | changes))


def compared(request: CompareRequest, folder: Path, workers: int = 1) -> list[Record]:
    return compare(request, machines=Machines(workers=workers), folder=folder)


@pytest.fixture
def without_speeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes half a minute for each network, and is tested where it is measured."""

    def nothing(runs: Any, *arguments: Any, **named: Any) -> dict[str, tuple[Measurement, ...]]:
        return dict.fromkeys(runs, ())

    monkeypatch.setattr(study, "measure_costs", nothing)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note the runs that are trained."""
    labels: list[str] = []

    def noting(run: TrainingRun, should_stop: Callable[[], bool]) -> None:
        labels.append(run.label)
        train_run(run, should_stop)

    monkeypatch.setattr(study, "train_run", noting)
    return labels


@pytest.mark.slow
def test_a_comparison_has_everything_of_each_candidate(image_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "compare"
    request = asked(image_folder, budget="equal-seconds", tune=2, robustness=True)
    records = compared(request, folder, workers=2)
    first, second = map(Compared.from_record, records)
    assert (first.candidate, second.candidate) == (CONVNEXT, RESNET)
    assert first.comparison == second.comparison
    assert (first.order, second.order) == (0, 1)
    for each in (first, second):
        assert each.seeds == (0, 1)
        assert each.failed == {}
        assert len(each.score) == len(each.validation) == 2
        assert [len(right) for right in each.right] == [each.n_test] * 2
        assert [100 * right.count("1") / each.n_test for right in each.right] == pytest.approx(each.score)
        assert each.seconds is not None
        assert [trial["epochs"] for trial in each.trials] == [max(1, each.epochs // 5)] * 2
        assert each.tuned in [{key: trial[key] for key in ("lr", "weight_decay")} for trial in each.trials]
        names = {measured.metric.name for measured in each.measured}
        assert {"params", "macs", "images_per_second", "latency_ms", "ece", "corrupted"} <= names
    stored = json.loads((folder / "calibration.json").read_text())
    assert stored["shares"][CONVNEXT]["epochs"] == first.epochs
    run = read_record(folder / "convnext_test-depths-1-1-1-1-dims-8-8-16-16-stem_stride-2" / "seed-1" / RECORD_NAME)
    assert (run.kind, run.settings["study"], run.settings["candidate"]) == ("train", "compare", CONVNEXT)
    assert (folder / "compare.png").exists()
    assert CONVNEXT in (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.medium
def test_an_interrupted_comparison_goes_on(
    image_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    without_speeds: None,
    trained: list[str],
) -> None:
    request = asked(image_folder)
    noting = study.train_run

    def stopping(run: TrainingRun, should_stop: Callable[[], bool]) -> None:
        noting(run, lambda: len(trained) == 3)

    monkeypatch.setattr(study, "train_run", stopping)
    with pytest.raises(Interrupted):
        compared(request, tmp_path / "compare")
    assert [label.rpartition(", seed ")[2] for label in trained] == ["0", "0", "1"]
    trained.clear()
    monkeypatch.setattr(study, "train_run", noting)
    records = compared(request, tmp_path / "compare")
    assert [label.rpartition(", seed ")[2] for label in trained] == ["1", "1"]
    assert [record.settings["seeds"] for record in records] == [(0, 1), (0, 1)]
    trained.clear()
    with progress.shown():
        again = compared(request, tmp_path / "compare")
    assert [record.metrics for record in again] == [record.metrics for record in records]
    assert trained == []
    assert f"training: 4 of 4 runs in {tmp_path / 'compare'} are finished\n" in capsys.readouterr().err
    more = compared(asked(image_folder, seeds=3), tmp_path / "compare")
    assert [label.rpartition(", seed ")[2] for label in trained] == ["2", "2"]
    assert more[0].settings["seeds"] == (0, 1, 2)


@pytest.mark.medium
def test_a_candidate_that_runs_out_of_memory_leaves_the_others(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_speeds: None
) -> None:
    def greedy(run: TrainingRun, should_stop: Callable[[], bool]) -> None:
        if run.candidate.label == RESNET:
            raise MemoryError("12 GiB are not there")
        train_run(run, should_stop)

    monkeypatch.setattr(study, "train_run", greedy)
    fine, failed = compared(asked(image_folder, seeds=1), tmp_path / "compare")
    assert fine.error is None
    assert failed.error == "seed 0: MemoryError: 12 GiB are not there"
    assert Compared.from_record(failed).failed == {"seed 0": "MemoryError: 12 GiB are not there"}
    monkeypatch.setattr(study, "train_run", train_run)
    assert [record.error for record in compared(asked(image_folder, seeds=1), tmp_path / "compare")] == [None, None]


@pytest.mark.medium
def test_splits_on_which_the_metric_is_not_defined_end_no_comparison(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_speeds: None
) -> None:
    """As of detectors where there is nothing to find."""

    def scoreless(run: TrainingRun, should_stop: Callable[[], bool]) -> None:
        train_run(run, should_stop)
        record = read_record(run.folder / RECORD_NAME)
        del record.metrics["validation_top1"]
        if run.candidate.label == RESNET:
            del record.metrics["test_top1"]
        record.write(run.folder / RECORD_NAME)

    monkeypatch.setattr(study, "train_run", scoreless)
    fine, failed = compared(asked(image_folder, seeds=1, tune=2), tmp_path / "compare")
    assert fine.error is None
    assert len(Compared.from_record(fine).score) == 1
    assert Compared.from_record(fine).validation == ()
    assert Compared.from_record(fine).tuned == {}
    assert failed.error == "seed 0: top-1 is not defined on the test split"


@pytest.mark.medium
def test_a_candidate_that_does_not_take_the_images_is_reported(
    image_folder: Path, tmp_path: Path, without_speeds: None
) -> None:
    fine, failed = compared(asked(image_folder, RESNET, TOO_COARSE, seeds=1), tmp_path / "compare")
    assert fine.error is None
    assert failed.error is not None
    assert failed.error.startswith("these images: ")


def test_mistakes_are_reported_before_anything_is_trained(image_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "compare"
    cases = [
        (asked(tmp_path / "nowhere"), "nowhere"),
        (asked(image_folder, "convnext_test", "resnet19"), "no model is called 'resnet19'"),
        (asked(image_folder, tune=99), "tune is 99"),
        (asked(image_folder, recipe=get_recipe("points_nano")), "for points, and networks are compared in"),
        (asked(image_folder, TOO_COARSE, "convnext_nano"), "none of the networks can be trained; convnext_test: "),
    ]
    for request, message in cases:
        with pytest.raises(InputError, match=message):
            compared(request, folder)
    assert not list(folder.rglob(RECORD_NAME))


def test_one_class_is_reported_as_training_does(image_folder: Path, tmp_path: Path) -> None:
    for path in (image_folder / "vertical").iterdir():
        path.unlink()
    (image_folder / "vertical").rmdir()
    with pytest.raises(InputError, match="class"):
        compared(asked(image_folder), tmp_path / "compare")


def test_a_broken_image_is_reported_as_training_does(image_folder: Path, tmp_path: Path) -> None:
    (image_folder / "vertical" / "1.png").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"1\.png"):
        compared(asked(image_folder), tmp_path / "compare")


@pytest.mark.medium
def test_a_folder_with_other_trainings_is_rejected(image_folder: Path, tmp_path: Path, without_speeds: None) -> None:
    compared(asked(image_folder, seeds=1), tmp_path / "compare")
    with pytest.raises(InputError, match=r"a study with other settings \(batch_size 16, not 8\); give another --out"):
        compared(asked(image_folder, seeds=1, recipe=RECIPE.replace(batch_size=8)), tmp_path / "compare")


@pytest.mark.medium
def test_an_estimate_trains_nothing_and_says_what_it_would_take(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    markers: list[Path] = []

    def surviving(marker: Path) -> AbstractContextManager[None]:
        markers.append(marker.resolve())
        return nullcontext()

    monkeypatch.setattr(speeds, "surviving", surviving)
    monkeypatch.chdir(tmp_path)
    request = asked(image_folder, CONVNEXT, TOO_COARSE, RESNET, tune=2)
    found = estimate_comparison(request, machines=Machines(workers=2))
    fine, impossible, other = found.candidates
    assert (fine.runs, fine.epochs, fine.trials, fine.tuning_epochs) == (2, 1, 2, 1)
    assert impossible.seconds is None
    assert fine.seconds is not None
    assert other.seconds is not None
    assert found.seconds == pytest.approx((fine.seconds + other.seconds) / 2)
    assert found.lines()[0].startswith(f"{CONVNEXT}: 2 runs x 1 epoch, 2 trials x 1 epoch, ")
    assert "cannot be trained" in found.lines()[1]
    assert found.lines()[-1].startswith("8 trainings, 2 at once: about ")
    assert markers
    assert not any(marker.is_relative_to(tmp_path.resolve()) for marker in markers)  # it is no folder of ours
