"""Object detection: Mask R-CNN or Cascade Mask R-CNN on a backbone, average precision of boxes and masks."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Unpack

import numpy as np
import torch
from torch import Tensor, nn

from modernet import evaluation, progress
from modernet.data import Batch, BoxTargets, ImageDataset, Split, short_name
from modernet.data.loading.whole import each_image, stored_image
from modernet.detection import RCNN, RCNNConfig, cascade_mask_rcnn, mask_rcnn
from modernet.detection.drawing import draw_miss
from modernet.detection.fixed_work import FixedWork
from modernet.detection.padding import padded_size
from modernet.errors import InputError
from modernet.evaluation.average_precision import AveragePrecision, Precision
from modernet.evaluation.average_precision import metrics as metrics_of
from modernet.evaluation.detecting import detect
from modernet.evaluation.misses import MOST_PIXELS, small_jpeg
from modernet.evaluation.predicted_objects import DetectedImage, DetectionWriter
from modernet.evaluation.scores import NonFiniteScores
from modernet.evaluation.segmenting import WHOLE
from modernet.models import Backbone
from modernet.preparation import Preparation
from modernet.processes import ALONE, Processes
from modernet.recipes.detection import DetectionRecipe
from modernet.records import Metric, Record
from modernet.tasks import images
from modernet.tasks.registry import EvaluateRequest, Measured, PredictRequest, TrainRequest
from modernet.tasks.start import go_on_from, load_start
from modernet.training.context import RunContext
from modernet.training.run import RunOptions, RunSpec, run_task
from modernet.training.task import HeldOut
from modernet.weights import NetworkSpec, SavedNetwork, StartingWeights

metrics = metrics_of(masks=True)
class_metric = metrics[0]
_CONFIGS: Mapping[str, Callable[..., RCNNConfig]] = {"mask_rcnn": mask_rcnn, "cascade_mask_rcnn": cascade_mask_rcnn}
_MOST = 8  # images in a batch of evaluation
_MOST_MISSES = 12


class Detection(images.ImageTask):
    """Training of a detector: images `(b, 3, h, w)` -> the boxes, classes and masks of what is in them."""

    kind: ClassVar[str] = "detection"
    network: RCNN
    metrics: ClassVar[tuple[Metric, ...]] = metrics
    _recipe: DetectionRecipe

    def __init__(
        self,
        network: RCNN,
        spec: NetworkSpec,
        dataset: ImageDataset,
        recipe: DetectionRecipe,
        context: RunContext,
        seed: int = 0,
    ) -> None:
        super().__init__(network, spec, dataset, recipe, context, seed)
        # to find objects takes longer than to learn from an image: of ten images learned from, at most one is measured
        self.evaluate_every = max(round(10 * len(dataset.validation) / len(dataset.train)), 1)

    def weight(self, batch: Batch) -> float:
        return len(batch.images)

    def loss(self, network: Callable[..., Any], batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return the sum of the parts of `RCNN.losses`, each a mean over the images, and the parts."""
        sizes = [(h, w) for h, w in batch.targets.sizes.tolist()]
        parts = network(batch.images, sizes, batch.targets)
        return torch.stack(list(parts.values())).sum(), {name: part.detach() for name, part in parts.items()}

    def evaluate(self, network: nn.Module, split: HeldOut) -> dict[str, float]:
        """Measure whole images, a share of them in each process.

        Details are the curves and the confusion of `Precision`, and the images with most mistakes.
        """
        assert isinstance(network, RCNN)
        preparation = self._recipe.images.in_test(self.dataset.preparation)
        data, classes = getattr(self.dataset, split), self.dataset.classes
        measured = _find(network, data, classes, preparation, self.context.processes).measure()
        if split == "test":
            self.details = _details(network, data, classes, preparation, measured)
        return {**measured.metrics, "n": len(data)}


