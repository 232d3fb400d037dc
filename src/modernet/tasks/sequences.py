"""Classification of sequences: tokens or numbers, one sequence an example or two."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Unpack

from torch import Tensor, nn
from torch.nn import functional as F

from modernet.counting.parameters import count_parameters
from modernet.data.sequences.dataset import SequenceBatch, SequenceDataset
from modernet.data.sequences.examples import Example, find_examples
from modernet.data.sequences.fingerprint import sequence_fingerprint
from modernet.data.sequences.loading import sequence_loader
from modernet.data.sequences.opening import open_sequences
from modernet.data.sequences.recoding import recoded
from modernet.evaluation.class_counts import ClassifiedExample
from modernet.evaluation.sequences import classify_each, measure_sequences, numbered_sequences
from modernet.machine.device import default_device
from modernet.recipes import SequenceRecipe
from modernet.records import Metric, Record
from modernet.statistics import wilson_interval
from modernet.tasks import sequence_runs
from modernet.tasks.input_kinds import check_no_image_options
from modernet.tasks.registry import EvaluateRequest, Measured, PredictRequest, TrainRequest, check_classifying
from modernet.training.context import RunContext
from modernet.training.run import RunOptions, RunSpec, run_task
from modernet.training.task import HeldOut, Task
from modernet.weights import NetworkSpec, SavedNetwork, StartingWeights, save_network

metrics = (Metric("accuracy", "accuracy"),)
class_metric = metrics[0]


class SequenceClassification(Task):
    """Training of a classifier of sequences.

    Args:
        network: values and lengths of each tower -> logits `(b, k)`.
        spec: how it was built, to save it.
        dataset: the sequences, with their three splits.
        recipe: how to train.
        seed: of the order of the sequences.
    """

    kind: ClassVar[str] = "sequences"
    metrics: ClassVar[tuple[Metric, ...]] = metrics
    unit: ClassVar[str] = "sequences"

    def __init__(
        self,
        network: nn.Module,
        spec: NetworkSpec,
        dataset: SequenceDataset,
        recipe: SequenceRecipe,
        context: RunContext,
        seed: int = 0,
    ) -> None:
        self.network, self.spec, self.dataset = network, spec, dataset
        self.context, self._recipe = context, recipe
        self.batches = sequence_loader(
            dataset.train,
            dataset.encoding.inputs,
            batch_size=recipe.batch_size,
            device=context.device,
            seed=seed,
            place=context.place,
            train=True,
        )

    def weight(self, batch: SequenceBatch) -> float:
        return len(batch.targets)

    def loss(self, network: Callable[..., Any], batch: SequenceBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        logits = network(*batch.inputs)
        right = logits.detach().argmax(1) == batch.targets
        return F.cross_entropy(logits, batch.targets), {"accuracy": 100 * right.float().mean()}

    def samples(self, batch: SequenceBatch) -> int:
        return len(batch.targets)

    def names(self, batch: SequenceBatch) -> Callable[[], list[str]]:
        return functools.partial(sequence_runs.example_names, self.dataset.train, batch.positions)

    def evaluate(self, network: nn.Module, split: HeldOut) -> dict[str, float]:
        """Measure every example, a share of them in each process. Details are the confusion of classes."""
        loader = sequence_runs.held_out_loader(self.dataset, split, self._recipe, self.context)
        title = "validating" if split == "validation" else "testing"
        counts, measured = measure_sequences(network, loader, len(self.dataset.classes), title, self.context.processes)
        if split == "test":
            self.details = {"confusion": _as_details(counts, self.dataset.classes)}
        return measured

    def save(self, folder: Path, network: nn.Module) -> None:
        save_network(folder, network, self.spec, self.dataset.classes, self.dataset.encoding, self.kind)


def train_sequences(
    spec: NetworkSpec,
    dataset: SequenceDataset,
    recipe: SequenceRecipe,
    *,
    seed: int = 0,
    start: StartingWeights | None = None,
    study: Mapping[str, Any] | None = None,
    **run: Unpack[RunOptions],
) -> Record:
    """Train a classifier of sequences, test it, and leave its weights and its record in a folder.

    Args:
        spec: the network, of kind `"sequence"`.
        dataset: the sequences, with their three splits.
        recipe: how to train.
        seed: of the initial weights, the order of the sequences, and all noise.
        start: the weights of a finished run to start from, of classification or self-pretraining, except for the
            classifier; that is kept only where it is of the same classes in their order.
        study: the place of the run in its study, for the record's settings.
        run: `folder` and the other arguments of `run_task`.

    Raises:
        InputError: there is no such network, or the weights to start from do not fit; and what `run_task` raises.

    >>> from modernet.data.sequences.opening import open_sequences
    >>> train_sequences(
    ...     NetworkSpec("sequence", "s4d_lin", {}), open_sequences("listops-nano"), get_recipe("sequences_nano"),
    ...     folder="runs/listops",
    ... )  # doctest: +SKIP
    """
    spec = sequence_runs.with_inputs(spec, dataset)
    kept = _keeps_classifier(start, dataset.classes)
    settings = sequence_runs.sequence_settings(
        spec, dataset, recipe, seed, start=start, classifier_kept=kept, study=study
    )
    settings["params"] = count_parameters(lambda: build_network(spec, len(dataset.classes)))

    def build(context: RunContext) -> SequenceClassification:
        network = build_network(in_training(spec, recipe), len(dataset.classes))
        if start is not None:
            sequence_runs.load_start(start, network, dataset.encoding, classifier=kept)
        return SequenceClassification(network, spec, dataset, recipe, context, seed)

    return run_task(build, RunSpec(spec.name, recipe, seed, settings), **run)


def in_training(spec: NetworkSpec, recipe: SequenceRecipe) -> NetworkSpec:
    """Return the spec with the dropout of a recipe, unless it has its own."""
    rates = {"dropout": recipe.dropout, "attention_dropout": recipe.attention_dropout}
    return replace(spec, fields={name: rate for name, rate in rates.items() if rate is not None} | spec.fields)


def prepare(request: TrainRequest) -> Callable[..., Record]:
    """As `TaskModule.prepare`."""
    recipe = request.recipe
    assert isinstance(recipe, SequenceRecipe)
    spec, start, dataset = sequence_runs.open_request(request)
    return functools.partial(train_sequences, spec, dataset, recipe, seed=request.seed, start=start)


def build_network(spec: NetworkSpec, num_classes: int) -> nn.Module:
    """As `TaskModule.build_network`."""
    return spec.build(num_classes)


def check(request: EvaluateRequest | PredictRequest) -> None:
    """As `TaskModule.check`."""
    if isinstance(request, PredictRequest):
        check_classifying(request)
    else:
        check_no_image_options(request, "a sequence", "sequences")


def evaluate(saved: SavedNetwork, request: EvaluateRequest) -> Measured:
    """As `TaskModule.evaluate`, with the interval of the accuracy as of independent examples, and the `accuracy` of
    each class that occurs.
    """
    check(request)
    assert isinstance(request.data, str)
    opened = open_sequences(request.data, skip_unreadable=request.skip_unreadable)
    encoding = sequence_runs.encoding_of(saved)
    dataset = recoded(opened, encoding)
    split = numbered_sequences(getattr(dataset, request.split), dataset.classes, saved.classes)
    loader = sequence_loader(split, encoding.inputs, batch_size=request.batch_size, device=request.device, train=False)
    counts, measured = measure_sequences(saved.network.to(request.device), loader, len(saved.classes), "evaluating")
    ends = wilson_interval(measured["accuracy"] / 100, measured["n"])
    measured |= {"accuracy_low": 100 * ends.low, "accuracy_high": 100 * ends.high}
    rows = zip(saved.classes, counts.tolist(), counts.diagonal().tolist(), strict=True)
    return Measured(
        {
            "name": opened.name,
            "n": len(split),
            "fingerprint": sequence_fingerprint(opened),
            "unreadable": list(opened.unreadable),
            "floors": dict(opened.floors),
        },
        measured,
        {name: {"accuracy": 100 * right / sum(row), "n": sum(row)} for name, row, right in rows if sum(row)},
        {"confusion": _as_details(counts, saved.classes)},
    )


def find(given: Sequence[str]) -> Sequence[Example]:
    """As `TaskModule.find`: files, and each row of tables."""
    return find_examples(given)


def predict(saved: SavedNetwork, found: Sequence[Example], request: PredictRequest) -> Iterator[ClassifiedExample]:
    """As `TaskModule.predict`."""
    check(request)
    return classify_each(
        saved, found, top=request.top, skip_unreadable=request.skip_unreadable, device=default_device()
    )


def _keeps_classifier(start: StartingWeights | None, classes: Sequence[str]) -> bool:
    """Return whether weights are those of a classifier of the same classes."""
    trained = None if start is None else start.trained
    return trained is not None and trained.task == SequenceClassification.kind and trained.classes == tuple(classes)


def _as_details(counts: Tensor, classes: Sequence[str]) -> dict[str, Any]:
    """Return a confusion as a record has it."""
    return {"classes": list(classes), "counts": counts.tolist()}
