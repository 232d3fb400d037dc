"""Semantic segmentation: a backbone with a plain head or UPerNet, cross-entropy of pixels, mIoU of whole images."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.data import Batch, ImageDataset, Split, short_name
from modernet.data.images.views import IGNORE
from modernet.data.loading.whole import whole_images
from modernet.errors import InputError
from modernet.evaluation import numbered_split, stored_images
from modernet.evaluation.drawings import drawing_files
from modernet.evaluation.mean_iou import Confusion
from modernet.evaluation.misses import Misses
from modernet.evaluation.scores import NonFiniteScores
from modernet.evaluation.segmenting import WHOLE, Inference, probability_strips
from modernet.models import Backbone
from modernet.preparation import Preparation
from modernet.processes import ALONE, Processes
from modernet.progress import say
from modernet.recipes.segmentation import SegmentationRecipe
from modernet.records import Metric, Record
from modernet.segmentation import Segmenter, TrainingLogits, UPerNet
from modernet.segmentation.drawing import save_label_map, save_overlay, side_by_side
from modernet.tasks import images
from modernet.tasks.registry import EvaluateRequest, Measured, PredictRequest, TrainRequest
from modernet.tasks.start import go_on_from, load_start
from modernet.training.context import RunContext
from modernet.training.run import RunOptions, RunSpec, run_task
from modernet.training.task import HeldOut
from modernet.weights import NetworkSpec, SavedNetwork, StartingWeights

metrics = (
    Metric("miou", "mIoU"),
    Metric("pixel_accuracy", "pixel accuracy"),
    Metric("mean_accuracy", "mean accuracy of the classes"),
)
class_metric = Metric("iou", "IoU")

_MOST_LOGITS = 2**26  # of a batch while many images are measured; one large image may have more


class Segmentation(images.ImageTask):
    """Training of a segmentation network: images `(b, 3, h, w)` -> logits `(b, k, h, w)`."""

    kind: ClassVar[str] = "segmentation"
    metrics: ClassVar[tuple[Metric, ...]] = metrics
    _recipe: SegmentationRecipe

    def weight(self, batch: Batch) -> Tensor | float:
        target: Tensor = batch.targets
        return target.numel() if self._recipe.segmentation.loss_over == "all" else (target != IGNORE).sum()

    def loss(self, network: Callable[..., Any], batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return the cross-entropy, a mean over `weight`, plus that of the auxiliary head times its weight."""
        output, target = network(batch.images), batch.targets.long()
        weight = torch.as_tensor(self.weight(batch)).clamp(min=1)
        if not isinstance(output, TrainingLogits):
            return _entropy(output, target) / weight, {}
        main, auxiliary = (_entropy(logits, target) / weight for logits in output)
        return main + self._recipe.segmentation.auxiliary_weight * auxiliary, {"auxiliary": auxiliary.detach()}

    def evaluate(self, network: nn.Module, split: HeldOut) -> dict[str, float]:
        """Measure whole images at their own size, a share of them in each process.

        Details are the confusion of pixels, and the images with the lowest `Confusion.mean_iou` of their own.
        """
        preparation = self._recipe.images.in_test(self.dataset.preparation)
        batch_size = max(self._recipe.batch_size // self.context.micro_batches, 1)
        images, processes = getattr(self.dataset, split), self.context.processes
        misses = Misses() if split == "test" else None
        confusion, measured = _evaluate(
            network, images, preparation, self.dataset.classes, batch_size, processes, misses=misses
        )
        if misses is not None:
            counts = _as_details(confusion, self.dataset.classes)
            self.details = {"confusion": counts, "misses": misses.gather(processes)}
        return measured


def train_segmenter(
    spec: NetworkSpec,
    dataset: ImageDataset,
    recipe: SegmentationRecipe,
    *,
    seed: int = 0,
    start: StartingWeights | None = None,
    study: Mapping[str, Any] | None = None,
    **run: Unpack[RunOptions],
) -> Record:
    """Train a segmentation network on a backbone; arguments and errors as of `train_classifier`."""
    dataset = images.continued_from(dataset, start)
    if start is not None and _is_segmenter(start):
        recipe = _with_head_of(start, recipe)
    spec = replace(spec, head={"head": recipe.segmentation.head, "width": recipe.segmentation.head_width})
    settings = images.image_settings(spec, dataset, recipe, seed, start=start, study=study)
    settings |= images.network_cost(build_network, spec, dataset)

    def build(context: RunContext) -> Segmentation:
        backbone = spec.build(len(dataset.classes), recipe.drop_path)
        if start is not None and not _is_segmenter(start):
            load_start(start, backbone, new="head")
        segmenter = _segmenter(spec, backbone, len(dataset.classes))
        if start is not None and _is_segmenter(start):
            go_on_from(start, segmenter, spec, dataset.classes, build_network)
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
    return _segmenter(spec, spec.build(num_classes), num_classes)


def check(request: EvaluateRequest | PredictRequest) -> None:
    """As `TaskModule.check`."""
    if isinstance(request, PredictRequest):
        if request.min_score != PredictRequest.min_score:
            raise InputError("--min-score is for detectors; leave it out, or use --top")
        return
    images.check_data(request)
    if request.save_json is not None:
        raise InputError("--save-json writes what a detector finds; leave it out, or use --json > FILE")
    images.refuse_labels(request)


find = images.find_given


def evaluate(saved: SavedNetwork, request: EvaluateRequest) -> Measured:
    """As `TaskModule.evaluate`, with the `iou` of each class that occurs."""
    check(request)
    opened = images.open_for_saved(saved, request, "semantic")
    split = numbered_split(opened, saved.classes)
    network = saved.network.to(request.device)
    confusion, measured = _evaluate(
        network, split, saved.preparation, saved.classes, request.batch_size, inference=request.inference
    )
    per_class = zip(saved.classes, confusion.per_class_iou(), strict=True)
    return Measured(
        images.data_settings(opened),
        measured,
        {name: {"iou": iou} for name, iou in per_class if not math.isnan(iou)},
        {"confusion": _as_details(confusion, saved.classes)},
    )


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

    @property
    def name(self) -> str:
        return self.image

    def lines(self) -> list[str]:
        return [f"{100 * area.share:5.1f} % of the pixels  {area.label}" for area in self.predictions]


@torch.inference_mode()
def predict(saved: SavedNetwork, paths: Sequence[Path], request: PredictRequest) -> Iterator[SegmentedImage]:
    """As `TaskModule.predict`. Everything is of the image's own size.

    `out` receives `NAME.png`, the index of the class of each pixel, and `NAME.overlay.png`, their colours over the
    image.

    Raises:
        InputError: as there, or a drawing would replace an image or another drawing; nothing is predicted then.
    """
    check(request)
    drawn = {} if request.out is None else drawing_files(request.out, paths, [".png", ".overlay.png"])
    for path, image in stored_images(paths, skip_unreadable=request.skip_unreadable):
        answer = _answer(probability_strips(saved.network, image[None], saved.preparation))
        if answer.broken.any():
            raise NonFiniteScores.of(str(path))
        classes = answer.classes[0]
        if request.out is not None:
            label_map, overlay = drawn[path]
            save_label_map(label_map, classes, len(saved.classes))
            save_overlay(overlay, image, classes, len(saved.classes))
        counts = classes.flatten().bincount(minlength=len(saved.classes))
        shares = (counts / counts.sum()).sort(descending=True, stable=True)
        pairs = zip(shares.indices[: request.top].tolist(), shares.values[: request.top].tolist(), strict=True)
        yield SegmentedImage(str(path), [Area(saved.classes[index], share) for index, share in pairs if share])


def _with_head_of(start: StartingWeights, recipe: SegmentationRecipe) -> SegmentationRecipe:
    """Return a recipe with the head of a trained segmenter, whose weights are kept."""
    assert start.trained is not None
    head, width = _head_of(start.trained.spec)
    kept = recipe.replace(head=head, head_width=width)
    if kept != recipe:
        say(f"the run's head is kept: {head} of width {width}")
    return kept


def _as_details(confusion: Confusion, classes: Sequence[str]) -> dict[str, Any]:
    """Return a confusion as a record has it."""
    return {"classes": list(classes), "counts": confusion.counts.tolist()}


def _is_segmenter(start: StartingWeights) -> bool:
    return start.trained is not None and start.trained.task == Segmentation.kind


def _head_of(spec: NetworkSpec) -> tuple[str, int]:
    """Return the kind of head and its width; runs of early versions have not recorded them."""
    return spec.head.get("head", "plain"), spec.head.get("width", 64)


def _segmenter(spec: NetworkSpec, backbone: nn.Module, num_classes: int) -> nn.Module:
    assert isinstance(backbone, Backbone), "every NetworkSpec builds a backbone"
    head, width = _head_of(spec)
    return (UPerNet if head == "upernet" else Segmenter)(backbone, num_classes, width)


def _entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy summed over the pixels whose class is known."""
    return F.cross_entropy(logits, target, ignore_index=IGNORE, reduction="sum")


class _Answer(NamedTuple):
    """What a network says of images of one size.

    Attributes:
        classes: the most probable ones, uint8 (b, h, w).
        loss: cross-entropy, summed over the pixels whose class is known.
        broken: bool (b,), whether a probability is NaN or infinite.
    """

    classes: Tensor
    loss: Tensor
    broken: Tensor


def _answer(strips: Iterable[tuple[slice, Tensor]], target: Tensor | None = None) -> _Answer:
    """Reduce probabilities strip by strip, since those of a large image do not fit into memory."""
    classes, losses, finite = [], [], []
    for rows, probabilities in strips:
        best = probabilities.max(1)  # NaN where any is, as in softmax; several times faster than argmax and isfinite
        classes.append(best.indices.to(torch.uint8))
        finite.append(best.values.isfinite().flatten(1).all(1))
        if target is not None:
            log = probabilities.clamp(min=1e-30).log()
            losses.append(F.nll_loss(log, target[:, rows].long(), ignore_index=IGNORE, reduction="sum").double())
    loss = torch.stack(losses).sum() if losses else torch.zeros(())
    return _Answer(torch.cat(classes, 1), loss, ~torch.stack(finite).all(0))


@torch.inference_mode()
def _evaluate(
    network: nn.Module,
    split: Split,
    preparation: Preparation,
    classes: Sequence[str],
    batch_size: int,
    processes: Processes = ALONE,
    inference: Inference = WHOLE,
    misses: Misses | None = None,
) -> tuple[Confusion, dict[str, float]]:
    """Return the confusion of all pixels, and what is measured; `misses` collects the worst images of this process."""
    was_training, device = network.training, next(network.parameters()).device
    network.eval()
    confusion, sums = Confusion(len(classes), device), torch.zeros(4, dtype=torch.float64, device=device)
    most_pixels = _MOST_LOGITS // len(classes)
    whole = whole_images(split, batch_size, most_pixels, rank=processes.rank, world=processes.world)
    for images_u8, maps, positions in whole:
        target, counts = maps.to(device), torch.tensor([position >= 0 for position in positions], device=device)
        answer = _answer(probability_strips(network, images_u8, preparation, inference, device), target)
        known = (target != IGNORE).sum()
        sums += torch.stack([answer.loss, known, counts.sum(), (answer.broken & counts).sum()])
        confusion.add(answer.classes, target)
        if misses is not None:
            for image, truth, found, position in zip(images_u8, target, answer.classes, positions, strict=True):
                _add_miss(misses, image, truth, found, classes, split, position)
    network.train(was_training)
    confusion.counts, (loss, pixels, n, lost) = processes.sum(confusion.counts), processes.sum(sums).tolist()
    if lost:
        raise NonFiniteScores.of(f"{lost:.0f} of {n:.0f} images")
    measured = {
        "miou": confusion.mean_iou(),
        "pixel_accuracy": confusion.pixel_accuracy(),
        "mean_accuracy": confusion.mean_accuracy(),
        "loss": loss / max(pixels, 1),
        "n": n,
    }
    return confusion, measured


def _add_miss(
    misses: Misses, image_u8: Tensor, truth: Tensor, found: Tensor, names: Sequence[str], split: Split, position: int
) -> None:
    """Add an image, unless all of it is right, or none of its classes is known."""
    own = Confusion(len(names), truth.device)
    own.add(found, truth)
    wrong = own.counts.clone().fill_diagonal_(0)
    if not wrong.any():
        return
    iou, (true, taken_for) = own.mean_iou(), divmod(int(wrong.argmax()), len(names))
    share = 100 * wrong[true, taken_for] / own.counts.sum()
    why = f"mIoU {iou:.1f} %; {names[true]} taken for {names[taken_for]} on {share:.0f} % of its pixels"
    image = short_name(split, position)
    misses.add(iou, position, image, why, lambda: side_by_side(image_u8, truth, found, len(names)))
