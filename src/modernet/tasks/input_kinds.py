"""What networks take: images, sequences or point clouds."""

from __future__ import annotations

from typing import Literal

from modernet.catalogue import all_networks, zoo_name
from modernet.errors import InputError
from modernet.evaluation.segmenting import WHOLE
from modernet.points.config import POINT_MODELS
from modernet.records import check_no_folder
from modernet.sequences.config import SEQUENCE_MODELS
from modernet.tasks.registry import EvaluateRequest

InputKind = Literal["images", "sequences", "point clouds"]

_LISTED: dict[InputKind, str] = {
    "images": "modernet models",
    "sequences": "modernet models --sequences",
    "point clouds": "modernet models --points",
}


def check_takes(name: str, wanted: InputKind, recipe: str) -> None:
    """Check that a network is for what a recipe is for. An unknown name passes: who opens it reports it.

    Args:
        name: of the network, with or without a tag.
        recipe: its name.

    Raises:
        InputError: the network takes something else; or a folder has this name, and no network.
    """
    model = name.partition(".")[0]
    taken: InputKind
    if model in SEQUENCE_MODELS:
        taken = "sequences"
    elif model in POINT_MODELS:
        taken = "point clouds"
    elif zoo_name(model) in all_networks():
        taken = "images"
    else:
        check_no_folder(name)
        return
    if taken != wanted:
        raise InputError(
            f"{model} takes {taken}, and the recipe {recipe} is for {wanted}; give one of {_LISTED[wanted]}, or a "
            f"--recipe for {taken}"
        )


def check_no_image_options(request: EvaluateRequest, example: str, examples: InputKind) -> None:
    """Check that an evaluation of other examples than images has nothing that only tasks on images know.

    Args:
        example: what is evaluated: "a cloud".
        examples: the same in the plural.

    Raises:
        InputError: it has.
    """
    if request.inference != WHOLE:
        raise InputError(f"{example} is seen at once; leave out --window, --scales and --flip")
    if request.save_json is not None:
        raise InputError("--save-json writes what a detector finds; leave it out, or use --json > FILE")
    if request.class_map is not None or request.real or request.corrupt is not None:
        raise InputError("--class-map, --real and corruptions are for images; leave them out")
    if not isinstance(request.data, str):
        raise InputError(f"images are given, and the network takes {examples}; give the name of a data set of them")
