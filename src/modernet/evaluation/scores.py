"""How the scores of a network rank the classes, and the error where they are not finite."""

from __future__ import annotations

import torch
from torch import Tensor

from modernet.errors import RunStopped


class NonFiniteScores(RunStopped):
    """A network answers NaN or infinity, which is neither right nor wrong."""

    @staticmethod
    def of(images: str) -> NonFiniteScores:
        """Return the error; `images` says for which."""
        return NonFiniteScores(
            f"the network answers NaN or infinity for {images}: its weights are damaged, or its training diverged; "
            "fetch them again, or train it with a lower --lr or with --clip-grad 1"
        )


def ranks(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the place of the true class among all, by decreasing score: 0 is the best.

    Of equal scores, the lowest index is first, as in `Tensor.argmax` and in a stable sort.

    Args:
        scores: (b, k), all finite.
        labels: int64 (b,)

    Returns:
        int64 (b,)
    """
    own = scores.gather(1, labels[:, None])
    earlier = torch.arange(scores.shape[1], device=scores.device) < labels[:, None]
    return ((scores > own) | ((scores == own) & earlier)).sum(1)


def non_finite(scores: Tensor) -> Tensor:
    """Return the number of images with a score that is NaN or infinite, for scores (b, ...)."""
    return (~scores.isfinite()).flatten(1).any(1).sum()
