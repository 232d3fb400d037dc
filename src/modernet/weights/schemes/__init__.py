"""Which projects' names each family's weights go by."""

from __future__ import annotations

from torch import nn

from modernet.models.convnext import ConvNeXt
from modernet.weights.schemes.convnext import CONVNEXT
from modernet.weights.schemes.scheme import ORIGINAL, Change, Scheme

__all__ = ["Change", "Scheme", "schemes_of"]

_SCHEMES: dict[type[nn.Module], tuple[Scheme, ...]] = {
    ConvNeXt: CONVNEXT,
}


def schemes_of(network: nn.Module) -> tuple[Scheme, ...]:
    """The schemes that a network's weights are known under; its own names always."""
    return _SCHEMES.get(type(network), (ORIGINAL,))
