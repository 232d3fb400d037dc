"""Pre-training with masked images: hide cells, predict their pixels. No labels are used.

MAE for Vision Transformers (He et al. 2021, arXiv 2111.06377), FCMAE for ConvNeXt (Woo et al. 2023, arXiv 2301.00808).
A run is a start for the tasks that have labels: `modernet train --model RUN`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Unpack, cast

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from modernet.data import ImageDataset, Loader, UnreadableImage, make_loader
from modernet.data.images.decoding import read_view
from modernet.data.images.views import central_view
from modernet.errors import InputError
from modernet.evaluation.drawings import drawing_files
from modernet.evaluation.reconstructing import HELD_OUT_SEED, draw_reconstructions, evaluate_autoencoder
from modernet.evaluation.scores import NonFiniteScores
from modernet.evaluation.segmenting import WHOLE
from modernet.machine.device import default_device
from modernet.models import get_entry
from modernet.models.vit import ViTConfig
from modernet.pretraining.build import masked_autoencoder
from modernet.pretraining.drawing import drawn_reconstructions, save_picture
from modernet.pretraining.hiding import MaskedBatch, MaskingLoader, count_cells, hidden_cells
from modernet.pretraining.masked import MaskedAutoencoder, masked_loss
from modernet.progress import say, track
from modernet.recipes import PretrainingRecipe
from modernet.records import Metric, Record
from modernet.tasks import images
from modernet.tasks.registry import EvaluateRequest, Measured, PredictRequest, TrainRequest
from modernet.tasks.start import is_pretraining, load_start, misfit
from modernet.training.context import RunContext
from modernet.training.run import RunOptions, RunSpec, run_task
from modernet.training.task import HeldOut
from modernet.weights import NetworkSpec, SavedNetwork, StartingWeights, read_foreign_weights
from modernet.weights.loading import load_file

metrics = (Metric("r2", "R² of hidden pixels", limits=(None, 100.0)),)
"""The loss, which is measured as well, depends on the images and on `norm_pixels`; this says the same in per cent."""
class_metric = metrics[0]


class Pretraining(images.ImageTask):
    """Training of a masked autoencoder: images `(b, 3, h, w)` and hidden cells -> predictions of all cells."""

    kind: ClassVar[str] = "pretraining"
    metrics: ClassVar[tuple[Metric, ...]] = metrics
    network: MaskedAutoencoder
    _recipe: PretrainingRecipe

    def __init__(
        self,
        network: MaskedAutoencoder,
        spec: NetworkSpec,
        dataset: ImageDataset,
        recipe: PretrainingRecipe,
        context: RunContext,
        seed: int = 0,
    ) -> None:
        super().__init__(network, spec, dataset, recipe, context, seed)
        self.batches = MaskingLoader(cast(Loader, self.batches), network.cell, recipe.mask_ratio, seed)

    def weight(self, batch: MaskedBatch) -> float:
        return len(batch.images)  # as many cells are hidden of each

    def loss(self, network: Callable[..., Any], batch: MaskedBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        predictions = network(*batch.inputs)
        cell, norm_pixels = self.network.cell, self._recipe.norm_pixels
        return masked_loss(predictions, batch.images, batch.hidden, cell, norm_pixels=norm_pixels), {}

    def evaluate(self, network: nn.Module, split: HeldOut) -> dict[str, float]:
        """Measure hidden cells, always the same ones. Details are drawings of the first validation images."""
        assert isinstance(network, MaskedAutoencoder)
        recipe, processes = self._recipe, self.context.processes
        loader = MaskingLoader(self.held_out(split), network.cell, recipe.mask_ratio, HELD_OUT_SEED)
        title = "validating" if split == "validation" else "testing"
        measured = evaluate_autoencoder(
            network, loader, norm_pixels=recipe.norm_pixels, title=title, processes=processes
        )
        if split == "test":
            drawn = draw_reconstructions(
                network,
                self.dataset,
                self.dataset.validation,
                recipe.images.in_test(self.dataset.preparation),
                mask_ratio=recipe.mask_ratio,
                norm_pixels=recipe.norm_pixels,
                processes=processes,
            )
            self.details = {"reconstructions": {"split": "validation", **_values(recipe), "images": drawn}}
        return measured


def pretrain(
    spec: NetworkSpec,
    dataset: ImageDataset,
    recipe: PretrainingRecipe,
    *,
    seed: int = 0,
    start: StartingWeights | None = None,
    study: Mapping[str, Any] | None = None,
    **run: Unpack[RunOptions],
) -> Record:
    """Train a backbone to predict hidden cells of images; arguments and errors as of `train_classifier`.

    Args:
        start: the run of such a training goes on, with its decoder; other weights begin the backbone.

    Raises:
        InputError: also if the backbone has no masked autoencoder, or the images cannot be divided into its cells.
    """
    dataset = images.continued_from(dataset, start)
    if start is not None and is_pretraining(start):
        recipe = _with_decoder_of(start, recipe)
    decoder = {"decoder_dim": recipe.decoder_dim, "decoder_depth": recipe.decoder_depth}
    spec = replace(_for_images(spec, dataset), head={**decoder, **_values(recipe)})
    settings = images.image_settings(spec, dataset, recipe, seed, start=start, study=study)
    settings |= _cost(spec, dataset, recipe)

    def build(context: RunContext) -> Pretraining:
        network = build_network(spec, 0)
        if start is not None and is_pretraining(start):
            _go_on_from(start, network)
        elif start is not None:
            load_start(start, network.encoder, new="decoder")
        return Pretraining(network, spec, dataset, recipe, context, seed)

    return run_task(build, RunSpec(spec.name, recipe, seed, settings), **run)


def prepare(request: TrainRequest) -> Callable[..., Record]:
    """As `TaskModule.prepare`."""
    recipe = request.recipe
    assert isinstance(recipe, PretrainingRecipe)
    spec, start, dataset = images.open_request(request, recipe, "none")
    return functools.partial(pretrain, spec, dataset, recipe, seed=request.seed, start=start)


def build_network(spec: NetworkSpec, num_classes: int) -> MaskedAutoencoder:
    """As `TaskModule.build_network`; the number of classes decides nothing."""
    decoder = {name: spec.head[name] for name in ("decoder_dim", "decoder_depth")}
    return masked_autoencoder(spec.build(0), **decoder)


def check(request: EvaluateRequest | PredictRequest) -> None:
    """As `TaskModule.check`."""
    if isinstance(request, PredictRequest):
        if request.min_score != PredictRequest.min_score:
            raise InputError("--min-score is for detectors; leave it out")
        if request.top != PredictRequest.top:
            raise InputError("hidden pixels are predicted, and no classes; leave out --top")
        return
    images.check_data(request)
    images.refuse_labels(request)
    if request.inference != WHOLE:
        raise InputError("--window, --scales and --flip are for segmenters; leave them out")
    if request.save_json is not None:
        raise InputError("--save-json writes what a detector finds; leave it out, or use --json > FILE")


find = images.find_given


def evaluate(saved: SavedNetwork, request: EvaluateRequest) -> Measured:
    """As `TaskModule.evaluate`, with the cells hidden that the test of the run has hidden."""
    check(request)
    opened = images.open_for_saved(saved, request, "none")
    network, head = _network_of(saved).to(request.device), saved.spec.head
    loader = make_loader(
        opened,
        opened.split,
        batch_size=request.batch_size,
        device=request.device,
        augmentation=None,
        preparation=saved.preparation,
    )
    masking = MaskingLoader(loader, network.cell, head["mask_ratio"], HELD_OUT_SEED)
    measured = evaluate_autoencoder(network, masking, norm_pixels=head["norm_pixels"])
    values = {name: head[name] for name in ("mask_ratio", "norm_pixels")}
    drawn = draw_reconstructions(network, opened, opened.split, saved.preparation, **values)
    details = {"reconstructions": {"split": request.split, **values, "images": drawn}}
    return Measured(images.data_settings(opened), measured, details=details)


@dataclass(frozen=True)
class ReconstructedImage:
    """How well the hidden cells of an image are predicted."""

    image: str
    loss: float
    """Mean squared error of their pixels; of normalised ones, 1 is no better than the mean of each cell."""

    @property
    def name(self) -> str:
        return self.image

    def lines(self) -> list[str]:
        return [f"loss {self.loss:.3f}"]


@torch.inference_mode()
def predict(saved: SavedNetwork, paths: Sequence[Path], request: PredictRequest) -> Iterator[ReconstructedImage]:
    """As `TaskModule.predict`; of every image the same cells are hidden.

    `out` receives `NAME.png`, what `drawn_reconstructions` draws.
    """
    check(request)
    drawn = {} if request.out is None else drawing_files(request.out, paths, [".png"])
    device, head, preparation = default_device(), saved.spec.head, saved.preparation
    network, norm_pixels = _network_of(saved).to(device), head["norm_pixels"]
    cells = count_cells(preparation.size, network.cell, head["mask_ratio"])
    hidden = hidden_cells([0], cells, head["mask_ratio"], HELD_OUT_SEED).to(device)
    choose = functools.partial(central_view, size=preparation.size, crop=preparation.crop)
    for path in track(paths, "predicting", len(paths)):
        try:
            pixels, _ = read_view(path, choose, preparation.interpolation)
        except UnreadableImage as error:
            if not request.skip_unreadable:
                raise
            say(f"skipped: {error}")
            continue
        shown = preparation.normalise(pixels[None].to(device))
        predictions = network(shown, hidden).float()
        loss = masked_loss(predictions, shown, hidden, network.cell, norm_pixels=norm_pixels)
        if not loss.isfinite():
            raise NonFiniteScores.of(str(path))
        if request.out is not None:
            (picture,) = drawn_reconstructions(
                predictions, shown, hidden, network.cell, preparation, norm_pixels=norm_pixels
            )
            save_picture(drawn[path][0], picture)
        yield ReconstructedImage(str(path), float(loss))


def _network_of(saved: SavedNetwork) -> MaskedAutoencoder:
    assert isinstance(saved.network, MaskedAutoencoder), "build_network makes no other"
    return saved.network


def _values(recipe: PretrainingRecipe) -> dict[str, Any]:
    """Return what a network's predictions are to be compared with."""
    return {"mask_ratio": recipe.mask_ratio, "norm_pixels": recipe.norm_pixels}


