"""The layer of S4: a state-space model for each channel, then a gated linear layer between channels."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.errors import InputError
from modernet.layers.precision import without_autocast
from modernet.layers.state_space import Recurrence, StateSpaceKernel, long_convolution
from modernet.sequences.mixer import Mixer


class LayerState(NamedTuple):
    """What a layer remembers between steps, and the D of each channel."""

    recurrence: Recurrence
    d: Tensor


class StateSpaceMixer(Mixer):
    """Convolution with long kernels -> + D x -> GELU -> linear to 2c -> GLU. (b, n, c) in and out.

    With two sides, the second kernel is for later steps and starts at the next one, as in the authors' code: see
    `long_convolution`. Kernels and FFTs are in float32 whatever autocast says; Fourier transforms know neither bfloat16
    nor, on a CPU, float16.

    Args:
        kernel: of the state-space model; one side, or two.
        dropout: rate before the GELU and after it.
        tie_dropout: drop channels in all steps alike.
        rate: factor of dt: 2 for signals sampled at half the frequency of those in training.
    """

    can_be_causal: ClassVar[bool] = True

    def __init__(
        self, kernel: StateSpaceKernel, *, dropout: float = 0.0, tie_dropout: bool = False, rate: float = 1.0
    ) -> None:
        super().__init__()
        self.kernel = kernel
        self.d = nn.Parameter(torch.randn(kernel.width))
        self.output = nn.Linear(kernel.width, 2 * kernel.width)
        self.dropout = StepDropout(dropout, tied=tie_dropout)
        self.rate = rate

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if mask is not None:
            x = x * mask[..., None]
        y = F.gelu(self.dropout(self.convolve(x)))
        return F.glu(self.output(self.dropout(y)))

    def convolve(self, x: Tensor) -> Tensor:
        """Apply the state-space model. (b, n, c) in and out, padding included."""
        with without_autocast(x.device):
            kernel = self.kernel(x.shape[1], self.rate)
            # D is one more value of the kernel at lag 0
            first = kernel[:1] + F.pad(self.d[:, None].to(kernel.dtype), (0, x.shape[1] - 1))
            return long_convolution(x, torch.cat([first, kernel[1:]]))

    def initial_state(self, batch: int) -> LayerState:
        """Return the state before the first step, by the parameters as they are now.

        Raises:
            InputError: the layer sees later steps.
        """
        if self.kernel.sides > 1:
            raise InputError("a layer with two sides sees later steps and cannot go step by step; give causal=True")
        return LayerState(self.kernel.recurrence(batch, self.rate), self.d)

    def step(self, u: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        """Take one step: what `forward` returns for it in evaluation mode, at a cost that does not depend on the past.

        Args:
            u: (b, c).
            state: of `initial_state` or of the step before.

        Returns:
            (b, c), and the next state.
        """
        y, recurrence = self.kernel.advance(state.recurrence, u.to(state.recurrence.c.dtype))
        y = torch.addcmul(y, state.d, u).to(u.dtype)
        return F.glu(self.output(F.gelu(y))), state._replace(recurrence=recurrence)

    def dynamics(self) -> list[nn.Parameter]:
        return self.kernel.dynamics()


class StepDropout(nn.Module):
    """Dropout on sequences, (b, n, c) in and out; `tied` drops channels in all steps alike."""

    def __init__(self, rate: float, *, tied: bool) -> None:
        super().__init__()
        self.rate, self.tied = rate, tied

    def forward(self, x: Tensor) -> Tensor:
        if not self.tied:
            return F.dropout(x, self.rate, self.training)
        return x * F.dropout(x.new_ones(x.shape[0], 1, x.shape[2]), self.rate, self.training)
