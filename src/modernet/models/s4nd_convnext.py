"""S4ND ConvNeXt.

Nguyen, Goel, Gu, Downs, Shah, Dao, Baccus, Ré, "S4ND: Modeling Images and Videos as Multidimensional Signals with
State Spaces", 2022, arXiv 2210.06583.

A ConvNeXt whose depthwise convolutions have kernels as large as the map. They are not tables of numbers but the
responses of state-space models (S4), one along the height and one along the width, multiplied. So a kernel is a
function of continuous positions, and its parameters do not depend on the size of the map.

    s4nd_convnext_tiny                             S4ND, c channels, h x w positions:
      stem, downsampling and head of ConvNeXt        S4 along h, both directions -> kernel of 2h - 1 values
      blocks at 96 x 56 x 56, 192 x 28 x 28,         S4 along w, both directions -> kernel of 2w - 1 values
      384 x 14 x 14 and 768 x 7 x 7:                 convolution along h, then along w, + D x
      S4ND -> LayerNorm -> 1x1 -> GELU -> 1x1

The product of two kernels is two convolutions in turn, and each is a matrix product here, where the authors' code
(state-spaces/s4) has FFTs over the padded map. Their configuration for ImageNet also has S4ND in the stem and between
stages, which by their code is 29.4 M parameters; the published 30.0 M are what S4ND in the blocks alone gives, as here.
Published are 5.2 G multiply-accumulates too; the count here is that of the matrix products, those that make the kernels
included. Kernels start from FouT with dt from 0.1 to 1. The authors train A, B, P and dt at a rate of 0.001 without
decay.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from modernet.errors import InputError
from modernet.layers.state_space import DPLR_STARTS, DplrKernel
from modernet.layers.state_space.dplr import corrected, dplr_kernel, transition, uncorrected
from modernet.layers.state_space.kernel import complex_of, exact, pairs_of
from modernet.models.convnext import Block, ConvNeXt, ConvNeXtConfig
from modernet.models.entry import Published, register_model


@dataclass(frozen=True, kw_only=True)
class S4NDConvNeXtConfig(ConvNeXtConfig):
    """A ConvNeXt with S4ND in its blocks."""

    state: int = 64
    """Real numbers of the state of a channel along an axis, even."""
    kernel_lengths: tuple[int, ...] = (56, 28, 14, 7)
    """Positions along an axis for which C̃ is learned, one number per stage; larger maps take more time for it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kernel_sizes != (7,) or self.small_kernel:
            raise InputError("the kernels of S4ND are as large as the map; leave out kernel_sizes and small_kernel")
        if len(self.kernel_lengths) != len(self.depths) or min(self.kernel_lengths) < 1:
            raise InputError(
                f"kernel_lengths is {self.kernel_lengths}; give a number above 0 for each of {len(self.depths)} stages"
            )


class S4ND(nn.Module):
    """Depthwise convolution whose kernel is the product of an S4 kernel along the height and one along the width.

    `(b, c, h, w)` in and out, for any h and w. Parameters have a row for each axis, height first; see `DplrKernel`.

    Args:
        dim: channels.
        length: positions along an axis for which C̃ is learned.
        state: real numbers of the state of a channel along an axis, even.
        dt_min, dt_max: limits of the initial dt: kernels reach about 1 / dt positions.
    """

    def __init__(self, dim: int, length: int, *, state: int = 64, dt_min: float = 0.1, dt_max: float = 1.0) -> None:
        super().__init__()
        start = DPLR_STARTS["fout"](state)
        height, width = (DplrKernel(dim, start, length, sides=2, dt_min=dt_min, dt_max=dt_max) for _ in range(2))
        self.log_dt = nn.Parameter(torch.stack([height.log_dt, width.log_dt]))
        self.log_decay = nn.Parameter(torch.cat([height.log_decay, width.log_decay]))
        self.frequency = nn.Parameter(torch.cat([height.frequency, width.frequency]))
        self.b = nn.Parameter(torch.cat([pairs_of(start.b)[None]] * 2).to(height.c))
        self.p = nn.Parameter(torch.cat([height.p, width.p]))
        self.c = nn.Parameter(torch.cat([height.c, width.c]))
        self.d = nn.Parameter(torch.randn(dim))
        self.length = length

    def forward(self, x: Tensor) -> Tensor:
        return _convolved(x, self.log_dt, self.log_decay, self.frequency, self.b, self.p, self.c, self.d, self.length)


