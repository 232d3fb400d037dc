"""Networks for point clouds by name."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import fields, replace
from fnmatch import fnmatch
from typing import Any, Literal

from torch import nn

from modernet import points
from modernet.data.points.inputs import PointInputs
from modernet.errors import unknown_name
from modernet.points.config import POINT_MODELS, PointConfig, PointEntry

for _module in pkgutil.iter_modules(points.__path__):
    importlib.import_module(f"{points.__name__}.{_module.name}")


def point_models(pattern: str = "*") -> list[PointEntry]:
    """Return the models whose names match a shell pattern.

    Raises:
        InputError: there is none.
    """
    found = [entry for name, entry in POINT_MODELS.items() if fnmatch(name, pattern)]
    if not found:
        raise unknown_name("model for point clouds", pattern, POINT_MODELS)
    return found


def point_config(name: str, **changes: Any) -> PointConfig:
    """Return the config of a model, with some of its fields changed.

    Raises:
        InputError: there is no such model or field.
    """
    config = POINT_MODELS[name].config
    known = [field.name for field in fields(config)]
    for change in changes:
        if change not in known:
            raise unknown_name(f"field of {name}", change, known)
    return replace(config, **changes)


def create_point_model(
    name: str,
    inputs: PointInputs,
    num_classes: int,
    *,
    classes_of: Literal["clouds", "points"] = "clouds",
    **changes: Any,
) -> nn.Module:
    """Make a network for point clouds with random weights.

    Args:
        name: one of `modernet.points.config.POINT_MODELS`.
        inputs: what a cloud is.
        num_classes: outputs.
        classes_of: whether a cloud has a class, or each of its points; see `PointConfig`.
        changes: fields of the model's config.

    Raises:
        InputError: there is no such model or field, or a value does not suit the model.
    """
    config = point_config(name, **changes)
    make = config.classifier if classes_of == "clouds" else config.segmenter
    return make(inputs, num_classes)
