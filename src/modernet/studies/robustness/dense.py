"""The test of a detector or a segmenter: the metrics of its task on corrupted images."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from modernet.data.fingerprint import split_fingerprint
from modernet.data.images.collection import Images, WrappedImages
from modernet.data.images.views import ChooseView, View
from modernet.data.reading import examples_of, on_disk
from modernet.data.targets import TargetKind
from modernet.data.transforms.corruptions import Corrupt
from modernet.errors import InputError
from modernet.preparation import Interpolation
from modernet.records import Metric, Record
from modernet.studies.robustness.images import evenly
from modernet.studies.robustness.request import Cell, RobustnessRequest
from modernet.studies.robustness.summary import Summary, cells_by_suite, suite_title
from modernet.studies.robustness.units import Outcome, Unit
from modernet.tasks import EvaluateRequest, NamedNetwork, get_task
from modernet.tasks.images import open_for_saved
from modernet.training import Interrupted


class _Kind(NamedTuple):
    """A kind of dense task.

    Attributes:
        targets: of its images.
        metrics: that its record describes, the primary one first; it has the numbers of the others too.
    """

    targets: TargetKind
    metrics: tuple[str, ...]


_KINDS = {"detection": _Kind("boxes", ("box_ap", "mask_ap")), "segmentation": _Kind("semantic", ("miou",))}
_Values = Mapping[str, float]
"""The metrics of a task, by name."""


class DenseTest:
    """What is measured of a detector or a segmenter; see `RobustnessTest`.

    Every metric P of the task is measured on the clean images and on those of each corruption and severity. As for
    COCO-C (Michaelis et al. 2019), in per cent:

        mPC = mean over corruptions of the mean over severities of P
        rPC = 100 · mPC / P on clean images

    Args:
        network: a detector or a segmenter.
        request: which corruptions, on which images.
        device: where to run it.
        should_stop: called before every image, from any thread.

    Raises:
        InputError: images cannot be opened, or something is asked that only classifiers have.
    """

    def __init__(
        self,
        network: NamedNetwork,
        request: RobustnessRequest,
        device: torch.device,
        should_stop: Callable[[], bool],
    ) -> None:
        self.saved, self.request = network.saved, request
        request.check_dense(self.saved.task)
        self._kind, self._task = _KINDS[self.saved.task], get_task(self.saved.task)
        asked = EvaluateRequest(network.run, request.data, "test", request.batch_size, device, request.skip_unreadable)
        opened = evenly(open_for_saved(self.saved, asked, self._kind.targets), request.most_images)
        self.name, self.n, self.classes = opened.name, len(opened.split), len(opened.classes)
        self.fingerprint = split_fingerprint(opened)
        examples = examples_of(opened.split)
        stoppable = replace(examples, images=_Stoppable(examples.images, should_stop))
        self._asked = replace(asked, data=replace(opened, split=on_disk(stoppable)))

    def identity(self) -> dict[str, Any]:
        return {"images": self.fingerprint, "seed": self.request.seed}

    def settings(self) -> dict[str, Any]:
        return {
            "data": {"name": self.name, "n": self.n, "classes": self.classes, "fingerprint": self.fingerprint},
            "seed": self.request.seed,
            "protocol": {"images": "corrupted at their own size; boxes and maps stay where they were"},
            "baseline": None,
        }

    def normalise_by(self, baseline: Record) -> None:
        raise InputError(f"--baseline is for classifiers, and the network was trained for {self.saved.task}")

    def units(self) -> list[Unit]:
        clean = Unit("clean", "clean images", self.n, partial(self._measure, {"kind": "clean"}, None))
        return [clean, *map(self._unit, self.request.cells())]

    def _unit(self, cell: Cell) -> Unit:
        frost, origin = self.request.frost, cell.origin(self.request.frost)
        corrupt = Corrupt(cell.corruption, cell.severity, self.request.seed, frost=frost)
        about = {"kind": "corruption", **cell._asdict(), **origin}
        return Unit(cell.key, cell.title, self.n, partial(self._measure, about, corrupt), origin)

    def _measure(self, about: Outcome, corrupt: Corrupt | None) -> Outcome:
        measured = self._task.evaluate(self.saved, replace(self._asked, corrupt=corrupt)).metrics
        own = {metric.name: measured.get(metric.name, math.nan) for metric in self._task.metrics}
        return {**about, "metrics": {name: value for name, value in own.items() if math.isfinite(value)}}

    def summary(self, outcomes: Sequence[Outcome]) -> Summary:
        clean: _Values = next(outcome["metrics"] for outcome in outcomes if outcome["kind"] == "clean")
        described = [metric for metric in self._task.metrics if metric.name in self._kind.metrics]
        metrics = {"n": float(self.n), **{f"clean_{name}": value for name, value in clean.items()}}
        meanings: list[Metric] = []
        cell_rows, mean_rows = [], []
        by_suite = cells_by_suite(outcomes)
        for suite, cells in by_suite.items():
            means = _corruption_means(cells)
            metrics |= _suite_metrics(suite, means, clean)
            title = suite_title(suite, cells)
            meanings += [meaning for metric in described for meaning in _meanings(suite, title, metric)]
            cell_rows += [
                {"suite": suite, "corruption": name, "severity": severity, "n": self.n, **outcome["metrics"]}
                for (name, severity), outcome in cells.items()
            ]
            mean_rows += [{"suite": suite, "corruption": name, **mean} for name, mean in means.items()]
        meanings += [
            replace(metric, name=f"clean_{metric.name}", title=f"clean {metric.title}") for metric in described
        ]
        return Summary(
            list(by_suite),
            metrics,
            tuple(meaning for meaning in meanings if meaning.name in metrics),
            {
                "measure": {"name": described[0].name, "title": described[0].title},
                "corruptions": cell_rows,
                "corruption_means": mean_rows,
            },
        )


def _corruption_means(cells: Mapping[tuple[str, int], Outcome]) -> dict[str, _Values]:
    """Return the mean over severities of every metric, by corruption."""
    found: dict[str, list[_Values]] = {}
    for (name, _), outcome in cells.items():
        found.setdefault(name, []).append(outcome["metrics"])
    return {name: _mean(values) for name, values in found.items()}


def _suite_metrics(suite: str, means: Mapping[str, _Values], clean: _Values) -> dict[str, float]:
    """Return mPC and rPC of every metric, the latter where the clean value is not 0."""
    mpc = _mean(list(means.values()))
    rpc = {name: 100 * value / clean[name] for name, value in mpc.items() if clean[name] > 0}
    return {
        **{f"{suite}_{name}_mpc": value for name, value in mpc.items()},
        **{f"{suite}_{name}_rpc": value for name, value in rpc.items()},
    }


def _mean(values: Sequence[_Values]) -> _Values:
    return {name: statistics.fmean(each[name] for each in values) for name in values[0]}


def _meanings(suite: str, suite_title: str, metric: Metric) -> list[Metric]:
    """Return what the metrics of a suite of corruptions mean that come from one of the task."""
    name, title = f"{suite}_{metric.name}", f"{metric.title}, {suite_title}"
    return [
        replace(metric, name=f"{name}_mpc", title=f"mPC of {title}"),
        Metric(f"{name}_rpc", f"rPC of {title}", digits=1, limits=(0.0, None)),
    ]


class _Stoppable(WrappedImages):
    """Images of which none is read any more once `should_stop` returns True."""

    def __init__(self, images: Images, should_stop: Callable[[], bool]) -> None:
        super().__init__(images)
        self._should_stop = should_stop

    def read(self, index: int) -> Tensor:
        self._check()
        return super().read(index)

    def read_view(self, index: int, choose: ChooseView, interpolation: Interpolation) -> tuple[Tensor, View]:
        self._check()
        return super().read_view(index, choose, interpolation)

    def _check(self) -> None:
        if self._should_stop():
            raise Interrupted("stopped")
