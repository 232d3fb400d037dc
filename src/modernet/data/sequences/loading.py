"""Splits of sequences -> batches on the device, the same in every run.

The order of an epoch is random whatever the lengths: batches of similar lengths would need less padding, but their
gradients would no longer be those of random examples. A micro-batch is padded to its own longest sequence, no further:
padding changes no answer, and a dimension of any size is compiled once.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from modernet.data.loading.plan import EvaluationPlan, MicroBatch, Place, Plan, Positions, TrainingPlan
from modernet.data.ragged import Ragged
from modernet.data.sequences.dataset import SequenceBatch, SequenceSplit, Tower
from modernet.data.sequences.inputs import SequenceInputs
from modernet.errors import InputError


def sequence_loader(
    split: SequenceSplit,
    inputs: SequenceInputs,
    *,
    batch_size: int,
    device: torch.device,
    seed: int = 0,
    place: Place = Place(),  # noqa: B008 - frozen
    train: bool,
) -> SequenceLoader:
    """Serve a split in batches.

    Args:
        split: not empty.
        inputs: what a network sees; longer sequences are cut.
        batch_size: examples in a batch, over all processes, at least 1.
        device: where the batches are wanted.
        seed: of the order.
        place: which micro-batches this process serves. Each training batch is divided into `place.micro_batches`; a
            batch of evaluation has one for each process.
        train: every example once an epoch in a new order, in full batches except the last two (`TrainingPlan`). If not,
            every example once and in order, and the last batch may be short.

    Raises:
        InputError: batch_size is below 1, or a batch has fewer examples than micro-batches.
    """
    assert len(split) > 0, "open_sequences returns no empty split"
    assert len(split.towers) == inputs.towers
    if inputs.vocabulary is None:
        whole = [np.issubdtype(tower.values.dtype, np.integer) and tower.scale == 1 for tower in split.towers]
        assert not any(whole), "pixels are stored with the scale of their encoding"
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size}; give 1 or more")
    plan = TrainingPlan(len(split), batch_size, seed, place) if train else EvaluationPlan(len(split), batch_size, place)
    return SequenceLoader(split, inputs, plan, device)


class SequenceLoader:
    """Batches of sequences, epoch after epoch, as one process sees them; a `modernet.data.Loader` of `SequenceBatch`.

    Attributes:
        steps_per_epoch: batches in an epoch.
        samples_per_epoch: examples in an epoch, over all processes.
        micro_batches_per_step: how many `SequenceBatch`es `batches` yields for each step.
    """

    def __init__(self, split: SequenceSplit, inputs: SequenceInputs, plan: Plan, device: torch.device) -> None:
        self.steps_per_epoch, self.samples_per_epoch = len(plan.sizes), plan.samples
        self.micro_batches_per_step = plan.place.micro_batches // plan.place.world
        self._split, self._inputs, self._plan, self._device = split, inputs, plan, device

    def batches(self, epoch: int = 0, first_step: int = 0) -> Iterator[SequenceBatch]:
        """Yield this process's micro-batches of an epoch, in order, from `first_step` on: what an uninterrupted epoch
        would have given from there.
        """
        for micro_batch in self._plan.epoch(epoch, first_step):
            yield self._batch(micro_batch)

    def _batch(self, micro_batch: MicroBatch) -> SequenceBatch:
        positions = micro_batch.positions
        return SequenceBatch(
            tuple(self._tower(ragged, positions) for ragged in self._split.towers),
            torch.from_numpy(self._split.labels[positions]).to(self._device),
            torch.from_numpy(positions),
            len(positions) if micro_batch.counts else 0,
        )

    def _tower(self, ragged: Ragged, positions: Positions) -> Tower:
        values, lengths = pad(ragged, positions, self._inputs.max_length)
        overlap = self._device.type == "cuda"  # copies from pinned memory overlap with what the device computes
        stored = (values.pin_memory() if overlap else values).to(self._device, non_blocking=overlap)
        return Tower(_seen(stored, lengths, ragged, self._inputs), lengths.to(self._device))


def pad(ragged: Ragged, positions: Positions, max_length: int) -> tuple[Tensor, Tensor]:
    """Put some sequences next to each other as they are stored, cut at `max_length`, with zeros after each.

    Returns:
        (b, n) or (b, n, channels) with n the longest of them, and their lengths, int64 (b,).
    """
    starts = ragged.offsets[positions]
    lengths = np.minimum(ragged.offsets[positions + 1] - starts, max_length)
    values = np.zeros((len(positions), lengths.max(), *ragged.values.shape[1:]), ragged.values.dtype)
    for row, start, length in zip(values, starts.tolist(), lengths.tolist(), strict=True):
        row[:length] = ragged.values[start : start + length]
    return torch.from_numpy(values), torch.from_numpy(lengths)


def _seen(stored: Tensor, lengths: Tensor, ragged: Ragged, inputs: SequenceInputs) -> Tensor:
    """Return what a network sees of padded sequences, on their device."""
    if inputs.vocabulary is not None:
        return stored.long()
    values = stored.float().mul_(ragged.scale).add_(ragged.shift)
    if ragged.shift:
        padding = torch.arange(values.shape[1]) >= lengths[:, None]
        values.masked_fill_(padding[..., None].to(values.device), 0)
    return values
