"""Sequence models by name."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import fields, replace
from fnmatch import fnmatch
from typing import Any

from modernet import sequences
from modernet.data.sequences.inputs import SequenceInputs
from modernet.errors import unknown_name
from modernet.sequences.config import SEQUENCE_MODELS, SequenceConfig, SequenceEntry
from modernet.sequences.network import SequenceNetwork

for _module in pkgutil.iter_modules(sequences.__path__):
    importlib.import_module(f"{sequences.__name__}.{_module.name}")


def sequence_models(pattern: str = "*") -> list[SequenceEntry]:
    """Return the models whose names match a shell pattern.

    Raises:
        InputError: there is none.
    """
    found = [entry for name, entry in SEQUENCE_MODELS.items() if fnmatch(name, pattern)]
    if not found:
        raise unknown_name("sequence model", pattern, SEQUENCE_MODELS)
    return found


def sequence_config(name: str, **changes: Any) -> SequenceConfig:
    """Return the config of a model, with some of its fields changed.

    Raises:
        InputError: there is no such model or field.
    """
    config = SEQUENCE_MODELS[name].config
    known = [field.name for field in fields(config)]
    for change in changes:
        if change not in known:
            raise unknown_name(f"field of {name}", change, known)
    return replace(config, **changes)


def create_sequence_model(name: str, inputs: SequenceInputs, num_classes: int, **changes: Any) -> SequenceNetwork:
    """Make a network for sequences with random weights.

    Args:
        name: one of `modernet.sequences.config.SEQUENCE_MODELS`.
        inputs: what a sequence is.
        num_classes: outputs.
        changes: fields of the model's config.

    Raises:
        InputError: there is no such model or field, or a value does not suit the model.

    >>> network = create_sequence_model("transformer", SequenceInputs(64, vocabulary=17), 10, depth=2)
    """
    return SequenceNetwork(sequence_config(name, **changes), inputs, num_classes)