class S4NDBlock(Block):
    """A ConvNeXt block with S4ND in place of its depthwise convolution."""

    def __init__(self, dim: int, s4nd: S4ND, *, drop_path: float, layer_scale_init: float, grn: bool) -> None:
        super().__init__(dim, drop_path=drop_path, layer_scale_init=layer_scale_init, grn=grn)
        self.dwconv: nn.Module = s4nd  # type: ignore[assignment]


class S4NDConvNeXt(ConvNeXt):
    """A ConvNeXt of `S4NDBlock`."""

    undecayed = (*ConvNeXt.undecayed, "log_dt", "log_decay", "frequency", "b", "p")

    def block(self, config: ConvNeXtConfig, stage: int, drop_path: float) -> Block:
        assert isinstance(config, S4NDConvNeXtConfig)
        dim = config.dims[stage]
        s4nd = S4ND(dim, config.kernel_lengths[stage], state=config.state)
        return S4NDBlock(dim, s4nd, drop_path=drop_path, layer_scale_init=config.layer_scale_init, grn=config.grn)


@torch.fx.wrap  # what it does depends on the shape, which is not known when torch.fx traces a network
def _convolved(
    x: Tensor,
    log_dt: Tensor,
    log_decay: Tensor,
    frequency: Tensor,
    b: Tensor,
    p: Tensor,
    c: Tensor,
    d: Tensor,
    length: int,
) -> Tensor:
    a = torch.complex(-exact(log_decay).exp().clamp(min=1e-12), exact(frequency))
    c_height, c_width = torch.chunk(c, 2)
    height = _along_axis(x.shape[2], log_dt[0], a[:1], b[:1], p[:1], c_height, length).to(x.dtype)
    width = _along_axis(x.shape[3], log_dt[1], a[1:], b[1:], p[1:], c_width, length).to(x.dtype)
    y = torch.einsum("cij,bcjw->bciw", height, x)
    return torch.einsum("cij,bchj->bchi", width, y) + d[:, None, None] * x


def _along_axis(size: int, log_dt: Tensor, a: Tensor, b: Tensor, p: Tensor, c: Tensor, length: int) -> Tensor:
    """Return the convolution along an axis as a matrix for each channel, float64 (c, size, size)."""
    dt, c, channels = exact(log_dt).exp(), exact(c), log_dt.shape[0]
    a, b, p = a.expand(channels, -1), exact(b).expand(channels, -1), exact(p).expand(channels, -1)
    if size > length:
        matrix = transition(a, p, dt)
        c = corrected(uncorrected(c, matrix, length), matrix, size)
    taps = dplr_kernel(max(size, length), a, complex_of(c), complex_of(b), complex_of(p), dt)[..., :size]
    by_lag = torch.cat([taps[1].flip(-1), taps[0]], -1)  # lags -size to size - 1: the second kernel starts at -1
    index = torch.arange(size, device=c.device)
    return by_lag[:, index[:, None] - index + size]


# --- variants -------------------------------------------------------------------------------------------------------


@register_model(S4NDConvNeXt, Published("ours, for tests", image_size=64))
def s4nd_convnext_test() -> S4NDConvNeXtConfig:
    return S4NDConvNeXtConfig(depths=(1, 1, 2, 1), dims=(8, 16, 32, 64), state=8, kernel_lengths=(16, 8, 4, 2))


# the published 5.2 G multiply-accumulates are of another algorithm, so there is no figure to compare with
@register_model(S4NDConvNeXt, Published("Nguyen et al. 2022", params_m=30.0, top1=82.2))
def s4nd_convnext_tiny() -> S4NDConvNeXtConfig:
    return S4NDConvNeXtConfig()
