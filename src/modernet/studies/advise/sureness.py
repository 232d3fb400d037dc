"""How sure an advice is: the probability that no candidate that was tried would be better in the long run.

A model of the scores, whose unknowns are drawn from their distribution given what was seen (Gibbs sampling: Geman and
Geman 1984; all steps are conjugate, see Gelman et al., "Bayesian Data Analysis", chapters 11 and 14). For candidate i:

- Its finished trainings in the last round have scores v_i + e, where v_i is its mean over seeds on these validation
  images and e ~ N(0, s²). The prior of s² counts as two trainings with half of the variance of n images.
- If there was a round before, its score x there predicts that mean: v_i = a + b (x_i - mean x) + N(0, w²). This is how
  well shorter trainings predict longer ones; a, b and w are learned from those seen in both rounds. They were selected
  by x, which does not bias a regression on x. The prior of b is N(0.9, 0.2²); that of w counts as three candidates,
  with 0.4 of the standard deviation of x, or half of the mean gain since if that is more: the more networks still have
  to learn, the less is known of where they end. Twelve candidates on `caltech101_10` and `digit_scenes`, after a third
  to half of the epochs: b was 0.7 to 1.2, w 0.3 to 0.8 of that deviation, and 0.3 to 1.0 of the gain (docs/log.md).
- A candidate that was given up is predicted by that line. For a finalist, what its earlier score predicts is the prior
  of v_i, so that the best of some noisy scores is not taken at its word.
- In the long run, with other images too, its score is v_i - u_i, where u ~ N(0, C) is shared by all trainings on these
  images. C is estimated from the answers, image by image: what two candidates have in common cancels. Its diagonal is
  that between seeds, as what differs from seed to seed is in s² already.

Where answers are neither right nor wrong, u_i are independent, with half of the variance that n answers would have that
are right or wrong.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modernet.report.advise.advice import Trial
from modernet.studies.advise.halving import SEED_VARIANCE, mean_score

_DRAWS = 2000
_STEPS = 40  # of each chain, of which there is one for each draw
_SLOPE, _SLOPE_STD = 0.9, 0.2
_MISS, _MISS_OF_GAIN = 0.4, 0.5
"""Standard deviation of what a round does not predict, as a share of that of its scores, and of the gain since."""
_MISS_WEIGHT, _SEED_WEIGHT = 3, 2
"""Candidates for which the prior of that counts, and trainings for which that of the variance over seeds does."""
_BETWEEN_SEEDS = 0.7
"""Share of the variance over images that all seeds have in common, where no candidate has two seeds."""
_TAIL = 0.025

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Judgement:
    """Which candidate is best, by all trainings.

    Attributes:
        pick: the finalist with the highest expected score in the long run; None if no training finished.
        chances: probability of each candidate that no other is better in the long run; of those with a training.
        level: candidates that are better with a probability of at least 2.5 %, the likeliest first.
    """

    pick: str | None
    chances: Mapping[str, float]
    level: tuple[str, ...]

    @property
    def sure(self) -> float:
        """The chance of the pick; 0 without one."""
        return 0.0 if self.pick is None else self.chances[self.pick]


def judge(trials: Mapping[str, Sequence[Trial]], *, higher_is_better: bool = True, seed: int = 0) -> Judgement:
    """Judge candidates by their trainings.

    Args:
        trials: of each candidate; those of one round have the same length, those of later rounds are longer.
        higher_is_better: of the score, which is in per cent where answers are right or wrong.
        seed: of the simulation.
    """
    done = {name: [each for each in found if each.score is not None] for name, found in trials.items()}
    done = {name: found for name, found in done.items() if found}
    if not done:
        return Judgement(None, {}, ())
    names = list(done)
    v, long_run = _draws(done, 1.0 if higher_is_better else -1.0, np.random.default_rng(seed))
    last = max(each.round for found in done.values() for each in found)
    finalists = [index for index, name in enumerate(names) if done[name][-1].round == last]
    pick = max(finalists, key=lambda index: float(v[:, index].mean()))
    better = {names[j]: float((long_run[:, j] > long_run[:, pick]).mean()) for j in range(len(names)) if j != pick}
    won = np.bincount(long_run.argmax(1), minlength=len(names)) / len(long_run)
    level = sorted((name for name, share in better.items() if share >= _TAIL), key=lambda name: -better[name])
    return Judgement(names[pick], dict(zip(names, won.tolist(), strict=True)), tuple(level))


def _draws(done: Mapping[str, Sequence[Trial]], sign: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draw the mean over seeds on these images, and the score in the long run, of each candidate: (draws, n) each."""
    last = max(each.round for found in done.values() for each in found)
    one = _variance_of_images(done)
    before = sign * np.array([mean_score(found, 0) for found in done.values()], dtype=float) if last else None
    finals = [
        [sign * each.score for each in found if each.round == last and each.score is not None]
        for found in done.values()
    ]
    v = _means_over_seeds(before, finals, rng, one)
    noise = rng.standard_normal(v.shape) @ _root(_image_covariance(done, one)).T
    return v, v - noise


@dataclass(frozen=True)
class _Line:
    """Draws of a regression: `intercept + slope * (x - centre)`, each (draws,), with the spread of what it misses."""

    centre: float
    intercept: Array
    slope: Array
    miss: Array

    def draw(self, x: Array, rng: np.random.Generator) -> Array:
        mean = self.at(x)
        return mean + np.sqrt(self.miss)[:, None] * rng.standard_normal(mean.shape)

    def at(self, x: Array) -> Array:
        """Return the mean at `x`, (n,) or (draws, n)."""
        mean: Array = self.intercept[:, None] + self.slope[:, None] * (x - self.centre)
        return mean


