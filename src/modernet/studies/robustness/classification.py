"""The units of a classifier's test: what is measured in each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch

from modernet import progress
from modernet.catalogue import imagenet_classes
from modernet.data import OpenedSplit
from modernet.data.targets import class_labels
from modernet.data.transforms.corruptions import Corrupt
from modernet.deploy.rewriting.apply import rewritten
from modernet.evaluation.answers import Answers
from modernet.machine.cores import decoding_workers
from modernet.preparation import Preparation
from modernet.records import Record
from modernet.studies.robustness.baseline import Baseline
from modernet.studies.robustness.classifier import Classifier, decoded
from modernet.studies.robustness.images import OpenedImages
from modernet.studies.robustness.probes import PASSES, bias_of, calibration_of, resolution_of, translation_of
from modernet.studies.robustness.protocol import ImageProtocol
from modernet.studies.robustness.published import broken, open_published, published_cells
from modernet.studies.robustness.request import PROBES, Cell, RobustnessRequest
from modernet.studies.robustness.shifted import ShiftedImages, check_shifted, shifted_outcome
from modernet.studies.robustness.summary import Summary, summarise
from modernet.studies.robustness.units import Outcome, Unit, hits
from modernet.tasks import NamedNetwork

_MOST_THREADS = 16


class ClassifierTest:
    """What is measured of a classifier; see `RobustnessTest`.

    Args:
        network: a classifier.
        request: what to measure.
        device: where to run it.
        should_stop: called before every batch.

    Raises:
        InputError: images cannot be opened, or one has a class that the network does not know.
    """

    def __init__(
        self,
        network: NamedNetwork,
        request: RobustnessRequest,
        device: torch.device,
        should_stop: Callable[[], bool],
    ) -> None:
        saved = network.saved
        self.network, self.request = network, request
        self.protocol = ImageProtocol.of(saved.preparation)
        self.images = self._open(request.data, self.protocol.images, request.most_images)
        of_imagenet = saved.classes == imagenet_classes() and self.protocol.is_published
        self.baseline = self._alexnet() if of_imagenet else None
        self._shifted = [ShiftedImages.of(self._open(folder, saved.preparation)) for folder in request.shifted]
        check_shifted(request.suites, self._shifted)
        fast = rewritten(saved.network.to(device), saved.preparation.size)
        self.classifier = Classifier(
            fast,
            saved.classes,
            saved.preparation,
            device,
            request.batch_size,
            should_stop,
            decoding_workers(_MOST_THREADS),
        )

    def identity(self) -> dict[str, Any]:
        return {**self.images.identity(), **self.protocol.identity(), "seed": self.request.seed}

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

    def normalise_by(self, baseline: Record) -> None:
        self.baseline = Baseline.of(baseline, self.settings(), self.request.frost_origin())

    def _alexnet(self) -> Baseline:
        labels = class_labels(self.images.opened.split.targets)
        return Baseline.alexnet(len(labels), len(torch.unique(labels)))

    def units(self) -> list[Unit]:
        """Return the units, in order."""
        return [*self._corruptions(), *self._published(), *map(self._shift, self._shifted), *self._probes()]

    def _open(self, spec: str, preparation: Preparation, most: int | None = None) -> OpenedImages:
        class_map, skip = self.request.class_map, self.request.skip_unreadable
        classes, marks = self.network.saved.classes, self.network.marks()
        return OpenedImages.open(spec, classes, preparation, marks, class_map, skip, most)

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
        cells = published_cells(folder, self.request.corrupted())
        for cell, place in progress.track(cells, f"finding the images of {folder.name}", len(cells)):
            measure = partial(self._measure_published, cell, place)
            n = len(self.images.opened.split)
            yield Unit(cell.key, f"{folder.name}: {cell.title}", n, measure, self._open_published(place).identity())

    def _shift(self, shifted: ShiftedImages) -> Unit:
        n, measure = len(shifted.images.opened.split), partial(self._measure_shift, shifted)
        return Unit(f"shifted-{shifted.name}", shifted.title, n, measure, shifted.images.identity())

    def _probes(self) -> Iterator[Unit]:
        n = len(self.images.opened.split)
        for suite in PROBES:
            if suite in self.request.suites:
                yield Unit(suite, suite, n * PASSES[suite], partial(self._measure_probe, suite))

    @cached_property
    def _crops(self) -> tuple[OpenedSplit, Preparation]:
        """The images of `data` as they are corrupted."""
        return decoded(self.images.opened, self.protocol.images)

    @cached_property
    def _prepared(self) -> tuple[OpenedSplit, Preparation]:
        """The images of `data` by the network's own preparation."""
        own = self.classifier.preparation
        return self._crops if own == self.protocol.images else decoded(self.images.opened, own)

    @cached_property
    def _usual(self) -> Answers:
        """The answers for the images of `data` by the network's own preparation."""
        opened, preparation = self._prepared
        return self.classifier.answer(opened, "clean images", images=preparation)

    def _measure_clean(self) -> Outcome:
        return {"kind": "clean", **self._hits(None, "clean images")}

    def _measure_cell(self, cell: Cell, identity: dict[str, str]) -> Outcome:
        corrupt = Corrupt(cell.corruption, cell.severity, self.request.seed, frost=self.request.frost)
        return {"kind": "corruption", **cell._asdict(), **self._hits(corrupt, cell.title), **identity}

    def _hits(self, corrupt: Corrupt | None, title: str) -> dict[str, Any]:
        opened, preparation = self._crops
        transform = self.protocol.stored(corrupt)
        return hits(*self.classifier.correct(opened, title, images=preparation, transform=transform))

    def _open_published(self, place: Path) -> OpenedImages:
        classes, preparation = self.classifier.classes, self.classifier.preparation
        return open_published(place, classes, preparation, self.images.opened, self.request.class_map)

    def _measure_published(self, cell: Cell, place: Path) -> Outcome:
        opened = self._open_published(place).opened
        opened, images = decoded(opened, opened.preparation, broken)
        return {
            "kind": "corruption",
            **cell._asdict(),
            **hits(*self.classifier.correct(opened, cell.title, images=images)),
        }

    def _measure_shift(self, shifted: ShiftedImages) -> Outcome:
        return shifted_outcome(shifted, self.classifier.answer(shifted.images.opened, shifted.title), self._usual)

    def _measure_probe(self, suite: str) -> Outcome:
        match suite:
            case "calibration":
                return calibration_of(self._usual)
            case "resolution":
                return resolution_of(self.network.saved, self.classifier, self.images.opened)
            case "translation":
                return translation_of(self.classifier, self.images.opened)
            case _:
                return bias_of(self.classifier, *self._prepared, self.request.seed)