def train_detector(
    spec: NetworkSpec,
    dataset: ImageDataset,
    recipe: DetectionRecipe,
    *,
    seed: int = 0,
    start: StartingWeights | None = None,
    study: Mapping[str, Any] | None = None,
    **run: Unpack[RunOptions],
) -> Record:
    """Train a detector on a backbone; arguments and errors as of `train_classifier`."""
    dataset = images.continued_from(dataset, start)
    if start is not None and _is_detector(start):
        recipe = _with_head_of(start, recipe)
    spec = replace(spec, head=_head(recipe, dataset))
    preparation = recipe.images.in_training(dataset.preparation)
    settings = images.image_settings(spec, dataset, recipe, seed, start=start, study=study)
    settings["data"] |= _facts(dataset.train.targets)
    settings |= images.network_cost(_fixed_work, spec, dataset, padded_size(preparation.size))

    def build(context: RunContext) -> Detection:
        backbone = spec.build(len(dataset.classes), recipe.drop_path)
        if start is not None and not _is_detector(start):
            load_start(start, backbone, new="rest of the detector")
        detector = _detector(spec, backbone, len(dataset.classes))
        if start is not None and _is_detector(start):
            go_on_from(start, detector, spec, dataset.classes, build_network, optional="roi_heads.mask_heads")
        detector.config = detector.roi_heads.config = replace(detector.config, sampled=recipe.detection.sampled)
        return Detection(detector, spec, dataset, recipe, context, seed)

    return run_task(build, RunSpec(spec.name, recipe, seed, settings), **run)


def prepare(request: TrainRequest) -> Callable[..., Record]:
    """As `TaskModule.prepare`."""
    recipe = request.recipe
    assert isinstance(recipe, DetectionRecipe)
    spec, start, dataset = images.open_request(request, recipe, "boxes")
    return functools.partial(train_detector, spec, dataset, recipe, seed=request.seed, start=start)


def build_network(spec: NetworkSpec, num_classes: int) -> RCNN:
    """As `TaskModule.build_network`."""
    return _detector(spec, spec.build(num_classes), num_classes)


def check(request: EvaluateRequest | PredictRequest) -> None:
    """As `TaskModule.check`."""
    if isinstance(request, PredictRequest):
        if request.top != PredictRequest.top:
            raise InputError("a detector returns every object; leave out --top, or use --min-score")
        return
    images.check_data(request)
    if request.inference != WHOLE:
        raise InputError("a detector sees whole images; leave out --window, --scales and --flip")
    images.refuse_labels(request)


find = images.find_given


def evaluate(saved: SavedNetwork, request: EvaluateRequest) -> Measured:
    """As `TaskModule.evaluate`, with `box_ap` and `mask_ap` of each class that occurs.

    With `save_json`, what was found is written there as COCO result files, with the ids of the data set.
    """
    check(request)
    opened = images.open_for_saved(saved, request, "boxes")
    split = evaluation.numbered_split(opened, saved.classes)
    network = _network_of(saved).to(request.device)
    found = _find(network, split, saved.classes, saved.preparation, batch_size=request.batch_size)
    if request.save_json is not None:
        for path in found.write_json(request.save_json):
            progress.say(f"written: {path}")
    measured = found.measure()
    details = {"confusion": measured.confusion, "precision_recall": measured.precision_recall}
    return Measured(images.data_settings(opened), {**measured.metrics, "n": len(split)}, measured.per_class, details)


def predict(saved: SavedNetwork, paths: Sequence[Path], request: PredictRequest) -> Iterator[DetectedImage]:
    """As `TaskModule.predict`, with every object whose score is above 0.05.

    `out` receives `NAME.png`, the image with what has a score of `min_score` or more, and `detections.json`, all of it
    in COCO's format.
    """
    check(request)
    network = _network_of(saved)
    ids = saved.spec.head.get("category_ids", range(1, len(saved.classes) + 1))
    writer = None if request.out is None else DetectionWriter(request.out, paths, saved.classes, ids)
    for path, image in evaluation.stored_images(paths, skip_unreadable=request.skip_unreadable):
        (objects,) = detect(network, [image], saved.preparation)
        h, w = image.shape[1:]
        found = DetectedImage.of(str(path), objects, (h, w), saved.classes, request.min_score)
        if writer is not None:
            writer.add(path, image, objects, found)
        yield found
    if writer is not None:
        writer.write()


def _with_head_of(start: StartingWeights, recipe: DetectionRecipe) -> DetectionRecipe:
    """Return a recipe with the heads of a trained detector, whose weights are kept."""
    assert start.trained is not None
    head = start.trained.spec.head
    kept = recipe.replace(detector=head["detector"], head_width=head["width"], head_hidden=head["hidden"])
    if kept != recipe:
        progress.say(f"the run's detector is kept: {head['detector']} of width {head['width']}")
    return kept