def _for_images(spec: NetworkSpec, dataset: ImageDataset) -> NetworkSpec:
    """Return the spec of a network whose position embeddings, if it has any, are made for images of the data's size.

    A ViT gets the norm of all tokens, also where it starts from one that averages its patches.
    """
    if spec.kind != "model":
        return spec
    config, side = get_entry(spec.name).config, dataset.image_size
    if not isinstance(config, ViTConfig):
        return spec
    fields = {name: value for name, value in spec.fields.items() if name != "global_pool"}
    if isinstance(side, int):
        fields.pop("image_size", None)
        fields |= {} if side == config.image_size else {"image_size": side}
    return replace(spec, fields=fields)


def _with_decoder_of(start: StartingWeights, recipe: PretrainingRecipe) -> PretrainingRecipe:
    """Return a recipe with the decoder of a run, whose weights are kept."""
    assert start.trained is not None
    kept = {name: start.trained.spec.head[name] for name in ("decoder_dim", "decoder_depth")}
    if recipe.replace(**kept) != recipe:
        say(f"the run's decoder is kept: {kept['decoder_depth']} blocks of {kept['decoder_dim']} channels")
    return recipe.replace(**kept)


def _go_on_from(start: StartingWeights, network: MaskedAutoencoder) -> None:
    """Load the weights of a run, to train them on.

    Raises:
        InputError: they do not fit.
    """
    try:
        load_file(network, read_foreign_weights(start.path), resample=True)
    except InputError as error:
        raise misfit(start, error) from error
    say(f"starting from the run {start.path.parent}; the decoder is kept")


def _cost(spec: NetworkSpec, dataset: ImageDataset, recipe: PretrainingRecipe) -> dict[str, int]:
    """Return parameters and MACs of one training image, for a record's settings.

    Raises:
        InputError: the images, in training or in the test, cannot be divided into the cells of the network.
    """
    with torch.device("meta"):
        network = build_network(spec, 0)
    size = recipe.images.in_training(dataset.preparation).size
    cells = count_cells(size, network.cell, recipe.mask_ratio)
    count_cells(recipe.images.in_test(dataset.preparation).size, network.cell, recipe.mask_ratio, "--test-size")
    hidden = hidden_cells([0], cells, recipe.mask_ratio, HELD_OUT_SEED)
    network.to_empty(device="cpu")  # how much is computed depends on values of `hidden`, and not on those of weights
    with torch.no_grad(), FlopCounterMode(display=False) as flops:
        network.eval()(torch.zeros(1, 3, *size), hidden)
    return {"params": sum(each.numel() for each in network.parameters()), "macs": flops.get_total_flops() // 2}
