"""The configs of S4 and S4D, and their variants."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from modernet.data.sequences.inputs import SequenceInputs
from modernet.errors import InputError
from modernet.layers.state_space import DIAGONAL_STARTS, DPLR_STARTS, DiagonalKernel, DplrKernel, StateSpaceKernel
from modernet.sequences.config import SequenceConfig, register_sequence_model
from modernet.sequences.s4.layer import StateSpaceMixer
from modernet.sequences.s4.network import StateSpaceEncoder


@dataclass(frozen=True, kw_only=True)
class StateSpaceConfig(SequenceConfig, ABC):
    """What S4 and S4D share. Both see later steps too unless they are `causal`; no positions are added."""

    positions: Literal["sincos", "learned", "none"] = "none"
    embedding_dropout: float | None = 0.0
    state: int = 64
    """Real numbers of the state of a channel, even."""
    systems: int | None = 1
    """How many A, B (and P) a layer has, which its channels share in turn; None: one for each channel."""
    dt_min: float = 0.001
    """Limits of the initial dt. A channel sees about 1 / dt steps: the longest dependencies should be above 1 / dt_max,
    and below 1 / dt_min."""
    dt_max: float = 0.1
    rate: float = 1.0
    """Factor of dt: 2 for signals sampled at half the frequency of those in training."""
    norm: Literal["layer", "batch"] = "batch"
    """BatchNorm does not see padding."""
    prenorm: bool = True
    """Normalise the input of a block, and the output of the last; else the output of each."""
    tie_dropout: bool = False
    """Drop channels in all steps alike."""

    @abstractmethod
    def kernel(self, inputs: SequenceInputs, options: dict[str, Any]) -> StateSpaceKernel:
        """Make the kernels of a layer; `options` are those of `StateSpaceKernel`."""

    def mixer(self, inputs: SequenceInputs, block: int) -> StateSpaceMixer:
        options = {
            "sides": 1 if self.causal else 2,
            "systems": self.systems,
            "dt_min": self.dt_min,
            "dt_max": self.dt_max,
        }
        kernel = self.kernel(inputs, options)
        return StateSpaceMixer(kernel, dropout=self.dropout, tie_dropout=self.tie_dropout, rate=self.rate)

    def encoder(self, inputs: SequenceInputs) -> nn.Module:
        if self.norm not in ("layer", "batch"):
            raise InputError(f"norm is {self.norm!r}; give 'layer' or 'batch'")
        return StateSpaceEncoder(self, inputs)

    def head(self, inputs: SequenceInputs, num_classes: int) -> nn.Module:
        """A linear layer; for pairs, one hidden layer as wide as the blocks, with a GELU."""
        if inputs.towers == 1:
            return nn.Linear(self.width, num_classes)
        return nn.Sequential(nn.Linear(4 * self.width, self.width), nn.GELU(), nn.Linear(self.width, num_classes))


@dataclass(frozen=True, kw_only=True)
class S4Config(StateSpaceConfig):
    """S4: A is diagonal plus low-rank."""

    start: Literal["legs", "fout"] = "legs"
    """The matrices of HiPPO that A and B start from."""

    def kernel(self, inputs: SequenceInputs, options: dict[str, Any]) -> StateSpaceKernel:
        if self.start not in DPLR_STARTS:
            raise InputError(f"start is {self.start!r}; give one of {', '.join(DPLR_STARTS)}")
        return DplrKernel(self.width, DPLR_STARTS[self.start](self.state), self.steps(inputs), **options)


@dataclass(frozen=True, kw_only=True)
class S4DConfig(StateSpaceConfig):
    """S4D: A is diagonal."""

    start: Literal["legs", "lin", "inv"] = "legs"
    """The spectrum that A starts from: LegS's, equally spaced, or its approximation."""
    discretization: Literal["zoh", "bilinear"] = "zoh"
    """How the model is sampled: with its input held between steps, or by the trapezoidal rule."""
    learn_b: bool = True
    """Whether B is a parameter; else it is 1."""

    def kernel(self, inputs: SequenceInputs, options: dict[str, Any]) -> StateSpaceKernel:
        if self.start not in DIAGONAL_STARTS:
            raise InputError(f"start is {self.start!r}; give one of {', '.join(DIAGONAL_STARTS)}")
        if self.discretization not in ("zoh", "bilinear"):
            raise InputError(f"discretization is {self.discretization!r}; give 'zoh' or 'bilinear'")
        start = DIAGONAL_STARTS[self.start](self.state)
        return DiagonalKernel(self.width, start, learn_b=self.learn_b, discretization=self.discretization, **options)


# --- variants -------------------------------------------------------------------------------------------------------
# Four blocks of 128 channels with BatchNorm before them, the small models of the authors' configurations.

_S4 = "Gu, Goel, Ré 2021, arXiv 2111.00396"
_S4D = "Gu, Gupta, Goel, Ré 2022, arXiv 2206.11893"


@register_sequence_model(_S4)
def s4() -> S4Config:
    return S4Config()


@register_sequence_model("Gu, Johnson, Timalsina, Rudra, Ré 2022, arXiv 2206.12037")
def s4_fout() -> S4Config:
    return S4Config(start="fout")


@register_sequence_model(_S4D)
def s4d_legs() -> S4DConfig:
    return S4DConfig()


@register_sequence_model(_S4D)
def s4d_lin() -> S4DConfig:
    return S4DConfig(start="lin")


@register_sequence_model(_S4D)
def s4d_inv() -> S4DConfig:
    return S4DConfig(start="inv")


@register_sequence_model("the minimal S4D of state-spaces/s4, example.py")
def s4d_minimal() -> S4DConfig:
    """One-way, with A for each channel and B fixed; 201,482 parameters on colour pixels and 10 classes."""
    return S4DConfig(start="lin", systems=None, learn_b=False, causal=True, norm="layer", prenorm=False, dropout=0.1)
