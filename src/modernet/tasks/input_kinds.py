"""What the named networks take: images, sequences or point clouds."""

from __future__ import annotations

from typing import Literal

from modernet.catalogue import all_networks, zoo_name
from modernet.errors import InputError
from modernet.points.config import POINT_MODELS
from modernet.records import check_no_folder
from modernet.sequences.config import SEQUENCE_MODELS

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
