"""Self-pretraining of sequence models: predict hidden steps, or each next one, of the task's own training sequences.

Amos et al. 2024 (arXiv 2310.02980): before it learns the classes, a network learns to predict tokens by cross-entropy,
or numbers by their absolute error. Bidirectional models see a sequence with steps hidden, causal ones all steps before.
Its run is a start for classification: `modernet train --recipe sequences --model RUN`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, NoReturn, Unpack

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.counting.parameters import count_parameters
from modernet.data.chance import Stream, generator
from modernet.data.sequences.dataset import SequenceBatch, SequenceDataset
from modernet.data.sequences.loading import SequenceLoader, sequence_loader
from modernet.errors import InputError
from modernet.evaluation.scores import NonFiniteScores
from modernet.recipes import SequencePretrainingRecipe
from modernet.records import Metric, Record
from modernet.sequences.pretraining import SequencePredictor
from modernet.tasks import sequence_runs
from modernet.tasks.registry import EvaluateRequest, Measured, Prediction, PredictRequest, TrainRequest
from modernet.tasks.sequences import in_training
from modernet.training.context import RunContext
from modernet.training.run import RunOptions, RunSpec, run_task
from modernet.training.task import HeldOut, Task
from modernet.weights import NetworkSpec, SavedNetwork, StartingWeights, save_network

metrics = (Metric("accuracy", "accuracy of predicted steps"),)
class_metric = metrics[0]

_NO_CLASSES = "a self-pretrained network has no classes; train them with modernet train --recipe sequences --model RUN"


class HiddenBatch(NamedTuple):
    """A micro-batch with the steps to predict.

    Attributes:
        batch: the sequences.
        hidden: of each tower, bool (b, n), on the device.
    """

    batch: SequenceBatch
    hidden: tuple[Tensor, ...]

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What the network is called with: values, lengths and hidden steps of each tower in turn."""
        towers = zip(self.batch.towers, self.hidden, strict=True)
        return tuple(part for tower, hidden in towers for part in (*tower, hidden))


class HidingLoader:
    """The batches of a loader, with steps hidden at random, the same however a batch is divided: the numbers of a
    sequence are a function of the seed, the epoch and its position alone.

    Args:
        loader: of the sequences.
        share: probability of a step to be hidden; 0 for none.
        seed: of what is hidden.
    """

    def __init__(self, loader: SequenceLoader, share: float, seed: int) -> None:
        self.steps_per_epoch, self.samples_per_epoch = loader.steps_per_epoch, loader.samples_per_epoch
        self.micro_batches_per_step = loader.micro_batches_per_step
        self._loader, self._share, self._seed = loader, share, seed

    def batches(self, epoch: int = 0, first_step: int = 0) -> Iterator[HiddenBatch]:
        for batch in self._loader.batches(epoch, first_step):
            yield HiddenBatch(batch, tuple(self._hide(batch, epoch, index) for index in range(len(batch.towers))))

    def _hide(self, batch: SequenceBatch, epoch: int, tower: int) -> Tensor:
        values = batch.towers[tower].values
        hidden = np.zeros(values.shape[:2], dtype=bool)
        if self._share:
            for row, position in zip(hidden, batch.positions.tolist(), strict=True):
                row[:] = generator(self._seed, Stream.HIDDEN, epoch, position, tower).random(len(row)) < self._share
        return torch.from_numpy(hidden).to(values.device)


