"""The kernel of a state-space model whose matrix is diagonal plus low-rank, S4 (Gu, Goel, Ré 2021, arXiv 2111.00396).

A = diag(a) - p pᴴ is sampled by the bilinear rule, Ā = (I - dt/2 A)⁻¹ (I + dt/2 A). The kernel K_l = C Ā^l B̄ of length
L has the Fourier transform, with C̃ = C (I - Ā^L) and z = 2 (1 - w) / (1 + w) at w = exp(-2πi k / L),

    2 / (1 + w) (r(C̃, B) - r(C̃, p) r(p̄, B) / (1 + r(p̄, p))),    r(x, y) = dt sum over n of x_n y_n / (z - dt a_n)

(Woodbury). As in the authors' code it is C̃ that is learned. Unlike there, C follows from it exactly wherever another
length or rate is asked for.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from modernet.layers.state_space.hippo import Start
from modernet.layers.state_space.kernel import Recurrence, StateSpaceKernel, complex_of, exact, pairs_of, real_product

_AT_ONCE = 2**18
"""Terms of the sums r that are in memory at a time, so that they stay in the cache."""


class DplrKernel(StateSpaceKernel):
    """Kernels of S4; arguments as of `StateSpaceKernel`.

    Args:
        length: L, for which C̃ is learned. Shorter kernels are the beginning of this one; for longer ones, C̃ is
            converted in every pass, which is as exact but slower. A state dict of another length is converted once.
    """

    def __init__(
        self,
        width: int,
        start: Start,
        length: int,
        *,
        sides: int = 1,
        systems: int | None = 1,
        dt_min: float = 0.001,
        dt_max: float = 0.1,
    ) -> None:
        super().__init__(width, start, sides=sides, systems=systems, dt_min=dt_min, dt_max=dt_max)
        self.p = nn.Parameter(pairs_of(start.p).to(self.log_decay).repeat(len(self.log_decay), 1))
        self.length = length
        with torch.no_grad():
            self.c.copy_(corrected(exact(self.c), self._transition(), length))

    def forward(self, length: int, rate: float = 1.0) -> Tensor:
        c, whole = exact(self.c), max(length, self.length)
        if length > self.length or rate != 1.0:
            c = corrected(self._output(), self._transition(rate), whole)
        inputs = (self.a(), complex_of(c), self.inputs(), self.each(complex_of(self.p)), self.dt(rate))
        return _by_channels(inputs, whole).to(self.dtype)[..., :length]

    def recurrence(self, batch: int, rate: float = 1.0) -> Recurrence:
        a, p = self.a(), self.each(complex_of(self.p))
        b, c = self.inputs(), complex_of(self._output()[0])
        # Ā = (2/dt - A)⁻¹ (2/dt + A); the inverse is d = 1 / (2/dt - a) and a low-rank term
        inverse_dt = 2 / self.dt(rate)[:, None]
        d = 1 / (inverse_dt - a)
        gain = 2 * d * p / (1 + 2 * (p.conj() * d * p).real.sum(-1, keepdim=True))
        b = 2 * (d * b - gain * (p.conj() * d * b).real.sum(-1, keepdim=True))
        c, pairs = (pairs_of(x).to(self.dtype) for x in (2 * c.conj().resolve_conj(), p))
        a, b, p, d, gain = (x.to(self.dtype.to_complex()) for x in (inverse_dt + a, b, 2 * p, d, gain))
        return Recurrence(a.new_zeros(batch, *a.shape), a, b, c, (p, pairs, d, gain))

    def advance(self, state: Recurrence, u: Tensor) -> tuple[Tensor, Recurrence]:
        assert state.low_rank is not None
        twice_p, pairs, d, gain = state.low_rank
        x = d * (state.a * state.x - twice_p * real_product(pairs, state.x)[..., None])
        x = x - gain * real_product(pairs, x)[..., None] + state.b * u[..., None]
        return state.output(x), state._replace(x=x)

    def _output(self) -> Tensor:
        """Return C of C̃, float64 (sides, c, n) as pairs."""
        return uncorrected(exact(self.c), self._transition(), self.length)

    def _transition(self, rate: float = 1.0) -> Tensor:
        return transition(self.a(), self.each(exact(self.p)), self.dt(rate))

    def get_extra_state(self) -> Tensor:
        """Return the length that C̃ is for, which state dicts have; as a buffer, an EMA would round it."""
        return torch.tensor(self.length)

    def set_extra_state(self, state: Tensor) -> None:
        """Convert a C̃ that was loaded and is for another length."""
        if self.c.is_meta or int(state) == self.length:
            return
        matrix = self._transition().detach()
        c = uncorrected(exact(self.c.detach()), matrix, int(state))
        self.c.data = corrected(c, matrix, self.length).to(self.c.dtype)


def dplr_kernel(length: int, a: Tensor, c: Tensor, b: Tensor, p: Tensor, dt: Tensor) -> Tensor:
    """Return the kernels of A = diag(a) - p pᴴ, each of which is the beginning of all that are longer.

    With cos and sin of πk / L for k from 0 to L / 2, z = 2i sin / cos and 2 / (1 + w) = exp(iπk / L) / cos. All is
    multiplied by cos, so that it is exact at k = L / 2, where z is infinite. A conjugate pair is
    v / (z - a) + v̄ / (z - ā) = (2 Re(v) z - 2 Re(v ā)) / (z² - 2 Re(a) z + |a|²), whose denominator is real arithmetic.

    Args:
        length: L.
        a, b, p: complex128 (c, n).
        c: C̃ for this length, complex128 (s, c, n).
        dt: float64 (c,).

    Returns:
        Float64 (s, c, L).
    """
    step = dt[:, None]
    x = step * a
    q = torch.conj(p)
    v = torch.cat([c * b, c * p, (q * b).unsqueeze(0), (q * p).unsqueeze(0)]).transpose(0, 1)  # c (2s + 2) n
    of_sin = 4 * step.unsqueeze(-1) * torch.real(v)
    of_cos = -2 * step.unsqueeze(-1) * torch.real(v * torch.conj(x).unsqueeze(1))

    angle = (math.pi / length) * torch.arange(length // 2 + 1, device=dt.device, dtype=dt.dtype)
    sin, cos = torch.sin(angle), torch.cos(angle)
    decay, frequency = torch.real(x).unsqueeze(-1) * cos, torch.imag(x).unsqueeze(-1) * cos  # c n k
    real = (frequency - 2 * sin) * (frequency + 2 * sin) + decay.square()
    imaginary = -4 * sin * decay
    size = real.square() + imaginary.square()
    inverse = torch.cat([real / size, -imaginary / size], -1)  # of the denominators: c n 2k

    by_sin, by_cos = torch.chunk(torch.bmm(torch.cat([of_sin, of_cos], 1), inverse), 2, 1)  # c (2s + 2) 2k
    sin_real, sin_imaginary = torch.chunk(by_sin, 2, -1)
    cos_real, cos_imaginary = torch.chunk(by_cos, 2, -1)
    # r / cos, where the terms of sin are multiplied by i
    r = torch.complex(cos * cos_real - sin * sin_imaginary, cos * cos_imaginary + sin * sin_real)
    sides = c.shape[0]
    spectrum = r[:, :sides] - cos * r[:, sides:-2] * r[:, -2:-1] / (1 + cos * r[:, -1:])
    kernel: Tensor = torch.fft.irfft(torch.complex(cos, sin) * spectrum, n=length).transpose(0, 1)
    return kernel


def _by_channels(inputs: tuple[Tensor, ...], length: int) -> Tensor:
    """Compute some channels at a time, for memory; the backward pass computes them again."""
    a = inputs[0]
    count = max(1, _AT_ONCE // (a.shape[1] * (length // 2 + 1)))
    dims = (0, 1, 0, 0, 0)
    parts = zip(*(torch.split(x, count, dim) for x, dim in zip(inputs, dims, strict=True)), strict=True)
    if not torch.is_grad_enabled() or count >= len(a) or torch.compiler.is_compiling():
        return torch.cat([dplr_kernel(length, *part) for part in parts], 1)
    return torch.cat([checkpoint(dplr_kernel, length, *part, use_reentrant=False) for part in parts], 1)


def transition(a: Tensor, p: Tensor, dt: Tensor) -> Tensor:
    """Return Ā as real matrices, (c, n, n), on states written as pairs of real numbers.

    Args:
        a: complex128 (c, n / 2).
        p: float64 (c, n), pairs.
        dt: float64 (c,).
    """
    decay = torch.real(a).repeat_interleave(2, -1)
    turn = torch.stack([torch.imag(a), torch.zeros_like(dt)[:, None].expand(-1, a.shape[1])], -1).flatten(1)[:, :-1]
    matrix = torch.diag_embed(decay) - torch.diag_embed(turn, 1) + torch.diag_embed(turn, -1)
    matrix = (matrix - 2 * p[:, :, None] * p[:, None, :]) * (dt[:, None, None] / 2)
    eye = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    solution: Tensor = torch.linalg.solve(eye - matrix, eye + matrix)
    return solution


def corrected(c: Tensor, matrix: Tensor, length: int) -> Tensor:
    """Return C̃ = C (I - Ā^L).

    Args:
        c: C, float64 (s, c, n), pairs.
        matrix: Ā, as `transition` returns it.
        length: L.
    """
    sign = _conjugation(c)
    return sign * ((sign * c).transpose(0, 1) @ _correction(matrix, length)).transpose(0, 1)


def uncorrected(c: Tensor, matrix: Tensor, length: int) -> Tensor:
    """Return C of C̃; arguments as of `corrected`."""
    sign = _conjugation(c)
    rows = torch.linalg.solve(_correction(matrix, length), (sign * c).transpose(0, 1), left=False)
    result: Tensor = sign * rows.transpose(0, 1)
    return result


def _correction(matrix: Tensor, length: int) -> Tensor:
    eye = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    power: Tensor = torch.linalg.matrix_power(matrix, length)
    return eye - power


def _conjugation(c: Tensor) -> Tensor:
    """Return what makes rows of complex numbers rows of real ones: Re(c x) = Re c Re x - Im c Im x."""
    return torch.tensor([1.0, -1.0], dtype=c.dtype, device=c.device).repeat(c.shape[-1] // 2)
