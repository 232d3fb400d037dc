"""Whether a classifier is right as often as it says: calibration errors, proper scores and temperature scaling.

Sources: Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks" (2017), for the expected
calibration error and the temperature; Nguyen and O'Connor, "Posterior calibration and exploratory analysis for natural
language processing models" (2015), for bins of equal mass; Brier, "Verification of forecasts expressed in terms of
probability", Monthly Weather Review 78 (1950).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from modernet.evaluation.answers import Answers

_BINS = 15
_ROWS = 8192  # images at once: 64 MB of a thousand classes in float64
_STEPS = 200  # of the search for a temperature, which needs about ten


@dataclass(frozen=True)
class ReliabilityBin:
    """The images whose confidence is in (low, high].

    Attributes:
        low, high: ends of the bin, in [0, 1].
        n: images in it.
        confidence: their mean, in [0, 1]; None without images.
        accuracy: share of them that are right, in [0, 1]; None without images.
    """

    low: float
    high: float
    n: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Calibration:
    """How a classifier's confidence, the probability of its answer, agrees with its accuracy.

    Attributes:
        n: images.
        ece: expected calibration error in per cent: mean of |accuracy − confidence| over bins of equal width, weighted
            by their images. It is biased upwards, the more so the fewer images a bin has.
        adaptive_ece: the same over bins of equal numbers of images, give or take one.
        brier: mean over images of the squared error of the probabilities, summed over classes; 0 to 2.
        nll: mean negative log-likelihood of the true class, in nats.
        bins: those of `ece`.
    """

    n: int
    ece: float
    adaptive_ece: float
    brier: float
    nll: float
    bins: tuple[ReliabilityBin, ...]

    def metrics(self) -> dict[str, float]:
        """Return metrics of a record; errors in per cent."""
        return {
            "calibration_ece": self.ece,
            "calibration_adaptive_ece": self.adaptive_ece,
            "calibration_brier": self.brier,
            "calibration_nll": self.nll,
            "calibration_n": float(self.n),
        }

    def detail(self) -> dict[str, Any]:
        """Return what a record's details hold: the binning by name, and the bins."""
        binning = f"{len(self.bins)} bins of equal width, (low, high], of the confidence of the answer"
        return {"binning": binning, "bins": [asdict(each) for each in self.bins]}


def measure_calibration(answers: Answers, bins: int = _BINS) -> Calibration:
    """Return how well calibrated answers are.

    Args:
        answers: of at least one image.
        bins: number of bins of the calibration errors; 15 as in Guo et al.
    """
    confidence, brier, nll = (torch.cat(parts) for parts in zip(*_scores(answers), strict=True))
    right = answers.correct().double()
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64)
    place = (torch.bucketize(confidence, edges) - 1).clamp(0, bins - 1)  # (low, high]
    counts = torch.bincount(place, minlength=bins)
    confidences, rights = (torch.zeros(bins).double().index_add(0, place, each) for each in (confidence, right))
    n = len(answers)
    order = confidence.argsort(stable=True)
    parts = zip(confidence[order].tensor_split(bins), right[order].tensor_split(bins), strict=True)
    return Calibration(
        n,
        100 * float((confidences - rights).abs().sum()) / n,
        100 * sum(abs(float((part - hits).sum())) for part, hits in parts) / n,
        float(brier.mean()),
        float(nll.mean()),
        tuple(
            ReliabilityBin(low, high, count, *((total / count, hits / count) if count else (None, None)))
            for low, high, count, total, hits in zip(
                edges[:-1].tolist(),
                edges[1:].tolist(),
                counts.tolist(),
                confidences.tolist(),
                rights.tolist(),
                strict=True,
            )
        ),
    )


def fit_temperature(answers: Answers) -> float | None:
    """Return the temperature T for which logits / T have the lowest negative log-likelihood.

    It is convex in 1 / T, so there is one minimum at most. Newton's method finds it within a bracket.

    Args:
        answers: for images that the network was not trained on, and is not tested on.

    Returns:
        None if there is no minimum: every answer is right, and it falls as T goes to 0; or the logits of true classes
        are no higher than others in the mean, and it falls as T grows.
    """
    above_mean, all_right = 0.0, True
    for z, labels in _parts(answers):
        own = _own(z, labels)
        above_mean += float((own - z.mean(1)).sum())
        all_right = all_right and bool((own == z.amax(1)).all())
    if above_mean <= 0 or all_right:
        return None
    low, high, inverse = 0.0, math.inf, 1.0
    for _ in range(_STEPS):
        slope, curvature = _derivatives(answers, inverse)
        low, high = (low, inverse) if slope > 0 else (inverse, high)
        step = inverse - slope / curvature if curvature > 0 else math.nan
        if not low < step < high:
            step = 2 * inverse if math.isinf(high) else (low + high) / 2
        if abs(step - inverse) <= 1e-10 * inverse:
            break
        inverse = step
    return 1 / inverse


def with_temperature(answers: Answers, temperature: float) -> Answers:
    """Return answers with their logits divided by a temperature above 0; their ranks stay."""
    return replace(answers, logits=answers.logits / temperature)


def _scores(answers: Answers) -> Iterator[Sequence[Tensor]]:
    """Yield confidence, squared error and negative log-likelihood of images, float64, some images at a time."""
    for z, labels in _parts(answers):
        logs = z.log_softmax(1)
        p = logs.exp()
        yield p.amax(1), p.square().sum(1) - 2 * _own(p, labels) + 1, F.nll_loss(logs, labels, reduction="none")


def _parts(answers: Answers) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield logits, float64 (b, k), and labels, (b,), some images at a time: all logits at once would be a copy."""
    for logits, labels in zip(*(torch.split(each, _ROWS) for each in (answers.logits, answers.labels)), strict=True):
        yield logits.double(), labels


def _own(values: Tensor, labels: Tensor) -> Tensor:
    """Return the values of true classes, (b, k) -> (b,)."""
    return values.gather(1, labels[:, None])[:, 0]


def _derivatives(answers: Answers, inverse: float) -> tuple[float, float]:
    """Return the first and second derivative of the mean negative log-likelihood by 1 / T."""
    slope = curvature = 0.0
    for z, labels in _parts(answers):
        p = (inverse * z).softmax(1)
        mean = (p * z).sum(1)
        slope += float((mean - _own(z, labels)).sum())
        curvature += float((p * (z - mean[:, None]).square()).sum())
    return slope / len(answers), curvature / len(answers)
