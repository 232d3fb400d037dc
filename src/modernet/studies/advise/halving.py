"""Successive halving within a time: all candidates for some of the epochs, finalists for all.

Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", 2016, arXiv
1502.07943. Unlike there, the last round has a length of its own, the recipe's, and several seeds, since its networks
are what the user gets; and candidates that cannot be told apart from the last one that stays, stay too while there is
time. There is one round before it, of a third of the epochs or more: shorter ones hardly tell which networks will be
good after all of them (docs/log.md). Nothing here trains or looks at a clock: the same plan and the same scores give
the same decisions.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from modernet.errors import InputError
from modernet.report.advise.advice import Trial

MOST_SEEDS = 5
_FINALS = ((4, 3), (4, 2), (4, 1), (3, 1), (2, 1))
"""Finalists and their seeds, the best first: a good network may be fourth after the first round (docs/log.md)."""
_SHORTEST, _LONGEST = 1 / 3, 1 / 2
"""Epochs of the first of two rounds, as shares of those of the last one."""
_LEVEL = 1.645
"""Standard errors within which a candidate cannot be told apart from the last one that stays; 5 % on one side."""
SEED_VARIANCE = 0.5
"""Guess of the variance over seeds, as a share of that of n images, where there is one training each."""


@dataclass(frozen=True)
class Cost:
    """Seconds that a candidate takes to train.

    Attributes:
        epoch_s: of an epoch, with its validation.
        once_s: of everything else: start, answers for the validation split, test.
    """

    epoch_s: float
    once_s: float = 0.0

    def training(self, epochs: int) -> float:
        """Return the seconds of one training."""
        return self.once_s + epochs * self.epoch_s


@dataclass(frozen=True)
class Round:
    """Trainings of the same length.

    Attributes:
        places: candidates that are sure to take part.
        epochs: of each training.
        seeds: trainings of each candidate.
    """

    places: int
    epochs: int
    seeds: int


@dataclass(frozen=True)
class Plan:
    """Rounds, and the time that they may take.

    Attributes:
        rounds: with fewer candidates and more epochs each.
        seconds: for all of them.
        workers: trainings at once.
        expected_s: what the rounds take if the finalists are of mean cost.
    """

    rounds: tuple[Round, ...]
    seconds: float
    workers: int
    expected_s: float

    def words(self) -> str:
        """Return the rounds in words: `12 candidates, 3 rounds: 12 x 3 epochs, 6 x 8 epochs, 3 x 30 epochs x 2 seeds`.

        >>> Plan((Round(4, 2, 1), Round(2, 8, 2)), seconds=600, workers=1, expected_s=500).words()
        '4 candidates, 2 rounds: 4 x 2 epochs, 2 x 8 epochs x 2 seeds'
        """
        parts = [
            f"{each.places} x {each.epochs} epoch{'s' if each.epochs > 1 else ''}"
            + (f" x {each.seeds} seeds" if each.seeds > 1 else "")
            for each in self.rounds
        ]
        rounds = f"{len(parts)} round{'s' if len(parts) > 1 else ''}"
        places = self.rounds[0].places
        return f"{places} candidate{'s' if places > 1 else ''}, {rounds}: {', '.join(parts)}"


@dataclass(frozen=True)
class Entered:
    """Who takes part in a round.

    Attributes:
        names: the candidates, the best so far first.
        epochs, seeds: of each.
    """

    names: tuple[str, ...]
    epochs: int
    seeds: int


def plan_rounds(costs: Mapping[str, Cost], epochs: int, seconds: float, workers: int = 1) -> Plan:
    """Return the rounds that fit into a time if finalists are of mean cost.

    If everything can be trained twice, there is one round. Else a first round has a third to half of the epochs, and
    the last one 4 finalists with all epochs and, if there is time, 2 or 3 seeds; 3 or 2 finalists if there is less. If
    not even two finalists can be trained once, both rounds have fewer epochs.

    Args:
        costs: of each candidate, at least one.
        epochs: of the recipe.
        seconds: for all rounds.
        workers: trainings at once.

    Raises:
        InputError: an epoch of each candidate takes longer.
    """
    n = len(costs)
    for last in _lengths(epochs):
        for seeds in range(MOST_SEEDS, 1 if n > 2 else 0, -1):
            found = _planned(costs, [Round(n, last, seeds)], seconds, workers)
            if found is not None:
                return found
        for finalists, seeds in _FINALS:
            if finalists < n:
                found = _in_two_rounds(costs, Round(finalists, last, seeds), seconds, workers)
                if found is not None:
                    return found
        single = _planned(costs, [Round(n, last, 1)], seconds, workers)
        if single is not None:
            return single
    least = _expected_s(costs, Round(n, 1, 1), workers)
    raise InputError(
        f"one epoch of each of {n} candidates takes about {least:.0f} s, and {seconds:.0f} s are left for training; "
        "give a longer --budget, or fewer --candidates"
    )


def _lengths(epochs: int) -> list[int]:
    """Return the lengths of the last round to try: full, three quarters, half, ..., 1."""
    shares = (1, 3 / 4, 1 / 2, 1 / 3, 1 / 4, 1 / 6, 1 / 8, 1 / 12, 1 / 16)
    return sorted({max(1, round(share * epochs)) for share in shares} | {1}, reverse=True)


def _in_two_rounds(costs: Mapping[str, Cost], last: Round, seconds: float, workers: int) -> Plan | None:
    """Return a plan whose first round is as long as the last one allows; None if it would be too short."""
    shortest, longest = math.ceil(_SHORTEST * last.epochs), math.floor(_LONGEST * last.epochs)
    plans = (
        _planned(costs, [Round(len(costs), epochs, 1), last], seconds, workers)
        for epochs in range(longest, shortest - 1, -1)
    )
    return next((plan for plan in plans if plan is not None), None)


def _planned(costs: Mapping[str, Cost], rounds: Sequence[Round], seconds: float, workers: int) -> Plan | None:
    expected = sum(_expected_s(costs, each, workers) for each in rounds)
    return Plan(tuple(rounds), seconds, workers, expected) if expected <= seconds else None


def _expected_s(costs: Mapping[str, Cost], planned: Round, workers: int) -> float:
    """Return the seconds of a round with all candidates, or with some of mean cost."""
    each = sorted((cost.training(planned.epochs) for cost in costs.values()), reverse=True)
    if planned.places < len(each):
        each = [sum(each) / len(each)] * planned.places
    return makespan(each * planned.seeds, workers)


def makespan(seconds: Sequence[float], workers: int) -> float:
    """Return how long jobs take that are started in order, each when one of the workers is free.

    >>> makespan([3, 2, 2, 1], 2)
    4.0
    """
    busy = [0.0] * workers
    for each in seconds:
        heapq.heappush(busy, heapq.heappop(busy) + each)
    return max(busy)


def slowest_first(costs: Mapping[str, Cost], entered: Entered) -> list[str]:
    """Return the candidates of a round in the order in which each seed trains them: the slowest must not begin last."""
    return sorted(entered.names, key=lambda name: -costs[name].training(entered.epochs))


def round_seconds(costs: Mapping[str, Cost], entered: Entered, workers: int) -> float:
    """Return the planned seconds of a round with its candidates."""
    return makespan(
        [
            seconds
            for _ in range(entered.seeds)
            for seconds in (costs[name].training(entered.epochs) for name in slowest_first(costs, entered))
        ],
        workers,
    )


def enter(
    plan: Plan,
    index: int,
    costs: Mapping[str, Cost],
    trials: Mapping[str, Sequence[Trial]],
    room_s: float,
    *,
    higher_is_better: bool = True,
) -> Entered:
    """Decide who takes part in a round.

    The best of the round before have the places of the plan. While the round fits into the room, those follow that
    cannot be told apart from the last of them: by the answers for the same images where these are known, and a guess of
    the variance over seeds. The last round then gets more seeds. If the room is less than the round takes, it loses
    seeds, then the last of its candidates but one, then epochs.

    Args:
        plan: the rounds.
        index: of the round.
        costs: of every candidate.
        trials: the trainings so far of every candidate.
        room_s: the seconds that are left for it.

    Returns:
        The round; without names if none is left.
    """
    planned = plan.rounds[index]
    ranked = list(costs) if index == 0 else _ranked(trials, index - 1, higher_is_better)
    names = ranked[: planned.places]

    def fits(chosen: Sequence[str], seeds: int, epochs: int = planned.epochs) -> bool:
        return round_seconds(costs, Entered(tuple(chosen), epochs, seeds), plan.workers) <= room_s

    seeds, epochs = planned.seeds, planned.epochs
    if index > 0 and names:
        cut = _last_trials(trials[names[-1]], index - 1)
        for name in ranked[len(names) :]:
            if not level(cut, _last_trials(trials[name], index - 1)) or not fits([*names, name], seeds):
                break
            names.append(name)
    if names and index + 1 == len(plan.rounds):
        while seeds < MOST_SEEDS and fits(names, seeds + 1):
            seeds += 1
        while seeds > 1 and not fits(names, seeds):
            seeds -= 1
        while index > 0 and len(names) > 1 and not fits(names, seeds):
            names.pop()
        while epochs > 1 and not fits(names, seeds, epochs):
            epochs -= 1
    return Entered(tuple(names), epochs, seeds)


def halve(
    plan: Plan,
    costs: Mapping[str, Cost],
    train: Callable[[int, Entered], Mapping[str, Sequence[Trial]]],
    *,
    higher_is_better: bool = True,
) -> tuple[list[Entered], dict[str, list[Trial]]]:
    """Carry out a plan with planned times: what `advise` does, without a clock.

    Args:
        train: returns the trainings of a round, by candidate.

    Returns:
        The rounds, and all trainings of each candidate.
    """
    trials: dict[str, list[Trial]] = {name: [] for name in costs}
    rounds: list[Entered] = []
    room = plan.seconds
    for index in range(len(plan.rounds)):
        entered = enter(plan, index, costs, trials, room, higher_is_better=higher_is_better)
        for name, found in train(index, entered).items():
            trials[name] += found
        rounds.append(entered)
        room -= round_seconds(costs, entered, plan.workers)
    return rounds, trials


def mean_score(trials: Sequence[Trial], index: int) -> float | None:
    """Return the mean score of a candidate's trainings in a round; None if none finished."""
    scores = [each.score for each in trials if each.round == index and each.score is not None]
    return sum(scores) / len(scores) if scores else None


