"""Which class a classifier predicts for each image of a split, and the rank and the loss of the true one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.data import Loader
from modernet.evaluation.accuracy import Accuracy
from modernet.evaluation.answering import answer_batches
from modernet.evaluation.scores import NonFiniteScores, non_finite, ranks

_MOST_CONFUSED = 1000  # classes


@dataclass(frozen=True, eq=False)
class Judged:
    """The predictions of a classifier for n images; a few bytes each, as the logits of many would not fit into memory.

    Attributes:
        labels: int64 (n,), the true classes.
        predicted: int64 (n,), the classes with the highest logit.
        ranks: int64 (n,), the place of the true class by decreasing logit, 0 for the highest.
        losses: float32 (n,), cross-entropy in nats.
    """

    labels: Tensor
    predicted: Tensor
    ranks: Tensor
    losses: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @staticmethod
    def of(scores: Tensor, labels: Tensor) -> Judged:
        """Judge the scores (n, k) of images of the classes `labels`, int64 (n,); all stay on their device."""
        losses = F.cross_entropy(scores, labels, reduction="none")
        return Judged(labels, scores.argmax(1), ranks(scores, labels), losses)

    def accuracy(self) -> Accuracy:
        """Return the accuracy over all images."""
        top1, top5 = (100 * float((self.ranks < top).double().mean()) for top in (1, 5))
        return Accuracy(top1, top5, loss=float(self.losses.double().mean()), n=len(self))

    def per_class(self, classes: Sequence[str]) -> dict[str, dict[str, float]]:
        """Return top-1 in per cent and the number of images, `n`, of each class that has any.

        Args:
            classes: the names of all.
        """
        counts = self.labels.bincount(minlength=len(classes))
        right = self.labels[self.ranks == 0].bincount(minlength=len(classes))
        shown = counts.nonzero()[:, 0].tolist()
        return {
            classes[label]: {"top1": 100 * int(right[label]) / int(counts[label]), "n": int(counts[label])}
            for label in shown
        }

    def confusion(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return the confusion matrix as records have it, of the classes that occur; empty for more than 1,000.

        Args:
            classes: the names of all.
        """
        present = torch.tensor(sorted({*self.labels.tolist(), *self.predicted.tolist()}))
        k = len(present)
        if k > _MOST_CONFUSED:
            return {}
        true, taken_for = torch.searchsorted(present, self.labels), torch.searchsorted(present, self.predicted)
        counts = (k * true + taken_for).bincount(minlength=k * k).view(k, k)
        return {"classes": [classes[label] for label in present.tolist()], "counts": counts.tolist()}


@torch.inference_mode()
def judge_classifier(network: nn.Module, loader: Loader, name: str = "evaluating") -> Judged:
    """Return the predictions of a classifier in evaluation mode for every image of a loader, in order.

    Args:
        network: images `(b, 3, h, w)` -> logits `(b, k)`.
        loader: without augmentation, of this process alone; its targets are classes.
        name: title of the progress bar.

    Raises:
        NonFiniteScores: a logit is NaN or infinite.
    """
    rows: list[Judged] = []
    lost: Tensor | int = 0
    for logits, labels in answer_batches(network, loader, name):
        rows.append(Judged.of(logits, labels))
        lost = lost + non_finite(logits)
    judged = Judged(*(torch.cat([getattr(row, part.name) for row in rows]).cpu() for part in fields(Judged)))
    if lost:
        raise NonFiniteScores.of(f"{int(lost)} of {len(judged)} images")
    return judged
