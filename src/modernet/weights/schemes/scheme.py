"""How another project names and shapes the weights of a network that is also ours, written once for both directions.

A scheme turns our name of a tensor into theirs by regular expressions, applied in order. Loading and saving both go
from our names, which the network gives, so the expressions never have to be inverted and a round trip is exact.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

Names = Sequence[tuple[str, str | Callable[[re.Match[str]], str]]]
"""Regular expressions and what replaces them, as for `re.sub`."""


@dataclass(frozen=True)
class Change:
    """How a tensor differs from ours beyond its name; both directions keep every bit."""

    to_theirs: Callable[[Tensor], Tensor]
    to_ours: Callable[[Tensor], Tensor] | None = None
    """None where theirs has our numbers in our order in another shape: it is viewed as ours."""


@dataclass(frozen=True)
class Scheme:
    """The names of one project for the weights of one family."""

    project: str
    """`original`, `timm`, `torchvision`, `transformers`, `openmmlab`, ..."""
    names: Names = ()
    """Our name -> theirs."""
    split: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Part of their name -> what stands in its place in several tensors that are ours along dimension 0."""
    changes: Mapping[str, Change] = field(default_factory=dict)
    """Regular expression of our name -> how the tensor differs."""
    absent: Sequence[str] = ()
    """Regular expressions of our names that the scheme does not have (a backbone alone has no head)."""
    ignored: Sequence[str] = ()
    """Regular expressions of their names that hold nothing of ours: buffers that are computed, other heads."""
    foreign: Sequence[str] = ()
    """Regular expressions of our names that a network has for which this scheme is not meant."""
    prefix: str = ""
    """What stands before every name of theirs where the network is part of a larger one; other names are not ours."""
    body: str = ""
    """A prefix of theirs that a file of the body alone leaves out, such as `vit.`."""
    writable: bool = True
    """Whether a file in this scheme would be of use to anyone."""

    def theirs(self, name: str) -> list[str]:
        """Their name, or names, of our tensor; none if the scheme does not have it."""
        if any(re.search(pattern, name) for pattern in self.absent):
            return []
        for pattern, replacement in self.names:
            name = re.sub(pattern, replacement, name)
        for part, parts in self.split.items():
            if part in name:
                return [name.replace(part, each) for each in parts]
        return [name]

    def fits(self, names: Iterable[str]) -> bool:
        """Whether this scheme is meant for a network with these parameters: one for V2 has none for layer scale."""
        return not any(re.search(pattern, name) for pattern in self.foreign for name in names)

    def is_ignored(self, theirs: str) -> bool:
        """Whether a tensor of theirs holds nothing of ours."""
        if not theirs.startswith(self.prefix):
            return True
        return any(re.search(pattern, theirs.removeprefix(self.prefix)) for pattern in self.ignored)

    def to_theirs(self, ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Our weights under their names, in their shapes."""
        found: dict[str, Tensor] = {}
        for name, tensor in ours.items():
            names = self.theirs(name)
            if not names:
                continue
            change = self._change(name)
            tensor = tensor if change is None else change.to_theirs(tensor)
            parts = tensor.chunk(len(names)) if len(names) > 1 else (tensor,)
            found |= {their_name: part.contiguous() for their_name, part in zip(names, parts, strict=True)}
        return found

    def to_ours(self, name: str, theirs: Sequence[Tensor], shape: torch.Size) -> Tensor:
        """Our tensor `name` of a given shape from theirs; in another shape if theirs does not fit."""
        tensor = torch.cat(list(theirs)) if len(theirs) > 1 else theirs[0]
        change = self._change(name)
        if change is not None and change.to_ours is not None:
            return change.to_ours(tensor)
        if change is not None or _without_ones(tensor.shape) == _without_ones(shape):
            return tensor.reshape(shape) if tensor.numel() == shape.numel() else tensor
        return tensor

    def prefixed(self, prefix: str) -> Scheme:
        """The same scheme with a prefix before every name: a part of a larger network, as detectors save it."""
        return replace(self, names=[*self.names, (r"^", prefix)], prefix=prefix, body="", writable=False)

    def without_body(self) -> Scheme:
        """The same scheme for a file of the body alone."""
        return replace(self, names=[*self.names, (rf"^{re.escape(self.body)}", "")], body="", writable=False)

    def _change(self, name: str) -> Change | None:
        return next((change for pattern, change in self.changes.items() if re.search(pattern, name)), None)


def _without_ones(shape: torch.Size) -> list[int]:
    return [size for size in shape if size != 1]


ORIGINAL = Scheme("original")
"""Ours: parameter names follow the architecture's original release."""
