"""How faithful a network in reduced precision is to the exact one, on images that it was not calibrated with.

The rule. Reduced precision is accepted if every number is finite and

- with labels: at most `MOST_POINTS_LOST` points of accuracy are lost, on the same images before and after, and at least
  the share `LEAST_AGREEMENT` of images keeps its likeliest class. Labels that the exact network is not right about more
  often than by chance say nothing, and raise;
- without: at least the share `agreement` of images, or of the pixels of a segmenter, keeps its likeliest class;
- where the network returns no scores of classes (feature maps, detectors): the root mean square of the difference is
  at most `MOST_RELATIVE_ERROR` of that of the exact numbers, in each tensor. The mean over each channel (dimension 1)
  is first subtracted from the exact numbers, as it is no signal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet import progress
from modernet.errors import InputError
from modernet.models import DenseNetwork
from modernet.statistics import Interval, paired_interval, wilson_interval
from modernet.torch_internals import tensors_in

AGREEMENT = 0.99
"""Share of images whose likeliest class has to stay the same, by default."""
LEAST_AGREEMENT = 0.9
"""The same with labels, where a change of the class may also be a gain."""
MOST_POINTS_LOST = 0.5
"""Accuracy that may be lost, in points of per cent."""
MOST_RELATIVE_ERROR = 0.05
"""Root mean square of the difference, relative to that of the exact numbers: a ratio of signal to noise of 26 dB."""

Answers = Literal["classes", "pixels", "numbers"]
"""What a network returns: scores of classes `(b, k)`, of classes for each pixel `(b, k, h, w)`, or anything else."""


def answers_of(network: nn.Module, results: Any) -> Answers:
    """Return what a network's results are.

    Scores of classes have two columns or more. An embedding has that shape too: a network whose `num_classes` is 0
    returns one. Maps are scores of classes only if a segmenter of this library returns them.
    """
    if not isinstance(results, Tensor) or results.ndim < 2 or results.shape[1] < 2:
        return "numbers"
    if results.ndim == 2:
        return "numbers" if getattr(network, "num_classes", None) == 0 else "classes"
    return "pixels" if results.ndim == 4 and isinstance(network, DenseNetwork) else "numbers"


@dataclass(frozen=True)
class Accuracy:
    """How many of the same n images are classified correctly before and after the reduction.

    Attributes:
        right_before, right_after: of n images.
        lost: the interval of the share that is lost.
    """

    right_before: int
    right_after: int
    n: int
    lost: Interval

    @property
    def points_lost(self) -> float:
        """In per cent of n."""
        return 100 * (self.right_before - self.right_after) / self.n

    def __str__(self) -> str:
        before, after = (
            f"{100 * right / self.n:.1f} % {_in_per_cent(wilson_interval(right / self.n, self.n))}"
            for right in (self.right_before, self.right_after)
        )
        change = f"{-self.points_lost:+.1f} points [{-100 * self.lost.high:+.1f}, {-100 * self.lost.low:+.1f}]"
        return f"accuracy {before} before, {after} after: {change}"


@dataclass(frozen=True)
class Judgement:
    """How much reduced precision changes the answers for held-out images.

    Attributes:
        n: number of images.
        relative_error: root mean square of the difference, relative to that of the exact numbers without the mean of
            each channel; of several tensors, the largest. Infinite where a number is not finite.
        largest_error: largest difference, relative to the largest exact number; of several tensors, the largest.
        same_class: share of images, or of pixels, whose likeliest class is the same: the first of equals, and never the
            same where a score is NaN. None where there are no scores of classes.
        divergence: mean Kullback-Leibler divergence of the probabilities from the exact ones, in nats; None likewise.
        accuracy: None without labels.
        failure: one line on why it is refused; empty if it is accepted.
    """

    n: int
    relative_error: float
    largest_error: float
    same_class: float | None = None
    divergence: float | None = None
    accuracy: Accuracy | None = None
    failure: str = ""

    def __str__(self) -> str:
        parts = [
            f"relative error {self.relative_error:.1e}, largest difference {self.largest_error:.1e} of the largest"
        ]
        if self.same_class is not None:
            parts.insert(0, f"{100 * self.same_class:.1f} % equal top-1, KL {self.divergence:.1e} nats")
        parts += [] if self.accuracy is None else [str(self.accuracy)]
        return f"{'; '.join(parts)}; {self.n} images"


@dataclass(frozen=True)
class HeldOut:
    """Images that judge reduced precision, and by what.

    Attributes:
        images: `(n, c, h, w)`, none of which calibrates.
        labels: `(n,)`, their classes; None if unknown.
        answers: what the network returns.
        agreement: see the rule of this module.
        batch: images in one forward pass; programs may be compiled for it.
    """

    images: Tensor
    labels: Tensor | None
    answers: Answers
    agreement: float
    batch: int


class Judge:
    """Compares networks in reduced precision with the exact one.

    Args:
        exact: the exact network.
        held_out: the images and the rule.

    Raises:
        InputError: the exact network's classes are not those of the labels.
    """

    def __init__(self, exact: nn.Module, held_out: HeldOut) -> None:
        self._exact = exact
        self._held_out = held_out
        # scores of classes are small; maps of many images would not fit into memory
        self._scores = list(self._run(exact)) if held_out.answers == "classes" else None
        if self._scores is not None and held_out.labels is not None:
            _check_above_chance(torch.cat([scores for (scores,) in self._scores]), held_out.labels.cpu())

    def __call__(self, reduced: nn.Module) -> Judgement:
        """Judge a network in reduced precision, which returns the same tensors as the exact one."""
        given = self._held_out
        errors, classes, right = [], [], []
        exact = self._run(self._exact) if self._scores is None else iter(self._scores)
        for index, (expected, found) in enumerate(zip(exact, self._run(reduced), strict=True)):
            errors.append([_errors(f, e) for f, e in zip(found, expected, strict=True)])
            if given.answers == "numbers":
                continue
            before, after = _likeliest(expected[0]), _likeliest(found[0])
            same = (before == after) & (after >= 0)
            classes.append([float(same.sum()), _divergence(found[0], expected[0]), float(same.numel())])
            if given.labels is not None:
                labels = given.labels[index * given.batch :][: len(same)].cpu()
                right.append(torch.stack([before == labels, after == labels]))
        totals = [_total(torch.stack(batches)) for batches in zip(*errors, strict=True)]
        error, largest = torch.stack(totals).amax(0).tolist()
        judgement = Judgement(len(given.images), error, largest)
        if classes:
            equal, divergence, count = map(sum, zip(*classes, strict=True))
            judgement = replace(judgement, same_class=equal / count, divergence=divergence / count)
        if right:
            judgement = replace(judgement, accuracy=_accuracy(torch.cat(right, 1)))
        return replace(judgement, failure=_failure(judgement, given.agreement))

    def _run(self, network: nn.Module) -> Iterator[list[Tensor]]:
        """Yield what a network returns for each batch; the last one is filled up, as programs may fix its size."""
        images, batch = self._held_out.images, self._held_out.batch
        starts = range(0, len(images), batch)
        for start in progress.track(starts, "judging", len(starts)):
            indices = torch.arange(start, start + batch, device=images.device) % len(images)
            results = tensors_in(network(images[indices]))
            yield [tensor[: len(images) - start].float().cpu() for tensor in results]


def _failure(judgement: Judgement, agreement: float) -> str:
    """Return one line on which part of the rule does not hold; empty if all of it does."""
    accuracy = judgement.accuracy
    if not math.isfinite(judgement.relative_error):
        return "results are not finite"
    if accuracy is not None:
        lost = accuracy.points_lost
        if lost > MOST_POINTS_LOST:
            return f"{lost:.1f} points of accuracy lost, more than {MOST_POINTS_LOST}"
        agreement = LEAST_AGREEMENT
    if judgement.same_class is not None:
        short = f"{100 * judgement.same_class:.1f} % equal top-1, less than {100 * agreement:g} %"
        return short if judgement.same_class < agreement else ""
    error = judgement.relative_error
    return f"relative error {error:.1e}, more than {MOST_RELATIVE_ERROR}" if error > MOST_RELATIVE_ERROR else ""


def _check_above_chance(scores: Tensor, labels: Tensor) -> None:
    """Raise if the interval of the accuracy contains that of guessing one class of `(n, k)` scores, or is below it."""
    n, classes = scores.shape
    right = int((scores.argmax(1) == labels).sum())
    if wilson_interval(right / n, n).low <= 1 / classes:
        raise InputError(
            f"the network is right for {right} of {n} labels, no more than by chance: their classes are probably in "
            "another order than the network's; correct the labels, or omit them"
        )


def _errors(found: Tensor, expected: Tensor) -> Tensor:
    """Return the largest difference, the largest number, the sums of squares of both, the numbers of each channel, and
    the sum of each channel's numbers; the difference is infinite for NaN.
    """
    difference = (found - expected).nan_to_num(torch.inf, torch.inf, -torch.inf)
    exact = expected.double()
    channels = exact.transpose(0, 1).flatten(1).sum(1) if exact.ndim > 1 else exact.sum().view(1)
    parts = (
        difference.abs().max(),
        expected.abs().max(),
        difference.double().square().sum(),
        exact.square().sum(),
        torch.tensor(exact.numel() / len(channels)),
    )
    return torch.cat([torch.stack([part.double() for part in parts]), channels])


def _total(errors: Tensor) -> Tensor:
    """Return the relative and the largest error of a tensor, from its `_errors`: `(batches, 5 + channels)`."""
    largest, sums = errors[:, :2].amax(0), errors[:, 2:].sum(0)
    difference, exact, count, channels = sums[0], sums[1], sums[2], sums[3:]
    tiny, rounding = torch.finfo(torch.float32).tiny, torch.finfo(torch.float32).eps ** 2
    # constant channels leave nothing but rounding
    centred = torch.maximum(exact - channels.square().sum() / count, rounding * exact)
    return torch.stack([(difference / centred.clamp_min(tiny)).sqrt(), largest[0] / largest[1].clamp_min(tiny)])


def _likeliest(scores: Tensor) -> Tensor:
    """Return the first of the highest scores along dimension 1; -1 where one is NaN."""
    return scores.argmax(1).masked_fill(scores.isnan().any(1), -1)


def _divergence(found: Tensor, expected: Tensor) -> float:
    """Return the divergence of softmax(found) from softmax(expected), in nats, summed; infinite for NaN."""
    log_q, log_p = F.log_softmax(found.double(), 1), F.log_softmax(expected.double(), 1)
    return float((log_p.exp() * (log_p - log_q)).sum().nan_to_num(torch.inf))


def _accuracy(right: Tensor) -> Accuracy:
    """Return the accuracy from `(2, n)`: whether the answer is right, before and after."""
    before, after = right
    n, lost, gained = right.shape[1], int((before & ~after).sum()), int((after & ~before).sum())
    interval = paired_interval(int((before & after).sum()), lost, gained, n)
    return Accuracy(int(before.sum()), int(after.sum()), n, interval)


def _in_per_cent(interval: Interval) -> str:
    return f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
