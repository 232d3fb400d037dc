"""The network that a verb uses: a finished run's, or one of the zoo with its weights.

What is checked here needs no torch, so that a mistake is reported before the seconds of its import.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modernet.catalogue import TIMM_PREFIX
from modernet.catalogue.fields import check_distinct, parse_candidate
from modernet.errors import InputError, unknown_name
from modernet.records import check_no_folder, is_run_path, read_network

if TYPE_CHECKING:
    from modernet.tasks import NamedNetwork


def check_model(name: str, *, for_images: bool = True) -> None:
    """Check that a name is a network's: of the zoo, or of a timm that is not asked yet.

    Args:
        for_images: refuse those for sequences and point clouds.

    Raises:
        InputError: it is not; the message suggests similar names, or the path of a folder that is called so.
    """
    from modernet.catalogue import OTHER_MODELS, all_networks, zoo_name

    if name.startswith(TIMM_PREFIX) or zoo_name(name) in all_networks():
        return
    check_no_folder(name)
    if name not in OTHER_MODELS:
        raise unknown_name("model", name, all_networks() if for_images else [*all_networks(), *OTHER_MODELS])
    if for_images:
        takes = OTHER_MODELS[name]
        raise InputError(
            f"{name} takes {takes}, and this needs a network for images, one of modernet models; {takes} have modernet "
            "train, evaluate, predict, benchmark and report"
        )


def check_named(name: str, weights: Path | None = None) -> None:
    """Check what can be checked of `MODEL|RUN` before it is loaded and its weights are fetched.

    Args:
        weights: a file of weights for the model.

    Raises:
        InputError: there is no such model, no published weights of it, or no finished run in the folder.
    """
    if is_run_path(name):
        read_network(Path(name))
        return
    _check_weighted(name, weights)


def check_candidates(names: Sequence[str]) -> None:
    """Check the names of networks to train, as `modernet compare` takes them. Paths of runs pass: who opens them
    refuses them.

    Raises:
        InputError: there is no such model, it takes no images, there are no such weights, its fields cannot be read, or
            a name is given twice.
    """
    check_distinct(names)
    for name in names:
        model, _ = parse_candidate(name)
        network, tag, _ = model.partition(".")
        if is_run_path(model):
            continue
        if tag and not network.startswith(TIMM_PREFIX):  # timm, which knows its tags, takes seconds to import
            _check_weighted(model, None)
        else:
            check_model(network)


def check_network(run: Path | None, model: str | None, weights: Path | None) -> str:
    """Check what can be checked of a network before it is loaded and its weights are fetched.

    Returns:
        Its task.

    Raises:
        InputError: a run and `--model` are given, or neither; or there is no such network.
    """
    if model is None and weights is not None:
        raise InputError("--weights needs --model NAME, the network that they belong to")
    if run is not None and model is None:
        return str(read_network(run).get("task", "classification"))  # early versions knew no other
    if run is not None or model is None:
        raise InputError("give the folder of a finished run, or --model NAME" + (", not both" if run else ""))
    _check_weighted(model, weights)
    return "classification"


def open_network(
    run: Path | None, model: str | None, weights: Path | None, *, trust: bool | None = None
) -> NamedNetwork:
    """Open the network of a finished run, or of `--model` and `--weights`.

    Args:
        trust: of a folder that `modernet optimize` wrote, open the optimized network, and let its program run whoever
            saved it; with None, open the network that it was made from.

    Raises:
        InputError: as `check_network`, or the network cannot be opened.
    """
    check_network(run, model, weights)

    from modernet.tasks import NamedNetwork

    if run is not None:
        return NamedNetwork.of_run(run) if trust is None else NamedNetwork.of_folder(run, trust=trust)
    assert model is not None
    return NamedNetwork.of_model(model, weights)


def _check_weighted(name: str, weights: Path | None) -> None:
    """Check the name of a model whose weights are in a file, or published."""
    from modernet.catalogue import find_weights

    check_model(name.partition(".")[0])
    if weights is None:
        find_weights(name)
