"""The contract of what mixes the steps of a sequence."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn


class Mixer(nn.Module, ABC):
    """Lets every step of a sequence see others. (b, n, c) in and out.

    Attributes:
        can_be_causal: whether it has a form in which a step sees no later one.
    """

    can_be_causal: ClassVar[bool] = False

    @abstractmethod
    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Mix.

        Args:
            x: (b, n, c). What it has in padding is finite, and must not matter.
            mask: bool (b, n), False in padding, which is at the end of a sequence (or anywhere, with
                `SequenceInputs.zero_is_padding`); None if there is none.

        Returns:
            (b, n, c). What a step that is not padding receives depends neither on the values in padding nor on how much
            there is. Steps in padding receive anything finite.
        """

    def dynamics(self) -> list[nn.Parameter]:
        """Return the parameters of a state-space model's dynamics, which have a learning rate of their own."""
        return []
