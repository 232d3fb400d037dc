"""The network that a verb uses: a finished run's, or one of the zoo with its weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from modernet.errors import InputError

if TYPE_CHECKING:
    from modernet.weights import SavedNetwork


def open_network(run: Path | None, model: str | None, weights: Path | None) -> SavedNetwork:
    """Open the network of a finished run, or of `--model` and `--weights`.

    Raises:
        InputError: both are given, or neither, or the network cannot be opened.
    """
    if model is None and weights is not None:
        raise InputError("--weights needs --model NAME, the network that they belong to")
    if (run is None) == (model is None):
        raise InputError("give the folder of a finished run, or --model NAME" + (", not both" if run else ""))
    if run is not None:
        from modernet.tasks import load_network

        return load_network(run)
    from modernet.weights import load_model

    assert model is not None
    return load_model(model, weights)
