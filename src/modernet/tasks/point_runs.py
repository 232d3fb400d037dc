"""What tasks on point clouds share: opening network, weights and data, the settings of a run, and single clouds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from modernet.data.points.dataset import PointDataset, PointSplit
from modernet.data.points.fingerprint import point_fingerprint
from modernet.data.points.inputs import PointInputs
from modernet.data.points.opening import open_points
from modernet.errors import InputError
from modernet.evaluation.mean_iou import Confusion
from modernet.points.zoo import point_config
from modernet.recipes import PointRecipe
from modernet.records import is_run_path
from modernet.tasks.input_kinds import check_no_image_options, check_takes
from modernet.tasks.registry import EvaluateRequest, TrainRequest
from modernet.tasks.run_settings import run_settings
from modernet.tasks.start import go_on_from, keeps_classifier
from modernet.weights import NetworkSpec, SavedNetwork, StartingWeights, weights_of_run
from modernet.weights.saved_network import Inputs, folder_of_run


class Opened(NamedTuple):
    """What a run starts from."""

    spec: NetworkSpec
    start: StartingWeights | None
    dataset: PointDataset


def open_request(request: TrainRequest) -> Opened:
    """Open what a request names.

    Raises:
        InputError: the network is unknown, the weights are no run of the recipe's task, or the data cannot be opened or
            has no classes of the kind that the task learns.
    """
    recipe = request.recipe
    assert isinstance(recipe, PointRecipe)
    spec, start = _open_network(request)
    dataset = open_points(request.data, skip_unreadable=request.skip_unreadable, points=recipe.points)
    check_targets(dataset, recipe.task)
    if start is not None:
        check_categories(dataset.inputs, start.inputs)
    return Opened(spec, start, dataset)


def _open_network(request: TrainRequest) -> tuple[NetworkSpec, StartingWeights | None]:
    fields, start = dict(request.model_fields), None
    if is_run_path(request.model):
        if request.weights is not None:
            raise InputError(f"--model {request.model} is a run with weights of its own; leave out --weights")
        start = _start_of(Path(request.model), request.recipe.task)
        assert start.trained is not None
        spec = NetworkSpec("points", start.trained.spec.name, {**start.trained.spec.fields, **fields})
    else:
        spec = NetworkSpec("points", request.model, fields)
        if request.weights is not None:
            folder = folder_of_run(request.weights)
            if folder is None:
                raise InputError(f"--weights is {request.weights}; give the folder of a finished run on point clouds")
            start = _start_of(folder, request.recipe.task)
    check_takes(spec.name, "point clouds", request.recipe.name)
    point_config(spec.name, **spec.fields)
    return spec, start


def _start_of(folder: Path, task: str) -> StartingWeights:
    start = weights_of_run(folder)
    assert start.trained is not None
    if start.trained.task != task:
        raise InputError(
            f"{folder} was trained for {start.trained.task}, and the recipe is for {task}; give a --recipe for "
            f"{start.trained.task}, or another network"
        )
    return start


def check_targets(dataset: PointDataset, task: str) -> None:
    """Check that a data set has classes of what a task learns: of clouds, or of points.

    Raises:
        InputError: it has not.
    """
    of_points = dataset.train.point_labels is not None
    if of_points != (task == "point_segmentation"):
        has, other = ("each point", "point_segmentation_nano") if of_points else ("each cloud", "points_nano")
        raise InputError(
            f"{dataset.name} has a class for {has}, and the task is {task}; give other data, or a recipe such as "
            f"{other}"
        )


def check_categories(given: PointInputs, known: Inputs) -> None:
    """Check that shapes have as many categories as a trained network knows.

    Raises:
        InputError: they have not.
    """
    assert isinstance(known, PointInputs), "runs on point clouds are saved with them"
    if given.categories != known.categories:
        raise InputError(
            f"the network knows {known.categories} categories of shapes, and the data has {given.categories}; give "
            "data with the same ones"
        )


def with_inputs(spec: NetworkSpec, dataset: PointDataset) -> NetworkSpec:
    """Return the spec of a network for the clouds of a data set, which also knows the parts of its shapes."""
    head: dict[str, Any] = {"inputs": asdict(dataset.inputs)}
    if dataset.parts:
        head["parts"] = {name: list(classes) for name, classes in dataset.parts.items()}
    return replace(spec, head=head)


def start_from(
    start: StartingWeights | None,
    network: nn.Module,
    spec: NetworkSpec,
    classes: Sequence[str],
    build: Callable[[NetworkSpec, int], nn.Module],
) -> None:
    """Load the weights of a finished run, if there are any; its classifier is kept where the classes are the same.

    Args:
        build: as for `go_on_from`.

    Raises:
        InputError: they do not fit.
    """
    if start is None:
        return
    try:
        go_on_from(start, network, spec, classes, build)
    except InputError as error:
        folder = start.path.parent
        raise InputError(
            f"the weights of {folder} do not fit the network; give --model {folder}, without other --model-fields"
        ) from error


def point_settings(
    spec: NetworkSpec,
    dataset: PointDataset,
    recipe: PointRecipe,
    seed: int,
    *,
    start: StartingWeights | None = None,
    study: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the settings of a run's record, but for its parameters; see `run_settings`."""
    kept = start is not None and keeps_classifier(start, dataset.classes, recipe.task)
    data = {**dataset.summary(), "fingerprint": point_fingerprint(dataset)}
    return run_settings(spec, data, recipe, seed, start=start, classifier_kept=kept, study=study)


def check_evaluation(request: EvaluateRequest) -> None:
    """As `check_no_image_options`."""
    check_no_image_options(request, "a cloud", "point clouds")


def open_for_saved(saved: SavedNetwork, request: EvaluateRequest) -> PointDataset:
    """Open the clouds that a trained network is to be evaluated on.

    Raises:
        InputError: they cannot be opened, or are nothing that it was trained on.
    """
    check_evaluation(request)
    inputs = inputs_of(saved)
    assert isinstance(request.data, str)
    dataset = open_points(request.data, skip_unreadable=request.skip_unreadable, points=inputs.points)
    check_targets(dataset, saved.task)
    check_categories(dataset.inputs, inputs)
    return dataset


def evaluation_settings(dataset: PointDataset, split: PointSplit) -> dict[str, Any]:
    """Return what the record of an evaluation says of its clouds."""
    return {
        "name": dataset.name,
        "n": len(split),
        "fingerprint": point_fingerprint(dataset),
        "unreadable": list(dataset.unreadable),
    }


def inputs_of(saved: SavedNetwork) -> PointInputs:
    """Return what a trained network sees of a cloud."""
    assert isinstance(saved.inputs, PointInputs), "runs on point clouds are saved with it"
    return saved.inputs


def confusion_details(confusion: Confusion, classes: Sequence[str]) -> dict[str, Any]:
    """Return a confusion as a record has it."""
    return {"classes": list(classes), "counts": confusion.counts.tolist()}
