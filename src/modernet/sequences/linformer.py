"""The Linformer.

Wang, Li, Khabsa, Fang, Ma, "Linformer: Self-Attention with Linear Complexity", 2020, arXiv 2006.04768.

Keys and values are projected along the sequence to a few, learned mixtures of all steps:

    y = softmax(q (E k)^T / sqrt(d)) F v,    E, F  (rank, n)

Time n rank d a head, and 2 n rank parameters a layer. E and F are shared by the heads ("headwise sharing"; the paper
has other kinds as well). A sequence that is shorter than the longest uses the first columns of E and F; keys and values
of padding are zeroed before they are projected.

Released variant (google-research/long-range-arena):
    linformer_lra: rank 16 in every task, and one projection for keys and values. The code sees padding, as it has no
        mask there; that is not kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.data.sequences.inputs import SequenceInputs
from modernet.errors import InputError
from modernet.sequences.attention import HeadMixer
from modernet.sequences.config import SequenceConfig, register_sequence_model
from modernet.sequences.mixer import Mixer


class LinformerAttention(HeadMixer):
    """Attention to `rank` mixtures of steps.

    Args:
        config: of the model.
        steps: of the longest sequence.
    """

    def __init__(self, config: LinformerConfig, steps: int) -> None:
        super().__init__(config)
        self.rate = config.attention_dropout
        self.projection = nn.Parameter(torch.empty(1 if config.shared else 2, config.rank, steps))
        for matrix in self.projection:
            nn.init.xavier_uniform_(matrix)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        if mask is not None:
            k, v = k * mask[:, None, :, None], v * mask[:, None, :, None]
        projection = self.projection[..., : k.shape[2]]
        k, v = projection[0] @ k, projection[-1] @ v  # b h n d -> b h rank d
        return F.scaled_dot_product_attention(q, k, v, dropout_p=self.rate if self.training else 0.0)


@dataclass(frozen=True, kw_only=True)
class LinformerConfig(SequenceConfig):
    """A Linformer encoder."""

    rank: int = 256
    """Mixtures of steps that keys and values are projected to."""
    shared: bool = False
    """Use one projection for keys and values."""

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise InputError(f"rank is {self.rank}; give 1 or more")

    def mixer(self, inputs: SequenceInputs, block: int) -> Mixer:
        return LinformerAttention(self, self.steps(inputs))


@register_sequence_model("Wang et al. 2020, arXiv 2006.04768; rank 256")
def linformer() -> LinformerConfig:
    return LinformerConfig()


@register_sequence_model("google-research/long-range-arena")
def linformer_lra() -> LinformerConfig:
    return LinformerConfig(rank=16, shared=True)
