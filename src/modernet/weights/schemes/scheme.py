"""How another project names and shapes the weights of a network of the zoo, written once for both directions.

A scheme turns a parameter's name in the network into its name in the file ("stored") by regular expressions, applied in
order. Loading and saving both start from the network's names, so the expressions are never inverted and a round trip is
exact.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

Names = Sequence[tuple[str, str | Callable[[re.Match[str]], str]]]
"""Pairs of a regular expression and its replacement, as for `re.sub`."""


@dataclass(frozen=True)
class Change:
    """How a stored tensor differs beyond its name; both directions keep every bit."""

    to_stored: Callable[[Tensor], Tensor]
    to_network: Callable[[Tensor], Tensor] | None = None
    """None if the stored tensor only has another shape: it is viewed in the network's."""


@dataclass(frozen=True)
class Scheme:
    r"""The names that one project gives to the weights of one family.

    An invented family whose network has `stem`, `blocks`, `norm` and `head`, stored by a project that puts all but the
    classifier under `vit.`, keeps no final norm, saves the decoder of its pre-training as well, and knows no variant
    with GRN:

    >>> scheme = Scheme(
    ...     "project",
    ...     names=[(r"^(stem|blocks)\.", r"vit.\1."), (r"^head\.", "classifier.")],
    ...     absent=[r"^norm\."],
    ...     ignored=[r"^decoder\."],
    ...     foreign=[r"\.grn\."],
    ...     body="vit.",
    ... )
    >>> scheme.stored_names("stem.weight"), scheme.stored_names("norm.weight")  # absent: nothing to look for
    (['vit.stem.weight'], [])
    >>> scheme.is_ignored("decoder.0.weight"), scheme.is_ignored("pooler.weight")  # the latter is unexpected
    (True, False)
    >>> scheme.fits(["blocks.0.gamma"]), scheme.fits(["blocks.0.grn.gamma"])  # foreign: another scheme is needed
    (True, False)
    >>> scheme.without_body().stored_names("stem.weight")  # a file of the backbone alone, saved without `vit.`
    ['stem.weight']
    """

    project: str
    """`original`, `timm`, `torchvision`, `transformers`, `openmmlab`, ..."""
    names: Names = ()
    """Name in the network -> stored name."""
    split: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Part of a stored name -> its replacements, where one tensor of the network is stored as several (concatenated
    along dimension 0).
    """
    changes: Mapping[str, Change] = field(default_factory=dict)
    """Regular expression of a name in the network -> how the stored tensor differs."""
    absent: Sequence[str] = ()
    """Regular expressions of names in the network that the project does not store (a backbone alone has no head)."""
    ignored: Sequence[str] = ()
    """Regular expressions of stored names that the network does not need: computed buffers, other heads."""
    foreign: Sequence[str] = ()
    """Regular expressions of names in the network; a network with such a parameter cannot be stored in this scheme."""
    prefix: str = ""
    """Prefix of every stored name where the network is part of a larger one; other names are ignored."""
    body: str = ""
    """Prefix of stored names that is missing in a file of the body alone, such as `vit.`."""
    writable: bool = True
    """Whether `convert` offers to write files in this scheme."""

    def stored_names(self, name: str) -> list[str]:
        """Return the stored name of a tensor, or names if it is split; none if the project does not store it."""
        if any(re.search(pattern, name) for pattern in self.absent):
            return []
        for pattern, replacement in self.names:
            name = re.sub(pattern, replacement, name)
        for part, parts in self.split.items():
            if part in name:
                return [name.replace(part, replacement) for replacement in parts]
        return [name]

    def fits(self, names: Iterable[str]) -> bool:
        """Return whether a network with these parameters can be stored in this scheme.

        One for ConvNeXt V2 does not fit a network with layer scale.
        """
        return not any(re.search(pattern, name) for pattern in self.foreign for name in names)

    def is_ignored(self, stored_name: str) -> bool:
        """Return whether the network does not need a stored tensor."""
        if not stored_name.startswith(self.prefix):
            return True
        return any(re.search(pattern, stored_name.removeprefix(self.prefix)) for pattern in self.ignored)

    def to_stored(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a network's weights under their stored names, in their stored shapes."""
        stored: dict[str, Tensor] = {}
        for name, tensor in weights.items():
            names = self.stored_names(name)
            if not names:
                continue
            change = self._change(name)
            tensor = tensor if change is None else change.to_stored(tensor)
            parts = tensor.chunk(len(names)) if len(names) > 1 else (tensor,)
            stored |= {stored_name: part.contiguous() for stored_name, part in zip(names, parts, strict=True)}
        return stored

    def to_network(self, name: str, stored: Sequence[Tensor], shape: torch.Size) -> Tensor:
        """Return the network's tensor `name` from the stored ones.

        Args:
            shape: the shape of the tensor in the network. If the stored tensors do not fit, the result has another.
        """
        tensor = torch.cat(list(stored)) if len(stored) > 1 else stored[0]
        change = self._change(name)
        if change is not None and change.to_network is not None:
            return change.to_network(tensor)
        if change is not None or _without_ones(tensor.shape) == _without_ones(shape):
            return tensor.reshape(shape) if tensor.numel() == shape.numel() else tensor
        return tensor

    def prefixed(self, prefix: str) -> Scheme:
        """Return the scheme with a prefix before every name: of a network within a larger one, such as a detector."""
        names = [*self.names, (r"^", lambda _: prefix)]
        return replace(self, names=names, prefix=prefix, body="", writable=False)

    def without_body(self) -> Scheme:
        """Return the scheme for a file of the body alone."""
        return replace(self, names=[*self.names, (rf"^{re.escape(self.body)}", "")], body="", writable=False)

    def _change(self, name: str) -> Change | None:
        return next((change for pattern, change in self.changes.items() if re.search(pattern, name)), None)


def _without_ones(shape: torch.Size) -> list[int]:
    return [size for size in shape if size != 1]


ORIGINAL = Scheme("original")
"""The names of the zoo, which are those of the architecture's original release."""
