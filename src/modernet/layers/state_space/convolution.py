"""Convolution with kernels as long as the signal, by FFT."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

_AT_ONCE = 2**21
"""Numbers that are transformed at a time, so that signals and spectra stay in the cache."""


def long_convolution(x: Tensor, kernel: Tensor) -> Tensor:
    """Convolve each channel with its kernel: y_t = sum over s <= t of k0_{t-s} x_s, and with a second kernel
    + sum over s > t of k1_{s-t-1} x_s, so that each pair of steps is counted once.

    Transforms have the kernel's dtype. What is kept for the backward pass is x and the spectrum of the kernel.

    Args:
        x: (b, n, c).
        kernel: float32 or float64 (1, c, n), or (2, c, n) for both sides.

    Returns:
        (b, n, c) in the dtype of x.
    """
    length = x.shape[1]
    size = _fast_size(2 * length)  # so long that nothing of one end reaches the other
    taps = F.pad(kernel[0], (0, size - length))
    if len(kernel) == 2:
        taps = taps + F.pad(kernel[1].flip(-1), (size - length, 0))
    if torch.compiler.is_compiling():  # a loop over blocks would fix the batch
        spectrum = torch.fft.rfft(x.transpose(1, 2).to(kernel.dtype), n=size) * torch.fft.rfft(taps)
        y: Tensor = torch.fft.irfft(spectrum, n=size)[..., :length].transpose(1, 2).to(x.dtype)
        return y
    y = _Filter.apply(x, taps)
    return y


def _fast_size(least: int) -> int:
    """Return a number from `least` on that has small factors only, as fast transforms need."""
    return min(odd << (-(-least // odd) - 1).bit_length() for odd in (1, 3, 5, 9, 15))


class _Filter(torch.autograd.Function):
    """Circular convolution of signals (b, n, c), padded with zeros, with taps (c, size); its first n steps.

    Some signals are transformed at a time, so that each pass over them is in the cache. The backward pass transforms
    them again: nothing is kept but the signals themselves and the spectrum of the taps.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, taps: Tensor) -> Tensor:
        spectrum, y = torch.fft.rfft(taps), torch.empty_like(x, memory_format=torch.contiguous_format)
        for signals, found in _blocks(taps, x, y):
            _write(found, torch.fft.irfft(_spectrum(signals, taps).mul_(spectrum), n=taps.shape[-1]))
        ctx.save_for_backward(x, taps, spectrum)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, taps, spectrum = ctx.saved_tensors
        conjugate, total = spectrum.conj().resolve_conj(), torch.zeros_like(spectrum)
        x_grad = torch.empty_like(x, memory_format=torch.contiguous_format)
        for signals, errors, found in _blocks(taps, x, grad, x_grad):
            error = _spectrum(errors, taps)
            total += _spectrum(signals, taps).conj_physical_().mul_(error).sum(0)
            _write(found, torch.fft.irfft(error.mul_(conjugate), n=taps.shape[-1]))
        return x_grad, torch.fft.irfft(total, n=taps.shape[-1])


def _blocks(taps: Tensor, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    count = max(1, _AT_ONCE // taps.numel())
    return zip(*(torch.split(tensor, count) for tensor in tensors), strict=True)


def _spectrum(signals: Tensor, taps: Tensor) -> Tensor:
    """Return the transform of signals (b, n, c) that are padded with zeros, (b, c, size / 2 + 1)."""
    padded = taps.new_zeros(len(signals), *taps.shape)
    padded[..., : signals.shape[1]] = signals.transpose(1, 2)
    spectrum: Tensor = torch.fft.rfft(padded)
    return spectrum


def _write(out: Tensor, signals: Tensor) -> None:
    """Write the first n steps of signals (b, c, size) to (b, n, c)."""
    out.copy_(signals[..., : out.shape[1]].transpose(1, 2))
