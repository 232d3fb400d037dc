"""The units of a classifier's test: what is measured in each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch

from modernet.catalogue import imagenet_classes
from modernet.data import OpenedSplit
from modernet.data.transforms.corruptions import Corrupt
from modernet.evaluation.answers import Answers
from modernet.machine.cores import decoding_workers
from modernet.preparation import Preparation
from modernet.records import Record
from modernet.studies.robustness.baseline import Baseline
from modernet.studies.robustness.cells import CORRUPTION_SUITES, Cell, plan_cells
from modernet.studies.robustness.classifier import Classifier, decoded, fold
from modernet.studies.robustness.images import OpenedImages
from modernet.studies.robustness.outcomes import hits
from modernet.studies.robustness.probes import PASSES, bias_of, calibration_of, resolution_of, translation_of
from modernet.studies.robustness.protocol import Protocol
from modernet.studies.robustness.published import open_published, published_cells
from modernet.studies.robustness.request import PROBES, RobustnessRequest
from modernet.studies.robustness.shifted import Shifted, shifted_outcome
from modernet.studies.robustness.summary import Summary, summarise
from modernet.studies.robustness.units import Outcome, Unit
from modernet.tasks import NamedNetwork

_MOST_THREADS = 16


class ClassifierTest:
    """What is measured of a classifier; see `RobustnessTest`.

    Args:
        network: a classifier.
        request: what to measure.
        baseline: the record of another network's test on the same images, by which the corruption errors are
            normalised; None: AlexNet's errors, for a network with ImageNet's classes.
        device: where to run it.
        should_stop: called before every batch.

    Raises:
        InputError: images cannot be opened, one has a class that the network does not know, or the baseline was tested
            on others.
    """

    def __init__(
        self,
        network: NamedNetwork,
        request: RobustnessRequest,
        baseline: Record | None,
        device: torch.device,
        should_stop: Callable[[], bool],
    ) -> None:
        saved = network.saved
        self.network, self.request = network, request
        self.protocol = Protocol.of(saved.preparation)
        self.images = self._open(request.data, self.protocol.images)
        self.baseline = self._baseline(baseline)
        self._shifted = [Shifted.found(folder) for folder in request.shifted]
        request.check_shifts([shifted.name for shifted in self._shifted])
        folded = fold(saved.network.to(device), saved.preparation.size)
        self.classifier = Classifier(
            folded,
            saved.classes,
            saved.preparation,
            device,
            request.batch_size,
            should_stop,
            decoding_workers(_MOST_THREADS),
        )

    def identity(self) -> dict[str, Any]:
        return {
            "data": self.images.opened.name,
            "images": self.images.fingerprint,
            "protocol": self.protocol.identity(),
            "seed": self.request.seed,
        }

    def settings(self) -> dict[str, Any]:
        opened = self.images.opened
        return {
            "data": {
                "name": opened.name,
                "n": len(opened.split),
                "classes": len(opened.classes),
                "fingerprint": self.images.fingerprint,
            },
            "seed": self.request.seed,
            "protocol": self.protocol.words(),
            "baseline": None if self.baseline is None else self.baseline.name,
        }

    def summary(self, outcomes: Sequence[Outcome]) -> Summary:
        return summarise(outcomes, self.baseline)

    def _baseline(self, record: Record | None) -> Baseline | None:
        if record is not None:
            return Baseline.of(record, self.images.fingerprint)
        of_imagenet = self.network.saved.classes == imagenet_classes() and self.protocol.is_published
        return Baseline.alexnet() if of_imagenet else None

    def units(self) -> list[Unit]:
        """Return the units, in order."""
        return [*self._corruptions(), *self._published(), *map(self._shift, self._shifted), *self._probes()]

    def _open(self, spec: str, preparation: Preparation) -> OpenedImages:
        class_map, skip = self.request.class_map, self.request.skip_unreadable
        classes, marks = self.network.saved.classes, self.network.marks()
        return OpenedImages.open(spec, classes, preparation, marks, class_map, skip)

    def _corruptions(self) -> Iterator[Unit]:
        n, cells = len(self.images.opened.split), self.request.cells()
        if cells or self.request.published is not None:
            yield Unit("clean", "clean images", n, self._measure_clean)
        for cell in cells:
            identity = cell.origin(self.request.frost)
            yield Unit(cell.key, cell.title, n, partial(self._measure_cell, cell, identity), identity)

    def _published(self) -> Iterator[Unit]:
        folder = self.request.published
        if folder is None:
            return
        wanted = self.request.cells() or plan_cells(CORRUPTION_SUITES, severities=self.request.severities)
        for cell, place in published_cells(folder, wanted):
            measure = partial(self._measure_published, cell, place)
            n = len(self.images.opened.split)
            yield Unit(cell.key, f"{folder.name}: {cell.title}", n, measure, {"folder": folder.resolve().name})

    def _shift(self, shifted: Shifted) -> Unit:
        return Unit(
            f"shifted-{shifted.name}",
            shifted.title,
            shifted.n,
            partial(self._measure_shift, shifted),
            {"folder": shifted.title, "n": shifted.n},
        )

    def _probes(self) -> Iterator[Unit]:
        n = len(self.images.opened.split)
        for suite in self.request.suites:
            if suite in PROBES:
                yield Unit(suite, suite, n * PASSES[suite], partial(self._measure_probe, suite))

    @cached_property
    def _crops(self) -> tuple[OpenedSplit, Preparation]:
        return decoded(self.images.opened, self.protocol.images)

    @cached_property
    def _usual(self) -> Answers:
        """The answers for the images of `data` as they are usually prepared for the network."""
        return self.classifier.answer(self.images.opened, "clean images")

    def _measure_clean(self) -> Outcome:
        return {"kind": "clean", **hits(self._answer_corrupted(None, "clean images"))}

    def _measure_cell(self, cell: Cell, identity: dict[str, str]) -> Outcome:
        corrupt = Corrupt(cell.corruption, cell.severity, self.request.seed, frost=self.request.frost)
        answers = self._answer_corrupted(corrupt, cell.title)
        return {"kind": "corruption", **cell._asdict(), **hits(answers), **identity}

    def _answer_corrupted(self, corrupt: Corrupt | None, title: str) -> Answers:
        opened, preparation = self._crops
        transform = self.protocol.stored(corrupt)
        return self.classifier.answer(opened, title, images=preparation, transform=transform)

    def _measure_published(self, cell: Cell, place: Path) -> Outcome:
        classes, preparation = self.classifier.classes, self.classifier.preparation
        opened = open_published(place, classes, preparation, self.images.opened, self.request.class_map)
        opened, images = decoded(opened, opened.preparation)
        answers = self.classifier.answer(opened, cell.title, images=images)
        return {"kind": "corruption", **cell._asdict(), **hits(answers)}

    def _measure_shift(self, shifted: Shifted) -> Outcome:
        images = self._open(shifted.path, self.classifier.preparation)
        return shifted_outcome(shifted, self.classifier.answer(images.opened, shifted.title), self._usual)

    def _measure_probe(self, suite: str) -> Outcome:
        opened = self.images.opened
        match suite:
            case "calibration":
                return calibration_of(self._usual)
            case "resolution":
                return resolution_of(self.network.saved, self.classifier, opened)
            case "translation":
                return translation_of(self.classifier, opened)
            case _:
                return bias_of(self.classifier, opened, self.request.seed)