def _means_over_seeds(
    before: Array | None, finals: Sequence[Sequence[float]], rng: np.random.Generator, one: float
) -> Array:
    """Draw the mean over seeds at full length of every candidate, (draws, n).

    Args:
        before: scores in the round before, (n,); None if there was none.
        finals: scores in the last round, of those that were in it.
        one: variance of a share of n images.
    """
    x = np.zeros(len(finals)) if before is None else before
    known = np.array([len(found) > 0 for found in finals])
    counts = np.array([len(found) for found in finals], dtype=float)[known]
    sums = np.array([sum(found) for found in finals], dtype=float)[known]
    squares = np.array([sum(value**2 for value in found) for found in finals])[known]
    means = sums / counts
    prior = _Prior.of(means if before is None else before, one, 0.0 if before is None else (means - x[known]).mean())
    line = prior.line(x[known], means)
    own = np.broadcast_to(means, (_DRAWS, len(means))).copy()
    seeds = np.full(_DRAWS, SEED_VARIANCE * one)
    for _ in range(_STEPS):
        line = prior.step(line, x[known], own, rng)
        precision = 1 / line.miss[:, None] + counts / seeds[:, None]
        mean = (line.at(x[known]) / line.miss[:, None] + sums / seeds[:, None]) / precision
        own = mean + rng.standard_normal(mean.shape) / np.sqrt(precision)
        error = (squares - 2 * own * sums + counts * own**2).sum(1)
        weight = _SEED_WEIGHT * SEED_VARIANCE * one
        seeds = (weight + error) / rng.chisquare(_SEED_WEIGHT + counts.sum(), _DRAWS)
    drawn = line.draw(x, rng)
    drawn[:, known] = own
    return drawn


@dataclass(frozen=True)
class _Prior:
    """What is known of a line before the last round.

    Attributes:
        wide: variance of its intercept, which is hardly known.
        miss: variance of what it misses.
    """

    wide: float
    miss: float

    @staticmethod
    def of(scores: Array, one: float, gain: float) -> _Prior:
        """Return the prior by the scores of the round before, and the mean gain since."""
        spread = _MISS**2 * float(scores.var(ddof=1)) if len(scores) > 1 else 0.0
        return _Prior(100 * (float(scores.var()) + one), max(spread, (_MISS_OF_GAIN * gain) ** 2, one / 2))

    def line(self, x: Array, y: Array) -> _Line:
        """Return where the draws begin."""
        starts = (np.full(_DRAWS, value) for value in (y.mean(), _SLOPE, self.miss))
        return _Line(float(x.mean()), *starts)

    def step(self, line: _Line, x: Array, y: Array, rng: np.random.Generator) -> _Line:
        """Draw the line given y, (draws, n), and then what it misses given the line."""
        design = np.stack([np.ones_like(x), x - line.centre], axis=1)
        prior = np.diag([1 / self.wide, 1 / _SLOPE_STD**2])
        precision = (design.T @ design)[None] / line.miss[:, None, None] + prior
        right = (y @ design) / line.miss[:, None] + prior @ np.array([y.mean(), _SLOPE])
        covariance = np.linalg.inv(precision)
        mean = np.einsum("dij,dj->di", covariance, right)
        drawn = mean + np.einsum("dij,dj->di", np.linalg.cholesky(covariance), rng.standard_normal(mean.shape))
        error = ((y - drawn @ design.T) ** 2).sum(1)
        miss = (_MISS_WEIGHT * self.miss + error) / rng.chisquare(_MISS_WEIGHT + len(x), _DRAWS)
        return _Line(line.centre, drawn[:, 0], drawn[:, 1], miss)


def _variance_of_images(done: Mapping[str, Sequence[Trial]]) -> float:
    """Return the variance of a share of n images, in per cent squared, for a typical score of the last trainings."""
    last = [found[-1] for found in done.values()]
    values = [max(abs(each.score or 0.0) * (100 - abs(each.score or 0.0)), 100.0) / max(each.n, 1) for each in last]
    return float(np.median(values))


def _image_covariance(done: Mapping[str, Sequence[Trial]], one: float) -> Array:
    """Return the covariance of mean scores over samples of images, (n, n), from each candidate's last round."""
    names = list(done)
    last = {name: [each for each in found if each.round == found[-1].round] for name, found in done.items()}
    answers = {name: [_bits(each.right) for each in found if each.right] for name, found in last.items()}
    lengths = {len(bits) for found in answers.values() for bits in found}
    if len(lengths) != 1 or min(lengths) < 2 or not all(answers.values()):
        return np.eye(len(names)) * one / 2
    n = lengths.pop()
    covariance = np.atleast_2d(np.cov([np.mean(answers[name], axis=0) for name in names])) / n * 1e4
    shares, own = [], {}
    for index, name in enumerate(names):
        alone = float(np.mean([bits.var(ddof=1) for bits in answers[name]])) / n * 1e4
        pairs = [np.cov(a, b)[0, 1] / n * 1e4 for a, b in itertools.combinations(answers[name], 2)]
        own[index] = alone, float(np.mean(pairs)) if pairs else None
        if pairs and alone > 0:
            shares.append(max(float(np.mean(pairs)), 0.0) / alone)
    common = float(np.mean(shares)) if shares else _BETWEEN_SEEDS
    for index, (alone, between) in own.items():
        covariance[index, index] = common * alone if between is None else max(between, 0.0)
    return covariance


def _bits(right: str) -> Array:
    return np.frombuffer(right.encode("ascii"), dtype=np.uint8).astype(float) - ord("0")


def _root(covariance: Array) -> Array:
    """Return a matrix whose product with its transpose is the nearest covariance without negative eigenvalues."""
    values, vectors = np.linalg.eigh(covariance)
    root: Any = vectors * np.sqrt(np.maximum(values, 0.0))
    return np.asarray(root)