def _ranked(trials: Mapping[str, Sequence[Trial]], index: int, higher_is_better: bool) -> list[str]:
    """Return the candidates that finished a round, the best first; of equal ones the first of the command."""
    scores = {name: mean_score(each, index) for name, each in trials.items()}
    found = {name: score for name, score in scores.items() if score is not None}
    return sorted(found, key=lambda name: -found[name] if higher_is_better else found[name])


def _last_trials(trials: Sequence[Trial], index: int) -> list[Trial]:
    return [each for each in trials if each.round == index and each.score is not None]


def level(first: Sequence[Trial], second: Sequence[Trial]) -> bool:
    """Return whether two candidates cannot be told apart by trainings of the same length, one or more of each."""
    means = [sum(each.score or 0.0 for each in side) / len(side) for side in (first, second)]
    n = min(each.n for each in (*first, *second))
    single = sum(max(mean * (100 - mean), 100.0) for mean in means) / max(n, 1)  # of two independent samples
    a, b = first[0].right, second[0].right
    if a and len(a) == len(b):
        differing = sum(x != y for x, y in zip(a, b, strict=True)) / len(a)
        difference = (a.count("1") - b.count("1")) / len(a)
        images = 1e4 * max(differing - difference**2, 1 / len(a)) / len(a)
    else:
        images = single
    seeds = SEED_VARIANCE * single / min(len(first), len(second))
    return abs(means[0] - means[1]) <= _LEVEL * math.sqrt(images + seeds)
