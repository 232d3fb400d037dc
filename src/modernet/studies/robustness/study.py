"""A test of robustness: one network, on corrupted and shifted images; it can be stopped and goes on where it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import torch

from modernet.errors import InputError
from modernet.machine.device import default_device, describe
from modernet.records import RECORD_NAME, Record, environment, is_run_path, read_record
from modernet.report import write_report
from modernet.studies.robustness.classification import ClassifierTest
from modernet.studies.robustness.dense import DenseTest
from modernet.studies.robustness.request import CORRUPTION_SUITES, RobustnessRequest, check_cells
from modernet.studies.robustness.summary import Summary
from modernet.studies.robustness.units import Outcome, Unit, UnitFolder
from modernet.tasks import NamedNetwork
from modernet.weights.saved_network import check_answers


class RobustnessTest(Protocol):
    """What is measured of a network of some task."""

    def identity(self) -> dict[str, Any]:
        """Return what decides the outcomes of the units besides the network; flat and JSON-able."""

    def settings(self) -> dict[str, Any]:
        """Return the settings of the record that depend on the task, `data` and `protocol` among them."""

    def normalise_by(self, baseline: Record) -> None:
        """Normalise the errors by those of another network, of a test on the same images.

        Raises:
            InputError: it was tested on others or in another way, or there is no baseline for the task.
        """

    def units(self) -> list[Unit]:
        """Return what is to be measured, in order."""

    def summary(self, outcomes: Sequence[Outcome]) -> Summary:
        """Return what the outcomes of these units, and of earlier ones in the same folder, say together."""


TESTS: dict[str, Callable[..., RobustnessTest]] = {
    "classification": ClassifierTest,
    "detection": DenseTest,
    "segmentation": DenseTest,
}
"""Kind of a task -> its test; the arguments are those of `ClassifierTest`."""


def measure_robustness(
    network: NamedNetwork,
    request: RobustnessRequest,
    folder: Path,
    *,
    baseline: Callable[[], Record] | None = None,
    device: torch.device | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Record:
    """Measure how a network answers for images that are corrupted and, a classifier, shifted, resized or moved.

    The folder gets a file for each part that is finished, such as one severity of one corruption; the same call with
    the same folder measures those that are not. The record, which is written last, has everything that was ever
    finished in the folder.

    Args:
        network: a classifier, or a detector or segmenter of a finished run.
        request: what to measure, on which images.
        folder: of the results.
        baseline: returns the record of another network's test on the same images, by which the corruption errors are
            normalised; for classifiers. It is called, and may measure that network, once all else is known to be
            usable. None: AlexNet's published errors for a network with ImageNet's classes; no others are known.
        device: where to run it; None: the accelerator, if there is one.
        should_stop: called before every batch.

    Raises:
        InputError: there is no test for the network's task or what is asked is not for it, the images cannot be used,
            or the folder holds something else.
        Interrupted: `should_stop` returned True; the same call goes on.
        NonFiniteScores: a logit is NaN or infinite.
    """
    saved = network.saved
    check_answers(saved.task)
    if saved.task not in TESTS:
        raise InputError(f"{saved.spec.name} was trained for {saved.task}; tested are networks for {', '.join(TESTS)}")
    device = device or default_device()
    test = TESTS[saved.task](network, request, device, should_stop)
    check_cells(request.cells(), request.frost)
    units = test.units()
    fingerprint = network.fingerprint()
    identity = {
        "modernet": metadata.version("modernet"),
        "network": saved.spec.name,
        "fields": dict(saved.spec.fields),
        "weights": fingerprint,
    }
    parts = UnitFolder(folder, identity | test.identity())
    _check_frost(folder, parts.outcomes(), request)
    if baseline is not None:
        test.normalise_by(baseline())
    parts.finish(units, f"testing {saved.spec.name}")
    outcomes = parts.outcomes()
    summary = test.summary(outcomes)
    record = Record(
        "robustness",
        saved.spec.name if network.run is None else network.weights,
        {
            "task": saved.task,
            "model": saved.spec.name,
            "model_fields": dict(saved.spec.fields),
            "weights": {"file": network.weights, "fingerprint": fingerprint},
            "suites": summary.suites,
            **_frost(outcomes),
            **test.settings(),
        },
        summary.metrics,
        environment=environment(describe(device, torch.get_num_threads())),
        task_metrics=summary.task_metrics,
        details=summary.details,
    )
    record.write(folder / RECORD_NAME)
    write_report([record], folder)
    return record


def measure_baseline(
    what: str, request: RobustnessRequest, folder: Path, *, should_stop: Callable[[], bool] = lambda: False
) -> Record:
    """Return the record of a network by whose errors those of others are normalised.

    Args:
        what: the folder of its test; or a model or a run, as `NamedNetwork.load` takes it, to be tested in `folder` on
            what the request corrupts.

    Raises:
        InputError: it is no classifier, nothing is to be corrupted, or as `measure_robustness`.
        Interrupted, NonFiniteScores: as `measure_robustness`.
    """
    path = Path(what) / RECORD_NAME
    if is_run_path(what) and path.is_file():
        record = read_record(path)
        if record.kind == "robustness":
            return record
    if not request.cells():
        raise InputError("--baseline normalises errors on corrupted images; add --suite c, or leave it out")
    network = NamedNetwork.load(what)
    if network.saved.task != "classification":
        raise InputError(f"--baseline is for classifiers, and {what} was trained for {network.saved.task}")
    corrupted = tuple(suite for suite in request.suites if suite in CORRUPTION_SUITES)
    reduced = replace(request, suites=corrupted, shifted=(), published=None)
    return measure_robustness(network, reduced, folder, should_stop=should_stop)


def _frost(outcomes: Sequence[Outcome]) -> dict[str, str]:
    """Return what the frost of the outcomes is made from, for a record; nothing where there is none."""
    return next(({"frost": outcome["frost"]} for outcome in outcomes if "frost" in outcome), {})


def _check_frost(folder: Path, outcomes: Sequence[Outcome], request: RobustnessRequest) -> None:
    """Check that frost is to be made from what the frost of a folder was made from: means would mix them.

    Raises:
        InputError: it is not.
    """
    found, wanted = _frost(outcomes).get("frost"), request.frost_origin()
    if found != wanted and None not in (found, wanted):
        raise InputError(
            f"{folder} contains a test with frost {found!r}, not {wanted!r}; give the same --frost, or another --out"
        )
