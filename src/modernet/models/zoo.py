"""The zoo: list and create networks by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from torch import nn

from modernet.catalogue import TIMM_PREFIX
from modernet.errors import InputError, unknown_name
from modernet.models.entry import MODELS, ModelEntry
from modernet.models.feature_extractor import FeatureExtractor


def list_models(pattern: str = "*") -> list[str]:
    """Return the names that match a shell pattern: `"convnext*"` in the zoo, `"timm:regnet*"` in timm."""
    if pattern.startswith(TIMM_PREFIX):
        from modernet.models.timm_bridge import timm_names  # here, since timm takes seconds to import

        return timm_names(pattern)
    return MODELS.names(pattern)


def get_entry(name: str) -> ModelEntry:
    """Return the entry called `name`, or timm's for `timm:NAME`.

    Raises:
        InputError: no such name; the message suggests the closest ones.
    """
    if name.startswith(TIMM_PREFIX):
        from modernet.models.timm_bridge import timm_entry  # here, since timm takes seconds to import

        return timm_entry(name)
    return MODELS[name]


def create_model(
    name: str,
    *,
    features_only: bool = False,
    out_indices: int | Sequence[int] | None = None,
    **fields: Any,
) -> nn.Module:
    """Create a network of the zoo with random weights.

    Args:
        name: one of `list_models()`, or `timm:NAME` for one of timm's.
        features_only: return a `FeatureExtractor`, which outputs a list of feature maps, instead of a classifier.
        out_indices: feature maps, as indices into `feature_info`; an int n means the last n, None means all.
        fields: config fields to override: `num_classes`, `in_chans`, `drop_path_rate` and `global_pool` for every
            architecture, and the architecture's own (`depths`, `dims`, ...).

    Raises:
        InputError: unknown name, unknown field, or a value out of range.

    >>> network = create_model("convnext_tiny", num_classes=10)
    >>> create_model("resnet50", features_only=True, out_indices=(1, 2, 3, 4)).feature_info.reduction()
    [4, 8, 16, 32]
    """
    entry = get_entry(name)
    known = [field.name for field in dataclasses.fields(entry.config)]
    for field in fields:
        if field not in known:
            raise unknown_name(f"field of {type(entry.config).__name__}", field, known)
        fields[field] = _checked(field, fields[field], getattr(entry.config, field))
    if features_only:
        fields |= {"num_classes": 0, "global_pool": ""}
    network = entry.network(dataclasses.replace(entry.config, **fields))
    return FeatureExtractor(network, out_indices) if features_only else network


def _checked(name: str, value: Any, default: Any) -> Any:
    """Return a field's value if it has the type of its default; ints count as floats, lists as tuples."""
    if isinstance(default, tuple) and isinstance(value, list | tuple):
        allowed = all(isinstance(item, type(default[0])) for item in value)
        value = tuple(value)
    else:
        allowed = isinstance(value, (int, float) if isinstance(default, float) else type(default))
    if not allowed:
        raise InputError(f"{name} is {value!r}; give a value like {default!r}")
    return value
