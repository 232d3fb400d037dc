"""FNet.

Lee-Thorp, Ainslie, Eckstein, Ontanon, "FNet: Mixing Tokens with Fourier Transforms", 2021, arXiv 2105.03824.

Steps are mixed by a Fourier transform over steps and channels, of which the real part is kept: no parameters, in time
n c log(n c). Blocks are post-norm:

    x = norm(x + Re F_steps(F_channels(x)));  x = norm(x + MLP(x))

The transform is not scaled, neither in the paper nor here: of independent numbers it makes some that are sqrt(n c / 2)
times as large, next to which the x that is added hardly counts.

What a step receives depends on the length, so every sequence is transformed at its own: those of one length together,
without their padding. That is exact, and what each would get alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from modernet.data.sequences.inputs import SequenceInputs
from modernet.errors import InputError
from modernet.layers.mlp import Mlp
from modernet.sequences.config import SequenceConfig, register_sequence_model
from modernet.sequences.mixer import Mixer


class FourierMixing(Mixer):
    """The Fourier transform of every sequence; 0 in padding."""

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if mask is None:
            return fourier(x)
        y = torch.zeros_like(x)
        lengths = mask.sum(1)
        for length in torch.unique(lengths).tolist():
            if length:
                steps = mask & (lengths == length)[:, None]
                y[steps] = fourier(torch.unflatten(x[steps], 0, (-1, length))).flatten(0, 1)
        return y


def fourier(x: Tensor) -> Tensor:
    """Return the real part of the discrete Fourier transform over steps and channels, (b, n, c) -> (b, n, c).
    Computed in float32 or better, as there is no transform of bfloat16.
    """
    spectrum: Tensor = torch.fft.fft2(x.to(torch.promote_types(x.dtype, torch.float32)), dim=(1, 2))
    return spectrum.real.to(x.dtype)


class FNetBlock(nn.Module):
    """A post-norm block. (b, n, c) in and out."""

    def __init__(self, config: SequenceConfig, inputs: SequenceInputs, index: int) -> None:
        super().__init__()
        self.mixer = config.mixer(inputs, index)
        self.norm1 = nn.LayerNorm(config.width)
        self.mlp = Mlp(config.width, config.mlp_width)
        self.dropout = nn.Dropout(config.dropout)
        self.norm2 = nn.LayerNorm(config.width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        x = self.norm1(x + self.dropout(self.mixer(x, mask)))
        x = self.norm2(x + self.dropout(self.mlp(x)))
        return x


class FNetEncoder(nn.Module):
    """Post-norm blocks. (b, n, c) in and out."""

    def __init__(self, config: SequenceConfig, inputs: SequenceInputs) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(FNetBlock(config, inputs, index) for index in range(config.depth))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        for block in self.blocks:
            x = block(x, mask)
        return x


@dataclass(frozen=True, kw_only=True)
class FNetConfig(SequenceConfig):
    """An FNet. It has no heads, and no weights for `attention_dropout`."""

    def __post_init__(self) -> None:
        if self.causal:
            raise InputError("FNet has no causal form; leave out causal")

    def mixer(self, inputs: SequenceInputs, block: int) -> Mixer:
        return FourierMixing()

    def encoder(self, inputs: SequenceInputs) -> nn.Module:
        return FNetEncoder(self, inputs)


@register_sequence_model("Lee-Thorp et al. 2021, arXiv 2105.03824")
def fnet() -> FNetConfig:
    return FNetConfig()
