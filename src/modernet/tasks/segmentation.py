"""Semantic segmentation: a backbone with a plain head, cross-entropy over the pixels whose class is known, mIoU."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.data import Batch, ImageDataset, Loader
from modernet.data.images.views import IGNORE
from modernet.errors import InputError
from modernet.evaluation import prepared_images, saved_loader
from modernet.evaluation.mean_iou import Confusion
from modernet.evaluation.scores import NonFiniteScores, non_finite
from modernet.models import Backbone
from modernet.processes import ALONE, Processes
from modernet.recipes.segmentation import SegmentationRecipe
from modernet.records import Metric, Record
from modernet.segmentation import Segmenter
from modernet.tasks import images
from modernet.tasks.registry import EvaluateRequest, TrainRequest
from modernet.tasks.start import go_on_from, load_start
from modernet.training.context import RunContext
from modernet.training.run import RunOptions, RunSpec, run_task
from modernet.training.task import HeldOut
from modernet.weights import NetworkSpec, SavedNetwork, StartingWeights

metrics = (Metric("miou", "mIoU"), Metric("pixel_accuracy", "pixel accuracy"))


class Segmentation(images.ImageTask):
    """Training of a segmentation network: images `(b, 3, h, w)` -> logits `(b, k, h, w)`."""

    kind: ClassVar[str] = "segmentation"
    metrics: ClassVar[tuple[Metric, ...]] = metrics

    def weight(self, batch: Batch) -> Tensor:
        target: Tensor = batch.targets
        return (target != IGNORE).sum()

    def loss(self, network: Callable[..., Any], batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        logits = network(batch.images)
        total = F.cross_entropy(logits, batch.targets.long(), ignore_index=IGNORE, reduction="sum")
        return total / self.weight(batch).clamp(min=1), {}

    def evaluate(self, network: nn.Module, split: HeldOut) -> dict[str, float]:
        return _evaluate(network, self.held_out(split), len(self.dataset.classes), self.context.processes)


def train_segmenter(
    spec: NetworkSpec,
    dataset: ImageDataset,
    recipe: SegmentationRecipe,
    *,
    seed: int = 0,
    start: StartingWeights | None = None,
    **run: Unpack[RunOptions],
) -> Record:
    """Train a segmentation network on a backbone; arguments and errors as of `train_classifier`."""
    dataset = images.continued_from(dataset, start)
    settings = images.image_settings(spec, dataset, recipe, seed, start=start)
    settings |= images.network_cost(build_network, spec, dataset)

    def build(context: RunContext) -> Segmentation:
        backbone = spec.build(len(dataset.classes), recipe.drop_path)
        if start is not None and not _is_segmenter(start):
            load_start(start, backbone)
        segmenter = _segmenter(backbone, len(dataset.classes))
        if start is not None and _is_segmenter(start):
            go_on_from(start, segmenter, dataset.classes, build_network)
        return Segmentation(segmenter, spec, dataset, recipe, context, seed)

    return run_task(build, RunSpec(spec.name, recipe, seed, settings), **run)


def prepare(request: TrainRequest) -> Callable[..., Record]:
    """As `TaskModule.prepare`."""
    recipe = request.recipe
    assert isinstance(recipe, SegmentationRecipe)
    spec, start, dataset = images.open_request(request, recipe, "semantic")
    return functools.partial(train_segmenter, spec, dataset, recipe, seed=request.seed, start=start)


def build_network(spec: NetworkSpec, num_classes: int) -> nn.Module:
    """As `TaskModule.build_network`."""
    return _segmenter(spec.build(num_classes), num_classes)


def evaluate(saved: SavedNetwork, request: EvaluateRequest) -> dict[str, float]:
    """As `TaskModule.evaluate`."""
    opened = images.open_for_saved(saved, request, "semantic")
    loader = saved_loader(saved, opened, batch_size=request.batch_size, device=request.device)
    return _evaluate(saved.network.to(request.device), loader, len(saved.classes))


@dataclass(frozen=True)
class Area:
    """A class and its share of an image."""

    label: str
    share: float  # in [0, 1]


@dataclass(frozen=True)
class SegmentedImage:
    """The classes found in an image, by decreasing area."""

    image: str
    predictions: list[Area]

    def lines(self) -> list[str]:
        return [f"{100 * area.share:5.1f} % of the pixels  {area.label}" for area in self.predictions]


@torch.inference_mode()
def predict(saved: SavedNetwork, paths: Sequence[Path], *, top: int, skip_unreadable: bool) -> list[SegmentedImage]:
    """As `TaskModule.predict`."""
    if top < 1:
        raise InputError(f"top is {top}; give 1 or more")
    found = []
    for path, image in prepared_images(saved, paths, skip_unreadable=skip_unreadable):
        logits = saved.network(image[None])
        if non_finite(logits):
            raise NonFiniteScores.of(str(path))
        counts = logits[0].argmax(0).flatten().bincount(minlength=len(saved.classes))
        shares = (counts / counts.sum()).sort(descending=True, stable=True)
        pairs = zip(shares.indices[:top].tolist(), shares.values[:top].tolist(), strict=True)
        found.append(SegmentedImage(str(path), [Area(saved.classes[index], share) for index, share in pairs if share]))
    return found


def _is_segmenter(start: StartingWeights) -> bool:
    return start.trained is not None and start.trained.task == Segmentation.kind


def _segmenter(backbone: nn.Module, num_classes: int) -> Segmenter:
    assert isinstance(backbone, Backbone), "every NetworkSpec builds a backbone"
    return Segmenter(backbone, num_classes)


@torch.inference_mode()
def _evaluate(network: nn.Module, loader: Loader, num_classes: int, processes: Processes = ALONE) -> dict[str, float]:
    was_training, device = network.training, next(network.parameters()).device
    network.eval()
    confusion, sums = Confusion(num_classes, device), torch.zeros(4, dtype=torch.float64, device=device)
    for batch in loader.batches():
        if batch.counted:
            logits, target = network(batch.images).float(), batch.targets.long()
            loss = F.cross_entropy(logits, target, ignore_index=IGNORE, reduction="sum")
            counted = torch.tensor(batch.counted, device=device)
            sums += torch.stack([loss.double(), (target != IGNORE).sum(), counted, non_finite(logits)])
            confusion.add(logits.argmax(1), target)
    network.train(was_training)
    confusion.counts, (loss, pixels, n, lost) = processes.sum(confusion.counts), processes.sum(sums).tolist()
    if lost:
        raise NonFiniteScores.of(f"{lost:.0f} of {n:.0f} images")
    return {
        "miou": confusion.mean_iou(),
        "pixel_accuracy": confusion.pixel_accuracy(),
        "loss": loss / max(pixels, 1),
        "n": n,
    }
