"""The Performer.

Choromanski et al., "Rethinking Attention with Performers", 2020, arXiv 2009.14794.

Softmax's kernel is the expectation of a product of positive features over random directions w ~ N(0, I):

    exp(q k / sqrt(d)) = E[phi(q) phi(k)],    phi(x) = exp(w x / d^(1/4) - |x|^2 / (2 sqrt(d)))

With m directions instead of the expectation, attention is linear (`linear.py`), in time n m d a head. Directions are
orthogonal in blocks of d, which lowers the variance. A block is Q of a QR decomposition of normal numbers, with the
signs of R's diagonal: without these Q is not uniform, and the estimate is biased. Its rows get the lengths of
independent normal vectors, so that each is normal by itself, and the estimate unbiased (the authors' scaling 0).

In training every call draws directions, as the paper advises in order to average over their error; evaluation has the
ones that were drawn when the network was made, which are saved with it.

The authors' code adds 1e-6 to features after dividing them by a maximum. Here nothing is added: each feature of the
keys is divided by its maximum over steps, and that of the queries multiplied by it, so that no sum vanishes.

Released variants (google-research/long-range-arena):
    performer_lra: phi(x) = relu(x) + 0.001 on queries and keys themselves. No random directions, and nothing that
        approximates softmax, in all tasks but one.
    performer_lra_listops: FAVOR+ with 2 independent directions, in ListOps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from modernet.data.sequences.inputs import SequenceInputs
from modernet.errors import InputError
from modernet.sequences.attention import HeadMixer
from modernet.sequences.config import SequenceConfig, register_sequence_model
from modernet.sequences.linear import linear_attention
from modernet.sequences.mixer import Mixer

_RELU_OFFSET = 1e-3  # the released code's


class FavorAttention(HeadMixer):
    """Attention by positive random features, FAVOR+."""

    can_be_causal: ClassVar[bool] = True

    directions: Tensor

    def __init__(self, config: PerformerConfig) -> None:
        super().__init__(config)
        self.causal, self.orthogonal, self.redraw = config.causal, config.orthogonal, config.redraw
        dim = self.qkv.out_features // 3 // config.heads
        self.register_buffer("directions", draw_directions(config.features, dim, orthogonal=config.orthogonal))

    def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        directions = self.directions
        if self.training and self.redraw:
            directions = draw_directions(*directions.shape, orthogonal=self.orthogonal, device=q.device).to(directions)
        log_q, log_k = log_features(q, directions), log_features(k, directions)
        if mask is not None:
            log_k = log_k.masked_fill(~mask[:, None, :, None], torch.finfo(log_k.dtype).min)
        largest = log_k.detach().amax(2, keepdim=True)  # b h 1 m
        log_q = log_q + largest
        q, k = (log_q - log_q.detach().amax(-1, keepdim=True)).exp(), (log_k - largest).exp()
        return linear_attention(q, k, v, causal=self.causal)


class ReluAttention(HeadMixer):
    """Linear attention with relu(x) + 0.001 as features."""

    can_be_causal: ClassVar[bool] = True

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__(config)
        self.causal = config.causal

    def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        q, k = F.relu(q) + _RELU_OFFSET, F.relu(k) + _RELU_OFFSET
        if mask is not None:
            k = k * mask[:, None, :, None]
        return linear_attention(q, k, v, causal=self.causal)


def log_features(x: Tensor, directions: Tensor) -> Tensor:
    """Return the logarithms of phi(x): (..., d) and (m, d) -> (..., m). The mean over m of the product of a query's and
    a key's features estimates exp(q k / sqrt(d)).
    """
    x = x * x.shape[-1] ** -0.25
    x = torch.cat([x, -x.square().sum(-1, keepdim=True) / 2], -1)  # one product for both terms
    return x @ F.pad(directions, (0, 1), value=1.0).mT


def draw_directions(count: int, dim: int, *, orthogonal: bool = True, device: torch.device | None = None) -> Tensor:
    """Draw `count` directions, float32 (m, d), each N(0, I).

    Args:
        orthogonal: each `dim` of them, one after the other; independent otherwise.
    """
    if not orthogonal:
        return torch.randn(count, dim, device=device)
    normal = torch.randn(-(-count // dim), dim, dim, device=device)
    q, r = torch.linalg.qr(normal)
    uniform: Tensor = q * r.diagonal(dim1=-2, dim2=-1).sign()[:, None]  # columns times signs
    lengths: Tensor = torch.linalg.vector_norm(torch.randn(count, dim, device=device), dim=-1, keepdim=True)
    return uniform.flatten(0, 1)[:count] * lengths


@dataclass(frozen=True, kw_only=True)
class PerformerConfig(SequenceConfig):
    """A Performer encoder. There are no weights for `attention_dropout`."""

    kernel: Literal["softmax", "relu"] = "softmax"
    """What features estimate: softmax's kernel, from random directions; or relu, which estimates nothing."""
    features: int = 256
    """Random directions, of softmax."""
    orthogonal: bool = True
    """Make the directions orthogonal."""
    redraw: bool = True
    """Draw directions at every call in training."""

    def __post_init__(self) -> None:
        if self.features < 1:
            raise InputError(f"features is {self.features}; give 1 or more")

    def mixer(self, inputs: SequenceInputs, block: int) -> Mixer:
        return FavorAttention(self) if self.kernel == "softmax" else ReluAttention(self)


@register_sequence_model("Choromanski et al. 2020, arXiv 2009.14794; 256 features")
def performer() -> PerformerConfig:
    return PerformerConfig()


@register_sequence_model("google-research/long-range-arena, all tasks but ListOps")
def performer_lra() -> PerformerConfig:
    return PerformerConfig(kernel="relu")


@register_sequence_model("google-research/long-range-arena, ListOps")
def performer_lra_listops() -> PerformerConfig:
    return PerformerConfig(features=2, orthogonal=False)