class SequencePretraining(Task):
    """Training of a network that predicts tokens.

    Args:
        network: values, lengths and hidden steps of each tower -> the predictions of each.
        spec: how it was built, to save it.
        dataset: the sequences, with their three splits; their classes are not used.
        recipe: how to train.
        seed: of the order of the sequences, and of what is hidden.
    """

    kind: ClassVar[str] = "sequence_pretraining"
    metrics: ClassVar[tuple[Metric, ...]] = metrics
    unit: ClassVar[str] = "sequences"
    network: SequencePredictor

    def __init__(
        self,
        network: SequencePredictor,
        spec: NetworkSpec,
        dataset: SequenceDataset,
        recipe: SequencePretrainingRecipe,
        context: RunContext,
        seed: int = 0,
    ) -> None:
        self.network, self.spec, self.dataset = network, spec, dataset
        self.context, self._recipe = context, recipe
        self._share = 0.0 if network.config.causal else recipe.masked_share
        loader = sequence_loader(
            dataset.train,
            dataset.encoding.inputs,
            batch_size=recipe.batch_size,
            device=context.device,
            seed=seed,
            place=context.place,
            train=True,
        )
        self.batches = HidingLoader(loader, self._share, seed)

    def weight(self, batch: HiddenBatch) -> Tensor:
        return torch.stack([each.sum() for each in self._predicted(batch)]).sum()

    def loss(self, network: Callable[..., Any], batch: HiddenBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return the mean over predicted steps of the cross-entropy, or of the absolute error of numbers."""
        loss, n = self._sums(network(*batch.inputs), batch)[:2]
        return loss / n.clamp(min=1), {}

    def samples(self, batch: HiddenBatch) -> int:
        return len(batch.batch.targets)

    def names(self, batch: HiddenBatch) -> Callable[[], list[str]]:
        return functools.partial(sequence_runs.example_names, self.dataset.train, batch.batch.positions)

    @torch.inference_mode()
    def evaluate(self, network: nn.Module, split: HeldOut) -> dict[str, float]:
        """Measure every example, a share of them in each process, always with the same steps hidden."""
        loader = sequence_runs.held_out_loader(self.dataset, split, self._recipe, self.context)
        was_training = network.training
        network.eval()
        sums = torch.zeros(5, dtype=torch.float64, device=self.context.device)
        for batch in HidingLoader(loader, self._share, seed=0).batches():
            found = torch.stack([each.double() for each in self._sums(network(*batch.inputs), batch)])
            sums += found if batch.batch.counted else 0
        network.train(was_training)
        loss, n, *others = self.context.processes.sum(sums).tolist()
        if not np.isfinite(loss):
            raise NonFiniteScores.of(f"steps of the {split} split")
        return {**self._score(n, *others), "loss": loss / max(n, 1), "n": loader.samples_per_epoch}

    def save(self, folder: Path, network: nn.Module) -> None:
        save_network(folder, network, self.spec, self.dataset.classes, self.dataset.encoding, self.kind)

    def _predicted(self, batch: HiddenBatch) -> list[Tensor]:
        """Return which steps of each tower are predicted, bool (b, n): hidden ones, or of a causal model all but the
        first, and none of padding.
        """
        inputs, chosen = self.dataset.encoding.inputs, []
        for tower, hidden in zip(batch.batch.towers, batch.hidden, strict=True):
            real = inputs.mask(tower.values, tower.lengths)
            if self._share:
                chosen.append(real & hidden)
            else:
                chosen.append(torch.cat([torch.zeros_like(real[:, :1]), real[:, 1:]], 1))
        return chosen

    def _sums(self, predictions: tuple[Tensor, ...], batch: HiddenBatch) -> tuple[Tensor, ...]:
        """Return sums over all predicted steps: the loss, their number, and three that `_score` takes."""
        shift = not self._share  # what a causal model says at a step is about the next one
        answers, truths = [], []
        for output, tower, chosen in zip(predictions, batch.batch.towers, self._predicted(batch), strict=True):
            answers.append(output[:, :-1][chosen[:, 1:]] if shift else output[chosen])
            truths.append(tower.values[:, 1:][chosen[:, 1:]] if shift else tower.values[chosen])
        return self._of_steps(torch.cat(answers), torch.cat(truths))

    def _of_steps(self, answers: Tensor, truths: Tensor) -> tuple[Tensor, ...]:
        loss = F.cross_entropy(answers, truths, reduction="sum")
        right, none = (answers.argmax(1) == truths).sum(), loss.new_zeros(())
        return loss, loss.new_tensor(len(truths)), right, none, none

    def _score(self, n: float, first: float, second: float, third: float) -> dict[str, float]:
        return {"accuracy": 100 * first / max(n, 1)}


class NumberPretraining(SequencePretraining):
    """Training of a network that predicts numbers."""

    metrics: ClassVar[tuple[Metric, ...]] = (Metric("r2", "R² of predicted steps", limits=(None, 100.0)),)

    def _of_steps(self, answers: Tensor, truths: Tensor) -> tuple[Tensor, ...]:
        loss = (answers - truths).abs().mean(1).sum()
        squares = (answers - truths).square().mean(1).sum(), truths.mean(1).sum(), truths.square().mean(1).sum()
        return (loss, loss.new_tensor(len(truths)), *(square.detach() for square in squares))

    def _score(self, n: float, first: float, second: float, third: float) -> dict[str, float]:
        spread = third - second**2 / max(n, 1)
        return {"r2": 100 * (1 - first / spread) if spread > 0 else 0.0}


def pretrain_sequences(
    spec: NetworkSpec,
    dataset: SequenceDataset,
    recipe: SequencePretrainingRecipe,
    *,
    seed: int = 0,
    start: StartingWeights | None = None,
    study: Mapping[str, Any] | None = None,
    **run: Unpack[RunOptions],
) -> Record:
    """Train a sequence model to predict steps of its training sequences; arguments and errors as of `train_sequences`.

    The record's metrics are those of the predicted steps of the test split.
    """
    spec = sequence_runs.with_inputs(spec, dataset)
    settings = sequence_runs.sequence_settings(spec, dataset, recipe, seed, start=start, study=study)
    settings["params"] = count_parameters(lambda: build_network(spec, len(dataset.classes)))
    kind = SequencePretraining if dataset.encoding.inputs.vocabulary is not None else NumberPretraining

    def build(context: RunContext) -> SequencePretraining:
        network = build_network(in_training(spec, recipe), len(dataset.classes))
        if start is not None:
            sequence_runs.load_start(start, network, dataset.encoding, classifier=False, about="prediction")
        return kind(network, spec, dataset, recipe, context, seed)

    return run_task(build, RunSpec(spec.name, recipe, seed, settings), **run)


def prepare(request: TrainRequest) -> Callable[..., Record]:
    """As `TaskModule.prepare`."""
    recipe = request.recipe
    assert isinstance(recipe, SequencePretrainingRecipe)
    spec, start, dataset = sequence_runs.open_request(request)
    return functools.partial(pretrain_sequences, spec, dataset, recipe, seed=request.seed, start=start)


def build_network(spec: NetworkSpec, num_classes: int) -> SequencePredictor:
    """As `TaskModule.build_network`; the number of classes decides nothing."""
    return SequencePredictor(*spec.sequence_parts())


def check(request: EvaluateRequest | PredictRequest) -> NoReturn:
    """As `TaskModule.check`: nothing can be asked of such a network."""
    raise InputError(_NO_CLASSES)


def evaluate(saved: SavedNetwork, request: EvaluateRequest) -> Measured:
    """As `TaskModule.evaluate`."""
    check(request)


def find(given: Sequence[str]) -> Sequence[Any]:
    """As `TaskModule.find`."""
    raise InputError(_NO_CLASSES)


def predict(saved: SavedNetwork, found: Sequence[Any], request: PredictRequest) -> Iterator[Prediction]:
    """As `TaskModule.predict`."""
    check(request)
