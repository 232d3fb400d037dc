"""The kernel of a diagonal state-space model, S4D (Gu, Gupta, Goel, Ré 2022, arXiv 2206.11893).

K_l = 2 Re(sum over n of w_n ā_n^l) is a product with a Vandermonde matrix of n / 2 x length for each channel, which is
the largest tensor of the layer by far where it is written out. Here l = i m + j, so that ā^l = (ā^m)^i ā^j: two tables
of about the square root of the length, and one real matrix product.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from modernet.layers.state_space.hippo import Start
from modernet.layers.state_space.kernel import Recurrence, StateSpaceKernel, complex_of, pairs_of

Discretization = Literal["zoh", "bilinear"]


class DiagonalKernel(StateSpaceKernel):
    """Kernels of S4D; arguments as of `StateSpaceKernel`.

    Args:
        discretization: zero-order hold, ā = exp(dt a), or bilinear, ā = (1 + dt a / 2) / (1 - dt a / 2).
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
        discretization: Discretization = "zoh",
    ) -> None:
        super().__init__(width, start, sides=sides, systems=systems, dt_min=dt_min, dt_max=dt_max, learn_b=learn_b)
        self.discretization = discretization

    def forward(self, length: int, rate: float = 1.0) -> Tensor:
        log_a, b = self._discrete(rate)
        return powers_sum(complex_of(self.c) * b, log_a, length, self.dtype)

    def recurrence(self, batch: int, rate: float = 1.0) -> Recurrence:
        log_a, b = self._discrete(rate)
        a, b = (x.to(self.dtype.to_complex()) for x in (log_a.exp(), b))
        c = pairs_of(2 * complex_of(self.c[0]).conj().resolve_conj()).to(self.dtype)
        return Recurrence(a.new_zeros(batch, *a.shape), a, b, c)

    def advance(self, state: Recurrence, u: Tensor) -> tuple[Tensor, Recurrence]:
        x = torch.addcmul(state.b * u[..., None], state.a, state.x)
        return state.output(x), state._replace(x=x)

    def _discrete(self, rate: float) -> tuple[Tensor, Tensor]:
        """Return log ā and b̄, complex128 (c, n / 2)."""
        a, dt = self.a(), self.dt(rate)[:, None]
        b, x = self.inputs(), dt * a
        if self.discretization == "zoh":
            return x, b * (x.exp() - 1) / a
        return ((1 + x / 2) / (1 - x / 2)).log(), dt * b / (1 - x / 2)


def powers_sum(w: Tensor, log_a: Tensor, length: int, dtype: torch.dtype) -> Tensor:
    """Return 2 Re(sum over n of w_n exp(l log_a_n)) for l below `length`.

    Args:
        w: complex128 (s, c, n).
        log_a: complex128 (c, n). Angles grow with l, so that float32 would lose digits of them.
        length: how many l.
        dtype: of the product.

    Returns:
        (s, c, length).
    """
    block = 1 << ((length - 1).bit_length() + 1) // 2  # near the square root
    blocks = -(-length // block)
    index = torch.arange(max(block, blocks), device=w.device)
    within = (log_a[..., None] * index[:block]).exp()  # c n m
    starts = (log_a[..., None] * (block * index[:blocks])).exp()  # c n i
    # the product of pairs is Re(conj(x) y) = Re x Re y + Im x Im y
    left = torch.view_as_real((2 * w[..., None] * starts).conj().resolve_conj()).to(dtype)  # s c n i 2
    right = torch.view_as_real(within).to(dtype)  # c n m 2
    sides, channels, states = w.shape
    left = left.permute(1, 0, 3, 2, 4).reshape(channels, sides * blocks, 2 * states)
    right = right.transpose(2, 3).reshape(channels, 2 * states, block)
    product = torch.bmm(left, right)
    return product.view(channels, sides, blocks * block).transpose(0, 1)[..., :length]
