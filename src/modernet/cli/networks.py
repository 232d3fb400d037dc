"""The network that a verb uses: a finished run's, or one of the zoo with its weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from modernet.errors import InputError

if TYPE_CHECKING:
    from modernet.tasks import NamedNetwork


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
        from modernet.records import read_network

        return str(read_network(run).get("task", "classification"))  # early versions knew no other
    if run is not None or model is None:
        raise InputError("give the folder of a finished run, or --model NAME" + (", not both" if run else ""))
    if weights is None:
        from modernet.weights import find_weights

        find_weights(model)
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