def _head(recipe: DetectionRecipe, dataset: ImageDataset) -> dict[str, Any]:
    """Return what is put on the backbone."""
    targets = dataset.train.targets
    assert isinstance(targets, BoxTargets)
    known = bool((targets.mask_of >= 0).any()) and targets.masks is not None
    wanted = recipe.detection
    masks = wanted.masks and known
    if wanted.masks and not known:
        progress.say(f"{dataset.name} has boxes only: the detector learns no masks")
    head: dict[str, Any] = {
        "detector": wanted.detector,
        "masks": masks,
        "width": wanted.head_width,
        "hidden": wanted.head_hidden,
    }
    ids = list(targets.category_ids)
    return head if ids == list(range(1, len(ids) + 1)) else {**head, "category_ids": ids}


def _facts(targets: Any) -> dict[str, int]:
    """Return what a record says of the training boxes."""
    empty = int((targets.offsets[1:] == targets.offsets[:-1]).sum())
    return {
        "train_objects": int((~targets.crowd).sum()),
        "train_crowds": int(targets.crowd.sum()),
        "train_images_without_objects": empty,
    }


def _is_detector(start: StartingWeights) -> bool:
    return start.trained is not None and start.trained.task == Detection.kind


def _detector(spec: NetworkSpec, backbone: nn.Module, num_classes: int) -> RCNN:
    assert isinstance(backbone, Backbone), "every NetworkSpec builds a backbone"
    head = spec.head
    config = _CONFIGS[head["detector"]]
    return RCNN(backbone, config(num_classes, masks=head["masks"], width=head["width"], hidden=head["hidden"]))


def _fixed_work(spec: NetworkSpec, num_classes: int) -> FixedWork:
    return FixedWork(build_network(spec, num_classes))


def _network_of(saved: SavedNetwork) -> RCNN:
    """Return the detector of a run.

    Raises:
        NonFiniteScores: a weight is NaN or infinite: it would find nothing, without a word.
    """
    network = saved.network
    assert isinstance(network, RCNN)
    if not all(bool(value.isfinite().all()) for value in network.state_dict().values()):
        raise NonFiniteScores.of("every image")
    return network


def _details(
    network: RCNN, split: Split, classes: Sequence[str], preparation: Preparation, measured: Precision
) -> dict[str, Any]:
    """Return what a record keeps of a test; the images with most mistakes are looked at once more, and drawn."""
    targets = split.targets
    assert isinstance(targets, BoxTargets)
    was_training = network.training
    network.eval()
    position_of = {int(number): position for position, number in enumerate(targets.image_ids)}
    misses = []
    for mistakes in measured.mistakes[:_MOST_MISSES]:
        position = position_of[mistakes.image_id]
        image = stored_image(split, position)
        (found,) = detect(network, [image], preparation, next(network.parameters()).device)
        drawing = draw_miss(image, found, targets.take(np.array([position])), classes, most_pixels=MOST_PIXELS)
        misses.append({"image": short_name(split, position), "why": str(mistakes), "jpeg": small_jpeg(drawing)})
    network.train(was_training)
    return {"confusion": measured.confusion, "precision_recall": measured.precision_recall, "misses": misses}


def _find(
    network: RCNN,
    split: Split,
    classes: Sequence[str],
    preparation: Preparation,
    processes: Processes = ALONE,
    batch_size: int = _MOST,
) -> AveragePrecision:
    """Run a detector on every image of a split, a share of them in each process."""
    was_training, device = network.training, next(network.parameters()).device
    network.eval()
    targets = split.targets
    assert isinstance(targets, BoxTargets)
    found = AveragePrecision(classes, targets.category_ids, network.config.masks)
    stored = each_image(split, rank=processes.rank, world=processes.world)
    # a network whose weights are shared among processes needs all of them at each batch: one image, one batch
    most = min(batch_size, _MOST) if processes.alone else 1
    with progress.bar("evaluating", len(split)) as shown:
        while batch := list(itertools.islice(stored, most)):
            objects = detect(network, [image for _, image in batch], preparation, device)
            for (position, image), own in zip(batch, objects, strict=True):
                if position < len(split):
                    truth = targets.take(np.array([position]))
                    found.add(int(truth.image_ids[0]), (image.shape[1], image.shape[2]), own, truth)
            shown.advance(len(batch) * processes.world)
    network.train(was_training)
    found.gather(processes)
    return found
