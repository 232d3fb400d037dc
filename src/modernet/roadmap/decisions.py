"""The decisions of the road as independent switches between ResNet's and ConvNeXt's choice.

A walk tests a decision at one point of the road, on top of all previous ones. A factorial study of several decisions
switches each on and off in combination with the others. Does not import torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from modernet.errors import InputError, unknown_name
from modernet.roadmap.design import Design
from modernet.roadmap.steps import road

DEFAULT_DECISIONS = "patchify_stem,kernel_7,gelu,fewer_activations,fewer_norms,layer_norm,separate_downsampling"
"""Decisions that barely change the cost of a ConvNeXt, so that a study compares networks of equal cost."""
_NO_SWITCHES = {
    "resnet": "it is the start of the road",
    "training_recipe": "it does not change the network, and all runs of a study share one recipe",
}


@dataclass(frozen=True)
class Decision:
    """A step of the road as a switch.

    Attributes:
        name, title, change: from the step.
        off, on: the design fields that the step changes, before and after it.
    """

    name: str
    title: str
    change: str
    off: Mapping[str, Any]
    on: Mapping[str, Any]


def road_decisions(size: str) -> list[Decision]:
    """Return every step of a road that changes the network, as a switch, in road order.

    Raises:
        InputError: unknown size.
    """
    decisions = []
    steps = road(size)
    adopted = before = steps[0]
    for step in steps[1:]:
        if step.row.rstrip("abcd") != adopted.row.rstrip("abcd"):  # 8a to 8d are alternatives for one decision
            before = adopted
        names = [name for name, value in vars(step.design).items() if value != getattr(before.design, name)]
        if names:
            off, on = ({name: getattr(s.design, name) for name in names} for s in (before, step))
            decisions.append(Decision(step.name, step.title, step.change, off, on))
        adopted = adopted if step.side_step else step
    return decisions


def select_decisions(size: str, spec: str) -> list[Decision]:
    """Return the decisions of a road named in `spec`, in road order.

    Args:
        size: size of the road.
        spec: step names, comma-separated: `"gelu,layer_norm"`.

    Raises:
        InputError: a name is unknown or not a switch, fewer than two are given, or two change the same design field
            and cannot be switched independently.

    >>> [decision.off for decision in select_decisions("tiny", "gelu,layer_norm")]
    [{'activation': 'relu'}, {'norm': 'batch'}]
    """
    known = {decision.name: decision for decision in road_decisions(size)}
    names = [name.strip() for name in spec.split(",")]
    for name in names:
        if name in _NO_SWITCHES:
            raise InputError(f"{name} cannot be switched on and off: {_NO_SWITCHES[name]}; leave it out")
        if name not in known:
            raise unknown_name("decision of the road", name, known)
    chosen = [decision for decision in known.values() if decision.name in names]
    if len(chosen) < 2:
        raise InputError(f"decisions is {spec!r}; give two or more, a single decision has no interactions")
    owner: dict[str, str] = {}
    for decision in chosen:
        for field in decision.on:
            if field in owner:
                raise InputError(
                    f"{owner[field]} and {decision.name} both change {field}, so they cannot be switched "
                    "independently; leave one out"
                )
            owner[field] = decision.name
    return chosen


def switched(end: Design, decisions: Sequence[Decision], levels: Sequence[int]) -> Design:
    """Return `end` with each decision on (+1) or off (-1).

    Raises:
        InputError: the resulting fields are incompatible.
    """
    fields: dict[str, Any] = {}
    for decision, level in zip(decisions, levels, strict=True):
        fields |= decision.on if level > 0 else decision.off
    return replace(end, **fields)
