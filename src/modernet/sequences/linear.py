"""Linear attention.

Katharopoulos, Vyas, Pappas, Fleuret, "Transformers are RNNs: Fast Autoregressive Transformers with Linear Attention",
2020, arXiv 2006.16236.

The weight of a step, exp(q k), becomes a product of features, so that keys and values are summed before any query:

    y_t = S phi(q_t) / z phi(q_t),    S = sum_s v_s phi(k_s)^T,    z = sum_s phi(k_s)^T,    phi = elu + 1

Time n d^2 a head. The causal form has a second, recurrent one, whose state are the two sums: d^2 + d numbers a head.

The Arena's code is the same except for 1e-6 added to the denominator, and that padding is attended to, which no model
does here. So there is no variant of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from modernet.data.sequences.inputs import SequenceInputs
from modernet.errors import InputError
from modernet.sequences.attention import HeadMixer
from modernet.sequences.config import SequenceConfig, register_sequence_model
from modernet.sequences.mixer import Mixer

_CHUNK = 64  # steps: within a chunk every query meets every key, between chunks there are only sums


class LinearAttention(HeadMixer):
    """The attention above, causal or not."""

    can_be_causal: ClassVar[bool] = True

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__(config)
        self.causal = config.causal

    def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        q, k = features(q), features(k)
        if mask is not None:
            k = k * mask[:, None, :, None]
        return linear_attention(q, k, v, causal=self.causal)

    def initial_state(self, batch: int) -> Tensor:
        """Return the state before the first step: sums over no steps, (b, heads, d, d + 1).

        Raises:
            InputError: the attention is not causal.
        """
        if not self.causal:
            raise InputError("attention to later steps cannot go step by step; give causal=True")
        d = self.qkv.out_features // 3 // self.heads
        return self.qkv.weight.new_zeros(batch, self.heads, d, d + 1)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Mix one step of the causal form.

        Args:
            x: (b, c).
            state: from the step before, or `initial_state`.

        Returns:
            (b, c), and the state for the next step.
        """
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(1)  # each b h d
        state = state + features(k)[..., None] * with_weight(v)[..., None, :]
        y: Tensor = self.out(normalised((features(q)[..., None, :] @ state)[..., 0, :]).flatten(1))
        return y, state


def features(x: Tensor) -> Tensor:
    """Return phi(x), of the same shape and positive."""
    return F.elu(x) + 1


def linear_attention(q: Tensor, k: Tensor, v: Tensor, *, causal: bool = False) -> Tensor:
    """Return for each step t the mean of v_s, weighted by the product of q_t and k_s.

    Args:
        q, k: features of queries and keys, (b, heads, n, m), none negative; those of keys are 0 in padding.
        v: (b, heads, n, d).
        causal: take the mean over s <= t, not over all.

    Returns:
        (b, heads, n, d); 0 where all weights are.
    """
    v = with_weight(v)
    return normalised(causal_products(q, k, v) if causal else q @ (k.mT @ v))


def causal_products(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return the sums over s <= t of (q_t k_s) v_s: (b, heads, n, m) twice and (b, heads, n, e) -> (b, heads, n, e).

    Linear in n: the product of a chunk with itself, and with the sums over all earlier chunks.
    """
    n = q.shape[2]
    q, k, v = (
        torch.unflatten(F.pad(x, (0, 0, 0, -n % _CHUNK)), 2, (-1, _CHUNK)) for x in (q, k, v)
    )  # b h chunks 64 ...
    sums = (k.mT @ v).cumsum(2)
    earlier = F.pad(sums[:, :, :-1], (0, 0, 0, 0, 1, 0))
    y = q @ earlier + (q @ k.mT).tril() @ v
    return y.flatten(2, 3)[:, :, :n]


def with_weight(v: Tensor) -> Tensor:
    """Append a column of ones to values, which becomes the sum of the weights."""
    return F.pad(v, (0, 1), value=1.0)


def normalised(y: Tensor) -> Tensor:
    """Divide sums by their last column, the sum of the weights, unless it is 0."""
    weight = y[..., -1:]
    return y[..., :-1] / torch.where(weight == 0, 1, weight)


@dataclass(frozen=True, kw_only=True)
class LinearConfig(SequenceConfig):
    """An encoder with linear attention. There are no weights for `attention_dropout`."""

    def mixer(self, inputs: SequenceInputs, block: int) -> Mixer:
        return LinearAttention(self)


@register_sequence_model("Katharopoulos et al. 2020, arXiv 2006.16236")
def linear() -> LinearConfig:
    return LinearConfig()
