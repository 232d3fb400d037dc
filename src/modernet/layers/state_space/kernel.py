"""What the kernels of state-space models share: their parameters, and the recurrence that they stand for."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from modernet.errors import InputError
from modernet.layers.state_space.hippo import Start

_SLOWEST = 1e-4
"""The smallest decay to start from, as in the authors' code: FouT's is 0."""


class Recurrence(NamedTuple):
    """A state-space model step by step: x <- Ā x + B̄ u, y = 2 Re(C x).

    Attributes:
        x: state, complex (b, c, n / 2).
        a: of the diagonal part, complex (c, n / 2).
        b: B̄, complex (c, n / 2).
        c: 2 conj(C) as pairs of real numbers, (c, n), whose product with those of x is y.
        low_rank: with A = diag(a) - p pᴴ, what the step of p needs besides; None if A is diagonal.
    """

    x: Tensor
    a: Tensor
    b: Tensor
    c: Tensor
    low_rank: tuple[Tensor, ...] | None = None

    def output(self, x: Tensor) -> Tensor:
        """Return y of a state."""
        return real_product(self.c, x)


class StateSpaceKernel(nn.Module, ABC):
    """Kernels of a state-space model for each channel.

    Complex parameters are pairs of real numbers, since several optimizers, casts and file formats lose imaginary parts;
    and of at most three dimensions, since channels_last memory reorders four. A is -exp(log_decay) + i frequency, so
    that it is stable whatever is learned. Kernels are computed in float64, which costs little as they do not depend on
    the batch, and returned in float32, or float64 if the parameters are.

    Args:
        width: channels, c.
        start: what A, B and P are initialised with; it decides n, the real numbers of a state.
        sides: kernels of a channel, which differ in C only.
        systems: how many A, B and P there are; channels share them in turn. None: one for each channel.
        dt_min, dt_max: limits of dt, which is drawn log-uniformly for each channel.
        learn_b: whether B is a parameter; else it is 1.

    Raises:
        InputError: a value is out of range.
    """

    def __init__(
        self,
        width: int,
        start: Start,
        *,
        sides: int = 1,
        systems: int | None = 1,
        dt_min: float = 0.001,
        dt_max: float = 0.1,
        learn_b: bool = True,
    ) -> None:
        super().__init__()
        systems = width if systems is None else systems
        if systems < 1 or width % systems:
            raise InputError(f"{width} channels cannot share {systems} systems equally; give a divisor of {width}")
        if not 0 < dt_min <= dt_max:
            raise InputError(f"dt_min is {dt_min} and dt_max {dt_max}; give 0 < dt_min <= dt_max")
        self.width, self.sides = width, sides
        low, high = math.log(dt_min), math.log(dt_max)
        self.log_dt = nn.Parameter(low + (high - low) * torch.rand(width))
        decay = start.a.real.neg().clamp(min=_SLOWEST)
        self.log_decay = nn.Parameter(_copies(decay.log(), systems))
        self.frequency = nn.Parameter(_copies(start.a.imag, systems))
        self.b = nn.Parameter(_copies(pairs_of(start.b), systems)) if learn_b else None
        self.c = nn.Parameter(math.sqrt(0.5) * torch.randn(sides, width, 2 * len(start.a)))

    @abstractmethod
    def forward(self, length: int, rate: float = 1.0) -> Tensor:
        """Return the first `length` values of the kernels, (sides, c, length), with dt multiplied by `rate`."""

    @abstractmethod
    def recurrence(self, batch: int, rate: float = 1.0) -> Recurrence:
        """Return the recurrence of the first side, by the parameters as they are now, with a state of zeros."""

    @abstractmethod
    def advance(self, state: Recurrence, u: Tensor) -> tuple[Tensor, Recurrence]:
        """Take one step: u (b, c) -> y (b, c) and the next state."""

    def dynamics(self) -> list[nn.Parameter]:
        """Return the parameters of A, B and dt."""
        return [parameter for name, parameter in self.named_parameters() if name != "c"]

    @property
    def dtype(self) -> torch.dtype:
        """Of kernels: float64 if the parameters are, else float32."""
        return torch.promote_types(self.c.dtype, torch.float32)

    def dt(self, rate: float = 1.0) -> Tensor:
        """Return dt of each channel, float64 (c,)."""
        return rate * exact(self.log_dt).exp()

    def a(self) -> Tensor:
        """Return the eigenvalues of each channel, complex128 (c, n / 2). Their real parts are below 0."""
        decay = exact(self.log_decay).exp().clamp(min=1e-12)
        return self.each(torch.complex(-decay, exact(self.frequency)))

    def inputs(self) -> Tensor:
        """Return B of each channel, complex128 (c, n / 2)."""
        return torch.ones_like(self.a()) if self.b is None else self.each(complex_of(self.b))

    def each(self, x: Tensor) -> Tensor:
        """Return for each channel what each system has."""
        return x.repeat(self.width // len(x), 1)


def exact(x: Tensor) -> Tensor:
    """Return a tensor in float64, or in float32 on devices that do not have it."""
    return x.to(torch.float32 if x.device.type == "mps" else torch.float64)


def complex_of(x: Tensor) -> Tensor:
    """Return pairs of real numbers, (..., n), as complex128 (..., n / 2)."""
    x = exact(x)
    return torch.complex(x[..., ::2], x[..., 1::2])


def real_product(pairs: Tensor, x: Tensor) -> Tensor:
    """Return Re(sum of conj(p) x) over the last dimension, where p is given as pairs of real numbers."""
    return (pairs * torch.view_as_real(x).flatten(-2)).sum(-1)


def pairs_of(x: Tensor) -> Tensor:
    """Return complex numbers (..., n / 2) as pairs of real ones, (..., n)."""
    return torch.view_as_real(x).flatten(-2)


def _copies(x: Tensor, systems: int) -> Tensor:
    return x.to(torch.get_default_dtype()).repeat(systems, 1)
