"""Errors of a classifier on corrupted images, as ImageNet-C and ImageNet-C-bar define them.

Sources: Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations"
(2019), section 4; Mintun, Kirillov and Xie, "On Interaction Between Augmentations and Corruptions in Natural Corruption
Robustness" (2021), whose ImageNet-C-bar has the plain mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from modernet.errors import InputError
from modernet.evaluation.robustness.resampling import Estimate, estimate, resampled_means, share_estimates

ALEXNET: Mapping[str, float] = MappingProxyType(
    {
        "gaussian_noise": 0.886428,
        "shot_noise": 0.894468,
        "impulse_noise": 0.922640,
        "defocus_blur": 0.819880,
        "glass_blur": 0.826268,
        "motion_blur": 0.785948,
        "zoom_blur": 0.798360,
        "snow": 0.866816,
        "frost": 0.826572,
        "fog": 0.819324,
        "brightness": 0.564592,
        "contrast": 0.853204,
        "elastic_transform": 0.646056,
        "pixelate": 0.717840,
        "jpeg_compression": 0.606500,
        "speckle_noise": 0.845388,
        "gaussian_blur": 0.787108,
        "spatter": 0.717512,
        "saturate": 0.658248,
    }
)
"""AlexNet's top-1 error on ImageNet-C, in [0, 1], mean over five severities: the 15 corruptions of mCE, then the 4
others. Source: Hendrycks and Dietterich's repository, github.com/hendrycks/robustness."""
ALEXNET_CLEAN = 0.435
"""AlexNet's top-1 error on the clean images, in [0, 1], by the same source."""
MCE_CORRUPTIONS = tuple(ALEXNET)[:15]
"""The corruptions that mCE is over."""
_SEVERITIES = 5


@dataclass(frozen=True)
class CorruptionMean:
    """The errors of one corruption over its severities, in per cent.

    Attributes:
        corruption: its name.
        error: mean over severities.
        ce: the mean relative to that of the baseline; None where the baseline has no error for the corruption, or where
            there are fewer than five severities.
    """

    corruption: str
    error: Estimate
    ce: Estimate | None


@dataclass(frozen=True)
class CorruptionSummary:
    """The errors of a classifier on the same images under many corruptions, in per cent; intervals by bootstrap over
    images, with the errors of the baseline as constants.

    With E the errors of five severities s and B those of the baseline:

        mCE = 100 · mean over c of (mean over s of E[c, s] / mean over s of B[c, s])
        relative mCE = 100 · mean over c of ((mean over s of E[c, s]) − E_clean) / ((mean over s of B[c, s]) − B_clean)

    Attributes:
        n: images.
        clean_top1: accuracy on them without corruption.
        cells: error by corruption and severity.
        means: of each corruption.
        mean_error: the mean over severities, then over corruptions, whichever they are: the metric of ImageNet-C-bar,
            and what the script of ImageNet-C prints as unnormalised mCE.
        mce: None unless the corruptions are the 15 of ImageNet-C at five severities and the baseline has their errors.
        relative_mce: the same; also None where a corruption does not add to the error of the baseline.
    """

    n: int
    clean_top1: Estimate
    cells: Mapping[tuple[str, int], float]
    means: Sequence[CorruptionMean]
    mean_error: Estimate
    mce: Estimate | None
    relative_mce: Estimate | None

    def metrics(self, suite: str) -> dict[str, float]:
        """Return metrics of a record: `n`, `clean_top1`, `{suite}_mean_error`, and `{suite}_mce` and
        `{suite}_relative_mce` where they are; each but n with `_low` and `_high` where it has an interval.
        """
        named = {"mean_error": self.mean_error, "mce": self.mce, "relative_mce": self.relative_mce}
        found = {"n": float(self.n), **self.clean_top1.metrics("clean_top1")}
        for name, each in named.items():
            if each is not None:
                found |= each.metrics(f"{suite}_{name}")
        return found

    def detail(self, suite: str) -> dict[str, list[dict[str, Any]]]:
        """Return the rows of a record's details: `corruptions`, a row a severity, and `corruption_means`, a row a
        corruption, with `error` and `ce` and the ends of their intervals.
        """
        cells = [
            {"suite": suite, "corruption": corruption, "severity": severity, "error": error, "n": self.n}
            for (corruption, severity), error in self.cells.items()
        ]
        means = [
            {
                "suite": suite,
                "corruption": mean.corruption,
                **mean.error.metrics("error"),
                **(mean.ce.metrics("ce") if mean.ce is not None else {}),
            }
            for mean in self.means
        ]
        return {"corruptions": cells, "corruption_means": means}


