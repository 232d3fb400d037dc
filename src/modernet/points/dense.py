"""Layers that treat each point alike.

The releases write them as convolutions of 1 x 1. Here they are products of one matrix with all points of a batch,
(b * n, c), over which BatchNorm takes its mean and variance. As in the releases eps is .001, and weights are
Xavier-uniform. Their bias before BatchNorm, which BatchNorm removes, is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

from torch import Tensor, nn

Activation = Callable[[], nn.Module]
_relu: Activation = partial(nn.ReLU, inplace=True)


class Normed(nn.Module):
    """BatchNorm over all points of the batch, then an activation: (..., c) in and out."""

    def __init__(self, dim: int, activation: Activation = _relu) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(dim, eps=1e-3)
        self.act = activation()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.norm(x.flatten(0, -2)))  # ... c -> b*n c
        return y.view(x.shape)


def linear(dim: int, out: int, *, bias: bool = False) -> nn.Linear:
    """Make a linear layer with Xavier-uniform weights and a bias of zero."""
    layer = nn.Linear(dim, out, bias=bias)
    nn.init.xavier_uniform_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def dense(dim: int, out: int, activation: Activation = _relu) -> nn.Sequential:
    """Make linear -> BatchNorm -> activation: (..., dim) -> (..., out)."""
    return nn.Sequential(linear(dim, out), Normed(out, activation))


def mlp(*dims: int) -> nn.Sequential:
    """Make a `dense` layer from each width to the next."""
    return nn.Sequential(*(dense(dim, out) for dim, out in pairwise(dims)))


class ContextDense(nn.Module):
    """A `dense` layer of the channels that a cloud has, and those of each point: (b, d), (b, n, c) -> (b, n, out).

    One matrix for both channels is the sum of two, so the cloud's are not copied to all points.
    """

    def __init__(self, context: int, dim: int, out: int) -> None:
        super().__init__()
        self.context, self.each = linear(context, out), linear(dim, out)
        self.norm = Normed(out)

    def forward(self, context: Tensor, x: Tensor) -> Tensor:
        x = self.norm(self.each(x) + self.context(context)[:, None])
        return x
