"""What a classifier answers for each image of a split, from which every metric of it follows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from modernet.data import Loader
from modernet.evaluation.answering import answer_batches
from modernet.evaluation.scores import NonFiniteScores, non_finite, ranks


@dataclass(frozen=True, eq=False)
class Answers:
    """The logits of a classifier for n images, with their classes.

    Attributes:
        logits: float32 (n, k), on the CPU.
        labels: int64 (n,), indices into the k classes.
    """

    logits: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, images: Tensor) -> Answers:
        """Return the answers for some of the images, by number, int64 (m,), or as a mask, bool (n,)."""
        return Answers(self.logits[images], self.labels[images])

    def correct(self, top: int = 1) -> Tensor:
        """Return whether the class of each image is among the highest `top` logits, bool (n,); of equal logits, the
        lowest index counts as the highest.
        """
        return ranks(self.logits, self.labels) < top


@torch.inference_mode()
def collect_answers(network: nn.Module, loader: Loader, name: str, columns: Tensor | None = None) -> Answers:
    """Return what a network in evaluation mode answers for every image of a loader, in order.

    Args:
        network: images `(b, 3, h, w)` -> logits `(b, k)`.
        loader: without augmentation, of this process alone; its targets are classes.
        name: title of the progress bar.
        columns: int64 (m,), the classes to choose among; then the m logits of an answer are theirs, and targets are
            indices into them. None: all.

    Raises:
        NonFiniteScores: a logit is NaN or infinite.
    """
    logits, labels = [], []
    for scores, targets in answer_batches(network, loader, name):
        logits.append((scores if columns is None else scores[:, columns.to(scores.device)]).cpu())
        labels.append(targets.cpu())
    answers = Answers(torch.cat(logits), torch.cat(labels))
    lost = non_finite(answers.logits)
    if lost:
        raise NonFiniteScores.of(f"{lost} of {len(answers)} images")
    return answers
