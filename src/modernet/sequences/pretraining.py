"""A sequence model that predicts steps instead of classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from modernet.data.sequences.inputs import SequenceInputs
from modernet.sequences.config import SequenceConfig
from modernet.sequences.network import SequenceBody


class SequencePredictor(SequenceBody):
    """Sequences with hidden steps -> a prediction for every step.

    All of its parameters but the head and the vector of hidden steps are those of the classifier, under the same names.

    Args:
        config: of the model.
        inputs: what sequences are; of tokens the logits of all are predicted, else the numbers.
    """

    def __init__(self, config: SequenceConfig, inputs: SequenceInputs) -> None:
        super().__init__(config, inputs)
        self.head = nn.Linear(config.width, inputs.vocabulary or inputs.channels)
        if not config.causal:
            self.hidden = nn.Parameter(0.02 * torch.randn(config.width))

    def forward(self, *towers: Tensor) -> tuple[Tensor, ...]:
        """Predict.

        Args:
            towers: of each in turn values and lengths, as `SequenceInputs` has them, and which steps are hidden, bool
                (b, n); the network sees one learned vector instead of them.

        Returns:
            Of each, (b, n, vocabulary) or (b, n, channels). At a step, a causal model sees that one and those before.
        """
        return tuple(self._predict(*towers[first : first + 3]) for first in range(0, len(towers), 3))

    def _predict(self, values: Tensor, lengths: Tensor, hidden: Tensor) -> Tensor:
        x = self.embedding(values)
        if not self.config.causal:
            x = torch.where(hidden[..., None], self.hidden.to(x.dtype), x)
        x, _ = self.encode_embedded(x, self.inputs.mask(values, lengths))
        predictions: Tensor = self.head(x[:, 1:] if self.config.pool == "cls" else x)
        return predictions
