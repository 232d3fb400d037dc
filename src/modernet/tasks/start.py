"""What a training starts from: random weights, those of a file, or the whole network of a finished run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from modernet import progress
from modernet.errors import InputError, unknown_name
from modernet.models import Backbone, get_entry
from modernet.recipes import Recipe
from modernet.records import is_run_path
from modernet.roadmap.design import Design
from modernet.tasks.input_kinds import check_takes
from modernet.tasks.registry import TrainRequest
from modernet.weights import NetworkSpec, StartingWeights, read_foreign_weights, starting_weights, weights_of_run
from modernet.weights.checkpoint_file import CheckpointFile, Entry
from modernet.weights.loading import load_file


def open_network(request: TrainRequest, recipe: Recipe) -> tuple[NetworkSpec, StartingWeights | None]:
    """Return how to build the network, and the weights to start from, if any."""
    if is_run_path(request.model):
        if request.weights is not None:
            raise InputError(f"--model {request.model} is a run with weights of its own; leave out --weights")
        start = weights_of_run(Path(request.model))
        assert start.trained is not None
        spec = start.trained.spec
        if spec.kind == "design":
            known = [field.name for field in fields(Design)]
            for name in request.model_fields:
                if name not in known:
                    raise unknown_name(f"field of {spec.name}", name, known)
        spec = replace(spec, fields={**spec.fields, **request.model_fields})
    else:
        model, _, tag = request.model.partition(".")
        check_takes(request.model, "images", recipe.name)
        spec = NetworkSpec("model", get_entry(model).name, dict(request.model_fields))
        if not tag and request.weights is None:
            return spec, None
        start = starting_weights(request.model, request.weights)
    if start.trained is not None and start.trained.task not in (recipe.task, "classification", "pretraining"):
        raise InputError(
            f"{start.path} was trained for {start.trained.task}, and the recipe {recipe.name} is for {recipe.task}; "
            f"give a --recipe for {start.trained.task}, or another network"
        )
    if start.trained is not None and start.trained.task != recipe.task:
        spec = replace(spec, head={})
    return spec, start


def is_pretraining(start: StartingWeights) -> bool:
    """Return whether weights are those of a pre-training: of a backbone and a decoder."""
    return start.trained is not None and start.trained.task == "pretraining"


def load_start(start: StartingWeights, network: nn.Module, new: str = "classifier") -> None:
    """Load the weights to start from into everything but the classifier of a backbone.

    Args:
        new: what is not loaded, for people.

    Raises:
        InputError: they do not fit.
    """
    try:
        loaded = start.load_into(network)
    except InputError as error:
        raise misfit(start, error) from error
    under = f"{loaded.found_under} of " if loaded.found_under else ""
    resampled = f", resampled {', '.join(loaded.resampled)}" if loaded.resampled else ""
    adapted = f", adapted to the channels {', '.join(loaded.adapted)}" if loaded.adapted else ""
    file = start.path.name if start.trained is None else f"the run {start.path.parent}"
    about = f"{under}{file} ({loaded.project} names){resampled}{adapted}"
    classifier = network.classifier_names() if isinstance(network, Backbone) else ()
    others = {name.rpartition(".")[0] for name in loaded.new} - {*classifier}
    also = f", and {' and '.join(sorted(others))} too, which these weights lack" if others else ""
    progress.say(f"starting from {about}; the {new} is new{also}")


def misfit(start: StartingWeights, error: InputError) -> InputError:
    """Return why weights do not fit: for those of a run, which network they are of, and how to name it."""
    if start.trained is None:
        return error
    run, spec = start.path.parent, start.trained.spec
    fields = ", ".join(f"{name}={value}" for name, value in spec.fields.items())
    return InputError(
        f"the weights of the run {run} are of {spec.name}{f' with {fields}' if fields else ''} and do not fit this "
        f"network; give --model {run}/, with no --model-fields that weights depend on"
    )


def go_on_from(
    start: StartingWeights,
    network: nn.Module,
    spec: NetworkSpec,
    classes: Sequence[str],
    build: Callable[[NetworkSpec, int], nn.Module],
    optional: str | None = None,
) -> bool:
    """Load the weights of a finished run into the network of a task, to train it on.

    Its classifier is kept where the classes are the same by name, with its outputs in their order; else it stays new.

    Args:
        network: the whole network, with one output per class.
        spec: of its backbone.
        classes: of the data.
        build: as for `network_cost`; tells which tensors belong to the classifier.
        optional: module that one of the two networks may lack: it then stays new, or is left out.

    Returns:
        Whether the classifier was kept.

    Raises:
        InputError: the weights do not fit.
    """
    trained = start.trained
    assert trained is not None, "the weights of a run"
    own = network.state_dict()
    with torch.device("meta"):
        n = len(trained.classes)
        few, many = (build(trained.spec, count).state_dict() for count in (n, n + 1))
    of_classes = [name for name in few if few[name].shape != many[name].shape]
    (stored,) = read_foreign_weights(start.path).entries
    tensors = dict(stored.tensors)
    kept = keeps_classifier(start, classes, trained.task)
    if kept:
        order = torch.tensor([trained.classes.index(name) for name in classes])
        tensors |= {name: _reordered(tensors[name], order) for name in of_classes if name in tensors}
        head = "the classifier is kept, since the classes are the same"
    else:
        tensors |= {name: own[name] for name in of_classes if name in own}
        strange = [name for name in classes if name not in trained.classes]
        why = f"no class {strange[0]!r}" if strange else f"{len(trained.classes)} classes, not {len(classes)}"
        head = f"the classifier is new, since the run has {why}"
    if optional is not None:
        ours, theirs = ({name for name in names if name.startswith(f"{optional}.")} for names in (own, tensors))
        if bool(ours) != bool(theirs):
            tensors = {name: value for name, value in tensors.items() if name not in theirs}
            tensors |= {name: own[name] for name in ours}
            head += f"; {optional} {'is new' if ours else 'is left out'}"
    try:
        load_file(network, CheckpointFile(str(start.path), (Entry("", tensors),)), resample=True)
    except InputError as error:
        if spec.name == trained.spec.name:
            raise
        raise InputError(f"{error}; the run trained {trained.spec.name}: give --model {start.path.parent}") from error
    progress.say(f"starting from the run {start.path.parent}; {head}")
    return kept


def _reordered(tensor: Tensor, order: Tensor) -> Tensor:
    """Return a tensor with the rows of each class in another order: one or several for each, then the background's."""
    n = len(order)
    if n == 1:
        return tensor
    each = len(tensor) // n
    of_classes, others = tensor[: n * each].view(n, each, *tensor.shape[1:]), tensor[n * each :]
    return torch.cat((of_classes[order].flatten(0, 1), others))


def keeps_classifier(start: StartingWeights, classes: Sequence[str], task: str) -> bool:
    """Return whether weights are those of a run of the same task with the same classes, in any order."""
    trained = start.trained
    return trained is not None and trained.task == task and sorted(trained.classes) == sorted(classes)
