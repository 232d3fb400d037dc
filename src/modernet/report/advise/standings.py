"""Where a candidate stood after each round: its score, and how far that can be trusted."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from modernet.differences import crossed_mean
from modernet.records import Metric
from modernet.report.advise.advice import Advice, Considered, Trial
from modernet.statistics import Interval, pooled_variance, student_margin


@dataclass(frozen=True)
class Standing:
    """The finished trainings of a candidate in one round.

    Attributes:
        round: from 0.
        epochs: of the longest of them.
        score: mean over the trainings, on the validation split.
        interval: where answers are right or wrong, over validation examples and over its seeds; else over seeds, where
            any candidate of the round has several: their variance is taken to be that of every candidate. None if
            neither is known.
        n: validation examples.
        seeds: of the trainings.
    """

    round: int
    epochs: int
    score: float
    interval: Interval | None
    n: int
    seeds: tuple[int, ...]


def standings(advice: Advice, candidate: Considered, metric: Metric) -> tuple[Standing, ...]:
    """Return where a candidate stood after each round in which a training of it finished, the first round first."""
    rounds = sorted({trial.round for trial in candidate.trials if trial.score is not None})
    return tuple(_standing(advice, candidate, each, metric) for each in rounds)


def last_standing(advice: Advice, candidate: Considered, metric: Metric) -> Standing | None:
    """Return where a candidate stood after its longest training; None if none finished."""
    found = standings(advice, candidate, metric)
    return found[-1] if found else None


def finalists(advice: Advice) -> list[Considered]:
    """Return the candidates that were never given up, in the order of the advice."""
    return [each for each in advice.considered if each.left_at is None]


def _standing(advice: Advice, candidate: Considered, round_index: int, metric: Metric) -> Standing:
    trials = _finished(candidate, round_index)
    scores, n = _scores(trials), max(trial.n for trial in trials)
    mean = statistics.mean(scores)
    if metric.unit == "%" and n > 0 and all(trial.right for trial in trials):
        shares = crossed_mean([[int(answer) for answer in trial.right] for trial in trials])
        interval: Interval | None = Interval(100 * shares.low, 100 * shares.high)
    else:
        of_seeds = _margin_over_seeds(advice, round_index, len(scores))
        interval = None if of_seeds is None else Interval.around(mean, of_seeds)
    seeds = tuple(trial.seed for trial in trials)
    return Standing(round_index, max(trial.epochs for trial in trials), mean, interval, n, seeds)


def _margin_over_seeds(advice: Advice, round_index: int, count: int) -> float | None:
    """Return half the interval of a mean over seeds: with two of them, a candidate's own variance is hardly known."""
    groups = [scores for each in advice.considered if (scores := _scores(_finished(each, round_index)))]
    variance, freedom = pooled_variance(groups)
    return student_margin((variance / count) ** 0.5, freedom) if variance else None


def _finished(candidate: Considered, round_index: int) -> list[Trial]:
    return [trial for trial in candidate.trials if trial.round == round_index and trial.score is not None]


def _scores(trials: Sequence[Trial]) -> list[float]:
    return [trial.score for trial in trials if trial.score is not None]
