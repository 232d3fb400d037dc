"""What a finished run answers for the test images: which are right, how sure it is of them, and when corrupted."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from modernet import progress
from modernet.errors import InputError
from modernet.evaluation.answers import Answers
from modernet.evaluation.robustness import measure_calibration
from modernet.files.fingerprint import file_sha256
from modernet.machine.cores import decoding_workers
from modernet.records import NETWORK_NAME, RECORD_NAME, Metric, Record, read_record
from modernet.studies.compare.measuring import metrics
from modernet.studies.compare.measuring.kept import keep, read_kept
from modernet.studies.compare.request import CompareRequest
from modernet.studies.robustness import RobustnessRequest
from modernet.studies.robustness.classifier import Classifier
from modernet.studies.robustness.images import OpenedImages
from modernet.studies.robustness.study import TESTS
from modernet.studies.robustness.units import Outcome, read_hits
from modernet.tasks import NamedNetwork
from modernet.weights.saved_network import WEIGHTS_NAME, read_description

MEASURED_NAME = "measured.json"
_BATCH = {"classification": 128, "segmentation": 8, "detection": 8}
_STEP = {**_BATCH, "segmentation": 1, "detection": 1}
"""Images between two questions whether to stop."""
_MOST_THREADS = 16


@dataclass(frozen=True)
class RunOutcomes:
    """What was measured of a trained network besides the metrics of its record.

    Attributes:
        right: one character for each test image, in the order of the split, which is that of the data and not of the
            network: 1 if the answer is right, else 0. Empty for tasks without answers that are right or wrong.
        measured: name -> what it is, and its value: `ece` of classifiers, and `corrupted` if it was asked for.
    """

    right: str = field(repr=False)
    measured: Mapping[str, tuple[Metric, float]]


def measure_run(
    folder: Path, request: CompareRequest, device: torch.device, should_stop: Callable[[], bool] = lambda: False
) -> RunOutcomes:
    """Measure the network of a finished run on the test split that the run was tested on, prepared as it was there.

    Of classifiers, which answers are right, and the expected calibration error over 15 bins of equal width; of all, if
    `request.robustness`, the primary metric on corrupted test images: the mean over ImageNet-C's Gaussian noise,
    defocus blur, fog and JPEG, one of each of its categories, at severity 3, for at most 1,000 test images (100 for
    detectors and segmenters, of which each takes longer), evenly from the whole split. They are what `modernet
    robustness` measures, and the same at every call.

    The result is kept in the folder, in `measured.json`, and returned from there until the weights or what is measured
    change.

    Args:
        folder: of the run.
        request: what the run was trained for.
        device: where to run it.
        should_stop: called before every batch.

    Raises:
        InputError: the folder holds no finished run, or the images are not those that it was tested on.
        Interrupted: `should_stop` returned True; nothing is kept of this run.
        NonFiniteScores: a score is NaN or infinite.
    """
    record, about = read_record(folder / RECORD_NAME), read_description(folder)
    task, title = about.task, f"measuring {about.spec.name}"
    identity = _identity(folder, record, task, request)
    found = read_kept(folder / MEASURED_NAME, identity)
    if found is not None:
        with progress.bar(title, 1) as shown:
            shown.advance()
    else:
        network, steps = NamedNetwork.of_run(folder), _steps(record, task, request)
        with progress.saying_once(), progress.bar(title, steps) as shown:  # images are opened twice
            found = _measure(network, record, request, device, _Counted(should_stop, shown, steps))
        keep(folder / MEASURED_NAME, identity, found)
    known = {metric.name: metric for metric in (metrics.ECE, metrics.corrupted(record.primary, task))}
    return RunOutcomes(found["right"], {name: (known[name], value) for name, value in found["values"].items()})


def _identity(folder: Path, record: Record, task: str, request: CompareRequest) -> dict[str, Any]:
    """Return what the measurements depend on; JSON-able."""
    files = {name: folder / name for name in (NETWORK_NAME, WEIGHTS_NAME)}
    suite = [metrics.CORRUPTIONS, metrics.SEVERITY, metrics.MOST_IMAGES[task]] if request.robustness else None
    return {
        "modernet": metadata.version("modernet"),
        "files": {name: file_sha256(file) for name, file in files.items() if file.is_file()},
        "data": record.settings["data"]["fingerprint"],
        "bins": metrics.BINS,
        "corrupted": suite,
    }


def _steps(record: Record, task: str, request: CompareRequest) -> int:
    """Return how many times it is asked whether to stop."""
    n = int(record.metrics["test_n"])
    clean = math.ceil(n / _STEP[task]) if task == "classification" else 0
    corrupted = len(metrics.CORRUPTIONS) * math.ceil(min(n, metrics.MOST_IMAGES[task]) / _STEP[task])
    return clean + (corrupted if request.robustness else 0)


@dataclass
class _Counted:
    """Counts the questions whether to stop in a bar; threads that share the images ask a few times more."""

    should_stop: Callable[[], bool]
    shown: progress.Bar
    left: int

    def __call__(self) -> bool:
        if self.left > 0:
            self.left -= 1
            self.shown.advance()
        return self.should_stop()


def _measure(
    network: NamedNetwork,
    record: Record,
    request: CompareRequest,
    device: torch.device,
    should_stop: Callable[[], bool],
) -> dict[str, Any]:
    right, values = "", {}
    if network.saved.task == "classification":
        answers = _answers(network, record, request, device, should_stop)
        right = "".join("1" if correct else "0" for correct in answers.correct().tolist())
        values["ece"] = measure_calibration(answers, metrics.BINS).ece
    if request.robustness:
        value = _corrupted(network, record, request, device, should_stop)
        if math.isfinite(value):
            values["corrupted"] = value
    return {"right": right, "values": values}


def _answers(
    network: NamedNetwork,
    record: Record,
    request: CompareRequest,
    device: torch.device,
    should_stop: Callable[[], bool],
) -> Answers:
    """Return what a classifier answers for the test images, in the order of their split."""
    saved = network.saved
    opened = OpenedImages.open(
        request.data, saved.classes, saved.preparation, network.marks(), None, request.skip_unreadable
    ).opened
    tested = record.metrics["test_n"]
    if len(opened.split) != tested:
        raise InputError(
            f"the test split of {request.data} has {len(opened.split)} images, and {network.weights} was tested on "
            f"{tested:.0f}: the images have changed; give another --out, or restore them"
        )
    classifier = Classifier(
        saved.network.to(device),
        saved.classes,
        saved.preparation,
        device,
        _BATCH[saved.task],
        should_stop,
        decoding_workers(_MOST_THREADS),
    )
    return classifier.answer(opened, f"answers of {saved.spec.name}")


def _corrupted(
    network: NamedNetwork,
    record: Record,
    request: CompareRequest,
    device: torch.device,
    should_stop: Callable[[], bool],
) -> float:
    """Return the mean of the primary metric over the corruptions; NaN where it is not defined for one."""
    task = network.saved.task
    asked = RobustnessRequest(
        request.data,
        (),
        metrics.CORRUPTIONS,
        (metrics.SEVERITY,),
        batch_size=_BATCH[task],
        skip_unreadable=request.skip_unreadable,
        most_images=metrics.MOST_IMAGES[task],
    )
    cells = {cell.key for cell in asked.cells()}
    units = [unit for unit in TESTS[task](network, asked, device, should_stop).units() if unit.key in cells]
    return statistics.fmean(_score(unit.measure(), record.primary) for unit in units)


def _score(outcome: Outcome, primary: Metric) -> float:
    if "correct" in outcome:
        return 100 * float(read_hits(outcome).double().mean())
    value: float = outcome["metrics"].get(primary.name, math.nan)
    return value
