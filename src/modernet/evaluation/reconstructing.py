"""Measure how well a masked autoencoder predicts hidden cells, and draw what it predicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import chain

import numpy as np
import torch

from modernet import progress
from modernet.data import ImageDataset, InMemory, OnDisk, OpenedSplit, Place, Split, make_loader, short_name
from modernet.evaluation.misses import small_jpeg
from modernet.evaluation.scores import NonFiniteScores
from modernet.preparation import Preparation
from modernet.pretraining.drawing import drawn_reconstructions
from modernet.pretraining.hiding import MaskedBatch, MaskingLoader
from modernet.pretraining.masked import MaskedAutoencoder, cell_targets, masked_loss
from modernet.processes import ALONE, Processes

HELD_OUT_SEED = 0
"""Seed of what is hidden of images that are not learned from: always the same cells."""
_DRAWN = 8


@torch.inference_mode()
def evaluate_autoencoder(
    network: MaskedAutoencoder,
    loader: MaskingLoader,
    *,
    norm_pixels: bool,
    title: str = "evaluating",
    processes: Processes = ALONE,
) -> dict[str, float]:
    """Measure the pixels of hidden cells, with a network in evaluation mode; it has its mode again afterwards.

    Args:
        loader: without augmentation.
        norm_pixels: as of `cell_targets`.
        title: of the progress bar.
        processes: those that share the images; each has its own loader.

    Returns:
        `loss`, the mean squared error; `r2`, by how much, in per cent, it is below that of answering with the mean
        colour of everything hidden: 100 is perfect, 0 and less no better than that; and `n`, the number of images.

    Raises:
        NonFiniteScores: a prediction is NaN or infinite.
    """
    was_training = network.training
    network.eval()
    sums = torch.zeros(6, dtype=torch.float64, device=next(network.parameters()).device)
    with progress.bar(title, loader.samples_per_epoch) as shown:
        for batch in loader.batches():
            predictions = network(*batch.inputs).float()[: batch.counted]
            hidden = batch.hidden[: batch.counted]
            truth = cell_targets(batch.images[: batch.counted], network.cell, norm_pixels=norm_pixels)[hidden].double()
            errors = predictions[hidden].double() - truth
            numbers = errors.new_tensor(errors.numel())
            parts = [errors.square().sum(), truth.square().sum(), numbers, *truth.reshape(-1, 3).sum(0)]
            sums += torch.stack(parts)
            shown.advance(batch.counted * processes.world)
    network.train(was_training)
    error, squares, n, *colours = processes.sum(sums).tolist()
    if not np.isfinite(error):
        raise NonFiniteScores.of("images with hidden cells")
    spread = squares - sum(colour**2 for colour in colours) / (n / len(colours))
    r2 = 100 * (1 - error / spread) if spread > 0 else 0.0  # images of one colour have none
    return {"r2": r2, "loss": error / n, "n": loader.samples_per_epoch}


def draw_reconstructions(
    network: MaskedAutoencoder,
    data: ImageDataset | OpenedSplit,
    split: Split,
    preparation: Preparation,
    *,
    mask_ratio: float,
    norm_pixels: bool,
    processes: Processes = ALONE,
) -> list[dict[str, str]]:
    """Draw what a network predicts of the first images of a split, for a record's `details`.

    Args:
        data: which the split is of.
        preparation: of the images.

    Returns:
        For each image its name, `image`; its loss, in words, `why`; and the drawing of `drawn_reconstructions` as a
        `jpeg` in base64. Equal in every process.
    """
    device = next(network.parameters()).device
    loader = make_loader(
        data,
        _first(split),
        batch_size=_DRAWN,
        device=device,
        augmentation=None,
        preparation=preparation,
        workers=0,
        place=Place(processes.world, processes.rank, processes.world),
    )
    (batch,) = MaskingLoader(loader, network.cell, mask_ratio, HELD_OUT_SEED).batches()
    name = lambda position: short_name(split, position)  # noqa: E731
    drawn = _drawn(network, batch, name, preparation, norm_pixels=norm_pixels)
    found = sorted(chain.from_iterable(processes.gather(drawn)), key=lambda entry: entry[0])
    return [entry for _, entry in found]


@torch.inference_mode()
def _drawn(
    network: MaskedAutoencoder,
    batch: MaskedBatch,
    name: Callable[[int], str],
    preparation: Preparation,
    *,
    norm_pixels: bool,
) -> list[tuple[int, dict[str, str]]]:
    """Return the position and the entry of each image of a batch."""
    was_training = network.training
    network.eval()
    predictions = network(*batch.inputs).float()
    network.train(was_training)
    images, hidden, cell = batch.images, batch.hidden, network.cell
    pictures = drawn_reconstructions(predictions, images, hidden, cell, preparation, norm_pixels=norm_pixels)
    entries = []
    for row, position in enumerate(batch.positions.tolist()[: batch.counted]):
        one = slice(row, row + 1)
        loss = float(masked_loss(predictions[one], images[one], hidden[one], cell, norm_pixels=norm_pixels))
        entry = {"image": name(position), "why": f"loss {loss:.3f}", "jpeg": small_jpeg(pictures[row])}
        entries.append((position, entry))
    return entries


def _first(split: Split) -> Split:
    """Return the first images of a split."""
    positions = np.arange(min(_DRAWN, len(split)))
    if isinstance(split, InMemory):
        return InMemory(split.images[: len(positions)], split.targets.take(positions))
    assert isinstance(split, OnDisk)
    return replace(split, indices=split.indices[: len(positions)], targets=split.targets.take(positions), shards=None)
