"""The base of all configs of sequence models, and their registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from torch import nn

from modernet.data.sequences.inputs import SequenceInputs
from modernet.registry import Registry
from modernet.sequences.mixer import Mixer


@dataclass(frozen=True, kw_only=True)
class SequenceConfig:
    """What all have. Each file of a model extends it with the model's own fields and its `mixer`."""

    depth: int = 4
    """Blocks."""
    width: int = 128
    """Channels between blocks."""
    heads: int = 4
    """Heads of attention."""
    qkv_width: int | None = None
    """Channels of queries, keys and values over all heads; None: `width`."""
    mlp_width: int = 256
    """Hidden channels of the MLPs, and of the classifier."""
    positions: Literal["sincos", "learned", "none"] = "sincos"
    """What is added to the embedding: the sine and cosine of Vaswani et al. 2017, a learned table, or nothing."""
    pool: Literal["mean", "cls", "last"] = "mean"
    """What the classifier sees: the mean over all steps but padding, a first step that is added, or the last step."""
    dropout: float = 0.0
    """At the end of residual branches, and of the embedding."""
    embedding_dropout: float | None = None
    """Of the embedding; None: `dropout`."""
    attention_dropout: float = 0.0
    """Of the weights of attention, where the model has any."""
    causal: bool = False
    """Let no step see a later one."""

    def mixer(self, inputs: SequenceInputs, block: int) -> Mixer:
        """Make the mixer of a block, for at most `steps(inputs)` steps; not needed where `encoder` makes its own."""
        raise NotImplementedError

    def encoder(self, inputs: SequenceInputs) -> nn.Module:
        """Make what is between embedding and classifier: (b, n, c) and a mask or None -> (b, n, c)."""
        from modernet.sequences.network import Encoder

        return Encoder(self, inputs)

    def head(self, inputs: SequenceInputs, num_classes: int) -> nn.Module:
        """Make the classifier: (b, c) -> (b, num_classes), or (b, 4 c) where an example is a pair."""
        width = self.width * (4 if inputs.towers == 2 else 1)
        return nn.Sequential(nn.Linear(width, self.mlp_width), nn.ReLU(), nn.Linear(self.mlp_width, num_classes))

    def steps(self, inputs: SequenceInputs) -> int:
        """Return the steps that a mixer sees at most: those of the sequence, and the added one."""
        return inputs.max_length + (self.pool == "cls")


@dataclass(frozen=True)
class SequenceEntry:
    """A named model, and where its values are from."""

    name: str
    config: SequenceConfig
    source: str


SEQUENCE_MODELS: Registry[SequenceEntry] = Registry("sequence model")

Config = TypeVar("Config", bound=SequenceConfig)


def register_sequence_model(source: str) -> Callable[[Callable[[], Config]], Callable[[], Config]]:
    """Register the config that the decorated function returns, under the function's name."""

    def register(variant: Callable[[], Config]) -> Callable[[], Config]:
        SEQUENCE_MODELS.add(variant.__name__, SequenceEntry(variant.__name__, variant(), source))
        return variant

    return register
