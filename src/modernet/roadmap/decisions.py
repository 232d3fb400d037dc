"""The decisions of the road as switches: each as ResNet has it, or as ConvNeXt has it, whatever the others are.

A walk tries a decision at one place of the road, on top of all that were made before it. A study of several decisions
at once switches each of them on and off among the others. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from modernet.errors import InputError, unknown_name
from modernet.roadmap.design import Design
from modernet.roadmap.steps import road

DEFAULT_DECISIONS = "patchify_stem,kernel_7,gelu,fewer_activations,fewer_norms,layer_norm,separate_downsampling"
"""Decisions that leave the cost of a ConvNeXt nearly as it is, so that a study of them compares like with like."""
_NO_SWITCHES = {
    "resnet": "it is where the road starts",
    "training_recipe": "it changes no network, and all runs of a study share a recipe",
}


@dataclass(frozen=True)
class Decision:
    """A step of the road as a switch.

    Attributes:
        name, title, change: those of the step.
        off, on: the fields of a design that the step changes, as they were before it and as they are after it.
    """

    name: str
    title: str
    change: str
    off: Mapping[str, Any]
    on: Mapping[str, Any]


def road_decisions(size: str) -> list[Decision]:
    """Every step of a road that changes the network, as a switch, in the order of the road.

    Raises:
        InputError: no road has this size.
    """
    found = []
    steps = road(size)
    adopted = before = steps[0]
    for step in steps[1:]:
        if step.row.rstrip("abcd") != adopted.row.rstrip("abcd"):  # 8a to 8d are four answers to one question
            before = adopted
        names = [name for name, value in vars(step.design).items() if value != getattr(before.design, name)]
        if names:
            off, on = ({name: getattr(one.design, name) for name in names} for one in (before, step))
            found.append(Decision(step.name, step.title, step.change, off, on))
        adopted = adopted if step.side_step else step
    return found


def select_decisions(size: str, spec: str) -> list[Decision]:
    """Some decisions of a road, in its order.

    Args:
        size: of the road.
        spec: names of steps with commas between them: `"gelu,layer_norm"`.

    Raises:
        InputError: a name is unknown or is no switch, there are fewer than two, or two of them change the same field of
            a design, so that they cannot be switched apart.

    >>> [decision.off for decision in select_decisions("tiny", "gelu,layer_norm")]
    [{'activation': 'relu'}, {'norm': 'batch'}]
    """
    known = {decision.name: decision for decision in road_decisions(size)}
    names = [name.strip() for name in spec.split(",")]
    for name in names:
        if name in _NO_SWITCHES:
            raise InputError(f"{name} is no decision to switch on and off: {_NO_SWITCHES[name]}; leave it out")
        if name not in known:
            raise unknown_name("decision of the road", name, known)
    chosen = [decision for decision in known.values() if decision.name in names]
    if len(chosen) < 2:
        raise InputError(f"decisions is {spec!r}; give two or more, since one alone interacts with nothing")
    owner: dict[str, str] = {}
    for decision in chosen:
        for field in decision.on:
            if field in owner:
                raise InputError(
                    f"{owner[field]} and {decision.name} both change {field}, so they cannot be switched apart; "
                    "leave one of them out"
                )
            owner[field] = decision.name
    return chosen


def switched(end: Design, decisions: Sequence[Decision], levels: Sequence[int]) -> Design:
    """A design with each decision on (+1) or off (-1); every other field is that of `end`.

    Raises:
        InputError: the fields contradict each other.
    """
    fields: dict[str, Any] = {}
    for decision, level in zip(decisions, levels, strict=True):
        fields |= decision.on if level > 0 else decision.off
    return replace(end, **fields)
