"""What tasks on sequences share: opening network, weights and data, and the settings of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from modernet import progress
from modernet.data.loading.plan import Place
from modernet.data.sequences.dataset import SequenceDataset, SequenceSplit
from modernet.data.sequences.encoding import Encoding
from modernet.data.sequences.fingerprint import sequence_fingerprint
from modernet.data.sequences.loading import SequenceLoader, sequence_loader
from modernet.data.sequences.opening import open_sequences
from modernet.data.sequences.recoding import describe
from modernet.errors import InputError
from modernet.recipes import Recipe
from modernet.records import is_run_path
from modernet.sequences.zoo import sequence_config
from modernet.tasks.input_kinds import check_takes
from modernet.tasks.registry import TrainRequest
from modernet.tasks.run_settings import run_settings
from modernet.training.context import RunContext
from modernet.training.task import HeldOut
from modernet.weights import NetworkSpec, SavedNetwork, StartingWeights, weights_of_run
from modernet.weights.safetensors_file import read_safetensors
from modernet.weights.saved_network import folder_of_run

KINDS = ("sequences", "sequence_pretraining")
"""The tasks on sequences."""


class Opened(NamedTuple):
    """What a run starts from."""

    spec: NetworkSpec
    start: StartingWeights | None
    dataset: SequenceDataset


def open_request(request: TrainRequest) -> Opened:
    """Open what a request names.

    Raises:
        InputError: the network is unknown, the weights are no run of a sequence model, or the data cannot be opened.
    """
    spec, start = _open_network(request)
    dataset = open_sequences(request.data, skip_unreadable=request.skip_unreadable)
    return Opened(spec, start, dataset)


def _open_network(request: TrainRequest) -> tuple[NetworkSpec, StartingWeights | None]:
    fields = dict(request.model_fields)
    if is_run_path(request.model):
        if request.weights is not None:
            raise InputError(f"--model {request.model} is a run with weights of its own; leave out --weights")
        start = _start_of(Path(request.model))
        assert start.trained is not None
        spec = NetworkSpec("sequence", start.trained.spec.name, {**start.trained.spec.fields, **fields})
    else:
        spec, start = NetworkSpec("sequence", request.model, fields), None
        if request.weights is not None:
            folder = folder_of_run(request.weights)
            if folder is None:
                raise InputError(
                    f"--weights is {request.weights}; give the folder of a finished run of a sequence model"
                )
            start = _start_of(folder)
    check_takes(spec.name, "sequences", request.recipe.name)
    sequence_config(spec.name, **spec.fields)
    return spec, start


def _start_of(folder: Path) -> StartingWeights:
    start = weights_of_run(folder)
    assert start.trained is not None
    if start.trained.task not in KINDS:
        raise InputError(
            f"{folder} was trained for {start.trained.task}, and the recipe is for sequences; give a --recipe for "
            f"{start.trained.task}, or another network"
        )
    return start


def with_inputs(spec: NetworkSpec, dataset: SequenceDataset) -> NetworkSpec:
    """Return the spec of a network for the sequences of a data set."""
    return replace(spec, head={"inputs": asdict(dataset.encoding.inputs)})


def sequence_settings(
    spec: NetworkSpec,
    dataset: SequenceDataset,
    recipe: Recipe,
    seed: int,
    *,
    start: StartingWeights | None = None,
    classifier_kept: bool = False,
    study: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the settings of a run's record, but for its parameters; see `run_settings`."""
    data = {**dataset.summary(), "fingerprint": sequence_fingerprint(dataset)}
    return run_settings(spec, data, recipe, seed, start=start, classifier_kept=classifier_kept, study=study)


def held_out_loader(dataset: SequenceDataset, split: HeldOut, recipe: Recipe, context: RunContext) -> SequenceLoader:
    """Return the loader that evaluates a split, a share of it in each process."""
    processes = context.processes
    return sequence_loader(
        getattr(dataset, split),
        dataset.encoding.inputs,
        batch_size=max(recipe.batch_size // context.micro_batches, 1) * processes.world,
        device=context.device,
        place=Place(processes.world, processes.rank, processes.world),
        train=False,
    )


def example_names(split: SequenceSplit, positions: Tensor) -> list[str]:
    """Return the names of examples of a training split in messages; positions are int64 (b,), on the CPU."""
    return [
        split.names[position] if split.names else f"sequence {position} of the training split"
        for position in positions.tolist()
    ]


def load_start(
    start: StartingWeights, network: nn.Module, encoding: Encoding, *, classifier: bool, about: str = "classifier"
) -> None:
    """Load the weights of a finished run, with or without its classifier.

    Args:
        network: with the parameters of the run's network, and maybe others under `head.`.
        encoding: of the sequences.
        classifier: whether to load what is under `head.`; else that stays new.
        about: what that is, for people.

    Raises:
        InputError: the run has learned from other kinds of sequences, or the network is another one.
    """
    trained = start.trained
    assert trained is not None, "the weights of a run"
    known = trained.inputs
    assert isinstance(known, Encoding)
    if (known.kind, known.symbols, known.inputs) != (encoding.kind, encoding.symbols, encoding.inputs):
        raise InputError(
            f"the run {start.path.parent} has learned from {describe(known)}, and these are "
            f"{describe(encoding)}; give the data that it learned from"
        )
    own = network.state_dict()
    stored = read_safetensors(start.path)
    wanted = {name for name in own if classifier or not name.startswith("head.")}
    wrong = sorted(name for name in wanted if name not in stored or own[name].shape != stored[name].shape)
    if wrong:
        raise InputError(
            f"the weights of {start.path.parent} do not fit: {wrong[0]} is missing or has another shape; give --model "
            f"{start.path.parent}, without other --model-fields"
        )
    network.load_state_dict({name: stored[name] for name in wanted}, strict=False)
    progress.say(f"starting from the run {start.path.parent}; the {about} is {'kept' if classifier else 'new'}")


def encoding_of(saved: SavedNetwork) -> Encoding:
    """Return how the sequences of a trained network are made."""
    assert isinstance(saved.inputs, Encoding), "runs on sequences are saved with it"
    return saved.inputs