def corruption_summary(
    correct: Mapping[tuple[str, int], Tensor],
    clean: Tensor,
    baseline: Mapping[str, float] = ALEXNET,
    baseline_clean: float = ALEXNET_CLEAN,
) -> CorruptionSummary:
    """Return every error of a suite of corruptions, with intervals.

    An interval is over images: each of 2000 resamples takes the same images in every cell and in the clean ones, as a
    hard image is hard under every corruption.

    Args:
        correct: whether the answer for each image is right, bool (n,), by corruption and severity.
        clean: the same without corruption, bool (n,), for the same images in the same order.
        baseline: mean error of the baseline network over severities, in [0, 1], by corruption; empty for none.
        baseline_clean: its error on clean images, in [0, 1].

    Raises:
        InputError: there are no corruptions or images, or cells differ in their number of images.
    """
    severities: dict[str, list[int]] = {}
    for corruption, severity in correct:
        severities.setdefault(corruption, []).append(severity)
    n, cells = len(clean), [(name, severity) for name, found in severities.items() for severity in sorted(found)]
    if not n or not cells:
        raise InputError("there are no answers to summarise; give at least one image and one corruption")
    for name, severity in cells:
        if len(correct[name, severity]) != n:
            raise InputError(
                f"{name} at severity {severity} has {len(correct[name, severity])} answers, and the clean images have "
                f"{n}; give the same images to all"
            )
    wrong = np.stack([~clean.cpu().numpy(), *(~correct[cell].cpu().numpy() for cell in cells)], 1)
    values, resamples = wrong.mean(0, keepdims=True), resampled_means(wrong.astype(np.float32))  # (1, m), (2000, m)
    both = 100 * np.concatenate([values, resamples])  # the first row holds the values, the others their resamples
    clean_error, by_cell = both[:, 0], both[:, 1:]
    starts = np.cumsum([0, *(len(found) for found in severities.values())])[:-1]
    sizes = np.array([len(found) for found in severities.values()])
    errors = np.add.reduceat(by_cell, starts, axis=1) / sizes  # (2001, corruptions)
    known = np.array([baseline.get(name, 0.0) for name in severities])
    full = np.array([sorted(found) == list(range(1, _SEVERITIES + 1)) for found in severities.values()])
    ces = errors / np.where(full & (known > 0), known, np.nan)
    complete = severities.keys() == set(MCE_CORRUPTIONS) and bool(np.isfinite(ces).all())
    added = known - baseline_clean
    relative = complete and bool((added > 0).all())
    return CorruptionSummary(
        n,
        share_estimates(clean.cpu().numpy()[:, None])[0],
        dict(zip(cells, by_cell[0].tolist(), strict=True)),
        [
            CorruptionMean(name, _estimate(errors[:, c]), _estimate(ces[:, c]) if np.isfinite(ces[0, c]) else None)
            for c, name in enumerate(severities)
        ],
        _estimate(errors.mean(1)),
        _estimate(ces.mean(1)) if complete else None,
        _estimate(((errors - clean_error[:, None]) / added).mean(1)) if relative else None,
    )


def _estimate(column: NDArray[np.float64]) -> Estimate:
    return estimate(float(column[0]), column[1:])
