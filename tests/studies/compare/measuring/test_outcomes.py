"""What a comparison measures of a trained network is what the record, a plain loop and `modernet robustness` say."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from modernet import progress
from modernet.data import fit_image, read_image
from modernet.errors import InputError
from modernet.records import Metric, Record
from modernet.studies.compare import CompareRequest
from modernet.studies.compare.measuring import RunOutcomes, measure_run, metrics
from modernet.studies.robustness import NamedNetwork, RobustnessRequest, measure_robustness
from modernet.studies.running.jobs import Share
from modernet.training import Interrupted
from small_classifiers import COLOURS
from small_compared import QUICK, Trained, change_weights, train, train_on_photos
from small_dense import save_boxes, save_detector, save_maps, save_segmenter

pytestmark = pytest.mark.medium
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train_on_photos(tmp_path_factory.mktemp("compared"))


@pytest.fixture
def trained(shared: Trained, tmp_path: Path) -> Trained:
    """A copy of a run, which tests may change."""
    shutil.copytree(shared.run, tmp_path / "run")
    return shared._replace(run=tmp_path / "run")


def measured_in_a_job(run: Path, asked: CompareRequest) -> tuple[RunOutcomes, float]:
    """Measure a run as a job of `run_all`, and return also the share of its work that the progress display had."""
    done: list[float] = []
    model = NamedNetwork.of_run(run).saved.spec.name
    with progress.shown(Share(f"measuring {model}", 1.0, lambda amount, note: done.append(amount))):
        return measure_run(run, asked, CPU), sum(done)


@torch.inference_mode()
def plain_answers(run: Path, data: Path) -> str:
    """Return what a loop over the files of the test split says is right."""
    saved = NamedNetwork.of_run(run).saved
    right = ""
    for label, name in enumerate(COLOURS):
        for path in sorted((data / "test" / name).iterdir()):
            seen = saved.preparation.normalise(fit_image(read_image(path), saved.preparation.size[0])[None])
            right += "1" if int(saved.network(seen).argmax()) == label else "0"
    return right


def test_what_is_right_is_the_top1_of_the_record_image_by_image(trained: Trained) -> None:
    found, done = measured_in_a_job(trained.run, trained.asked)
    assert done == pytest.approx(1.0)
    assert measured_in_a_job(trained.run, trained.asked) == (found, 1.0)  # from the file
    assert found.right == plain_answers(trained.run, trained.data)
    assert 100 * found.right.count("1") / len(found.right) == trained.record.metrics["test_top1"]
    assert set(found.right) == {"0", "1"}


def test_calibration_and_corruption_are_those_of_modernet_robustness(trained: Trained, tmp_path: Path) -> None:
    found = measure_run(trained.run, trained.asked, CPU).measured
    asked = RobustnessRequest(str(trained.data), ("calibration",), metrics.CORRUPTIONS, (metrics.SEVERITY,))
    robustness = measure_robustness(NamedNetwork.of_run(trained.run), asked, tmp_path / "robustness", device=CPU)
    errors = [row["error"] for row in robustness.details["corruptions"]]

    assert {name: metric.name for name, (metric, _) in found.items()} == {"ece": "ece", "corrupted": "corrupted"}
    assert found["ece"][1] == pytest.approx(robustness.metrics["calibration_ece"], abs=1e-3)
    assert not found["ece"][0].higher_is_better
    assert len(errors) == 4
    assert found["corrupted"][1] == pytest.approx(100 - sum(errors) / 4)
    assert found["corrupted"][0].higher_is_better
    assert found["corrupted"][0].title.startswith(
        "top-1, corrupted (Gaussian noise, defocus blur, fog, JPEG; severity 3"
    )


def test_corruptions_are_of_a_few_images_evenly_from_the_whole_split(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(metrics.MOST_IMAGES, "classification", 5)
    found = measure_run(trained.run, trained.asked, CPU)
    of_27 = [0, 6, 13, 20, 26]  # even steps of 6.5, of which halves are rounded to even
    few = tmp_path / "few" / "test"
    files = sorted((trained.data / "test").glob("*/*.png"))
    for name in COLOURS:
        (few / name).mkdir(parents=True)
    for index in of_27:
        shutil.copy(files[index], few / files[index].parent.name)
    asked = RobustnessRequest(str(few.parent), (), metrics.CORRUPTIONS, (metrics.SEVERITY,))
    robustness = measure_robustness(NamedNetwork.of_run(trained.run), asked, tmp_path / "robustness", device=CPU)
    assert robustness.metrics["n"] == 5
    assert found.measured["corrupted"][1] == pytest.approx(100 - robustness.metrics["c_mean_error"])
    assert len(found.right) == 27


def test_images_are_in_one_order_however_a_network_sees_them(trained: Trained, tmp_path: Path) -> None:
    """Networks that call every image green are right at the same places."""
    train(trained.data, tmp_path / "larger", size=48)

    def call_green(tensor: torch.Tensor) -> None:
        if tensor.shape == (3,):  # the bias of the classifier
            tensor.copy_(torch.tensor([0.0, 1e4, 0.0]))

    runs = (trained.run, tmp_path / "larger")
    for run in runs:
        change_weights(run, call_green)
    assert [measure_run(run, trained.asked, CPU).right for run in runs] == [9 * "0" + 9 * "1" + 9 * "0"] * 2


def test_a_run_is_measured_again_only_if_something_changed(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def open_run(folder: Path) -> NamedNetwork:
        opened.append(folder)
        return of_run(folder)

    of_run = NamedNetwork.of_run
    monkeypatch.setattr(NamedNetwork, "of_run", staticmethod(open_run))
    first = measure_run(trained.run, trained.asked, CPU)
    assert measure_run(trained.run, trained.asked, CPU) == first
    assert len(opened) == 1

    clean = measure_run(trained.run, replace(trained.asked, robustness=False), CPU)
    assert clean.right == first.right
    assert set(clean.measured) == {"ece"}
    assert len(opened) == 2

    change_weights(trained.run, lambda tensor: tensor.neg_() if tensor.ndim == 2 else None)
    changed = measure_run(trained.run, replace(trained.asked, robustness=False), CPU)
    assert len(opened) == 3
    assert changed.right == plain_answers(trained.run, trained.data) != first.right

    (trained.run / "measured.json").write_text('{"identity":')
    assert measure_run(trained.run, replace(trained.asked, robustness=False), CPU) == changed


@pytest.mark.parametrize("batches", [0, 1, 3])
def test_a_stopped_measurement_leaves_nothing(trained: Trained, batches: int) -> None:
    before = sorted(path.name for path in trained.run.iterdir())
    calls = itertools.count()
    with pytest.raises(Interrupted):
        measure_run(trained.run, trained.asked, CPU, lambda: next(calls) >= batches)
    assert sorted(path.name for path in trained.run.iterdir()) == before
    calls = itertools.count()
    measure_run(trained.run, trained.asked, CPU, lambda: next(calls) < 0)
    assert next(calls) == 1 + 4  # clean, and four corruptions


def test_other_images_than_the_run_was_tested_on_are_refused(trained: Trained, tmp_path: Path) -> None:
    other = shutil.copytree(trained.data, tmp_path / "other")
    (other / "test" / "red" / "0.png").unlink()
    asked = replace(trained.asked, data=str(other))
    with pytest.raises(InputError, match=r"has 26 images, and run was tested on 27: the images have changed; give"):
        measure_run(trained.run, asked, CPU)


def test_what_opening_images_says_is_said_once(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.shown():
        measure_run(trained.run, trained.asked, CPU)
    lines = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert len(lines) == len(set(lines)) == 1


@pytest.mark.parametrize(
    ("save", "save_data", "primary"),
    [(save_detector, save_boxes, Metric("box_ap", "box AP")), (save_segmenter, save_maps, Metric("miou", "mIoU"))],
)
def test_detectors_and_segmenters_are_measured_under_corruption_alone(
    save: Callable[[Path], str], save_data: Callable[[Path], Path], primary: Metric, tmp_path: Path
) -> None:
    save(tmp_path / "run")
    data = save_data(tmp_path / "data")
    asked = RobustnessRequest(str(data), (), metrics.CORRUPTIONS, (metrics.SEVERITY,))
    robustness = measure_robustness(NamedNetwork.of_run(tmp_path / "run"), asked, tmp_path / "robustness", device=CPU)
    Record(
        "train", "a", {"data": {"fingerprint": "0"}}, {"test_n": robustness.metrics["n"]}, task_metrics=(primary,)
    ).write(tmp_path / "run" / "record.json")
    found, done = measured_in_a_job(tmp_path / "run", CompareRequest(("a", "b"), str(data), QUICK))
    assert done == pytest.approx(1.0)
    assert found.right == ""
    assert set(found.measured) == {"corrupted"}
    metric, value = found.measured["corrupted"]
    assert metric.title.startswith(f"{primary.title}, corrupted (")
    assert value == pytest.approx(robustness.metrics[f"c_{primary.name}_mpc"])
    quiet = CompareRequest(("a", "b"), str(data), QUICK, robustness=False)
    assert measure_run(tmp_path / "run", quiet, CPU).measured == {}
