"""Analyse comparisons: candidates by score, which of them can be told apart, and which are worth their time."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from modernet.differences import (
    LEVEL,
    crossed_difference,
    crossed_mean,
    images_to_settle,
    letter_groups,
    seeds_to_settle,
    welch_difference,
)
from modernet.errors import InputError
from modernet.records import Metric, Record
from modernet.report.compare.compared import KIND, Compared
from modernet.report.origin import devices
from modernet.statistics import Interval, holm, std, student_margin

STUDY = "compare"
"""Setting `study` of the training runs of a comparison."""
SPEED, LATENCY = "images_per_second", "latency_ms"
LEAST_SEEDS = 3
"""For an interval of a mean over seeds alone. Of two, it would be 12.7 standard errors to each side."""


@dataclass(frozen=True)
class Candidate:
    """A candidate with finished trainings. Scores are values of the comparison's metric.

    Attributes:
        compared: what was measured of it.
        mean, std: of the test scores over seeds; `std` is None for one seed.
        interval: of the mean, over seeds and test images; where differences are over seeds alone, too, and then None
            for fewer than three.
        letters: candidates that share one cannot be told apart.
        fronts: names of the costs (`SPEED`, `LATENCY`) for which no candidate is better in cost and score.
        dominated_by: candidates that are better in score and in speed, both beyond uncertainty, and no later with one
            image.
    """

    compared: Compared
    mean: float
    std: float | None
    interval: Interval | None
    letters: tuple[str, ...]
    fronts: tuple[str, ...]
    dominated_by: tuple[str, ...]

    @property
    def name(self) -> str:
        """The label that the user gave."""
        return self.compared.candidate


@dataclass(frozen=True)
class Pair:
    """Two candidates.

    Attributes:
        first, second: their names, the better one first.
        difference: the first one's mean score minus the second's, in the metric's unit.
        interval: of it, at 95 % for this pair alone; p: of its test. None if the seeds are too few to know.
        distinguished: whether Holm's test over all pairs tells them apart; None if there is no test.
        seeds: per candidate that would; images: of the test split that it takes at least, if no seeds are enough.
    """

    first: str
    second: str
    difference: float
    interval: Interval | None
    p: float | None
    distinguished: bool | None
    seeds: int | None
    images: int | None


@dataclass(frozen=True)
class Comparison:
    """Candidates that were trained alike.

    Attributes:
        digest: of what they have in common.
        metric: of the scores.
        candidates: with finished trainings, the best first.
        failed: candidates without any, in the order of the command.
        pairs: of candidates, by the order of both.
        paired: whether differences are over test images and seeds; else over seeds alone.
        unanswered: ranked candidates whose answers to the test images are not known for each seed, although their task
            has such: because of these, nothing is paired.
        devices: where speeds were measured.
        records: of the candidates and of their training runs.
    """

    digest: str
    metric: Metric
    candidates: tuple[Candidate, ...]
    failed: tuple[Compared, ...]
    pairs: tuple[Pair, ...] = field(repr=False)
    paired: bool
    unanswered: tuple[str, ...]
    devices: tuple[str, ...]
    records: tuple[Record, ...] = field(repr=False)

    @property
    def any(self) -> Compared:
        """One of the candidates, for what they have in common."""
        return self.all[0]

    @property
    def all(self) -> tuple[Compared, ...]:
        """Every candidate: the ranked ones, then those that failed."""
        return (*(each.compared for each in self.candidates), *self.failed)

    @property
    def digits(self) -> int:
        """Decimals of its scores."""
        return self.metric.digits_for(self.any.n_test)

    @property
    def seeds(self) -> tuple[int, int]:
        """The least and the most seeds of a ranked candidate; zeros without one."""
        counts = [len(each.compared.seeds) for each in self.candidates]
        return (min(counts), max(counts)) if counts else (0, 0)

    @property
    def best_group(self) -> tuple[Candidate, ...]:
        """The best candidate and all that cannot be told apart from it, the best first."""
        if not self.candidates:
            return ()
        first, *others = self.candidates
        return (first, *(each for each in others if set(each.letters) & set(first.letters)))

    def pair(self, first: str, second: str) -> Pair:
        """Return the pair of two candidates, the better one first."""
        return next(each for each in self.pairs if (each.first, each.second) == (first, second))


def summarise_comparisons(records: Iterable[Record]) -> list[Comparison]:
    """Return the analysis of each comparison; other records are ignored.

    Training runs of a comparison belong to the one whose digest is their setting `comparison`; without that setting, to
    the first. If a candidate has several records, the latest counts.

    Raises:
        InputError: a record lacks a field, or answers are not for the same test images.
    """
    found: dict[str, dict[str, tuple[Compared, Record]]] = {}
    runs: list[Record] = []
    for record in sorted(records, key=lambda record: str(record.environment.get("created", ""))):
        if record.kind == KIND:
            compared = Compared.from_record(record)
            found.setdefault(compared.comparison, {})[compared.candidate] = (compared, record)
        elif record.kind == "train" and record.settings.get("study") == STUDY:
            runs.append(record)
    own: dict[str, list[Record]] = {digest: [] for digest in found}
    for run in runs:
        digest = str(run.settings.get("comparison", next(iter(found), "")))
        if digest in own:
            own[digest].append(run)
    return [_comparison(digest, list(members.values()), own[digest]) for digest, members in found.items()]


def measured(compared: Compared, name: str) -> tuple[float, Interval] | None:
    """Return a positive quantity's mean and the interval that is known of it, perhaps without a width; or None."""
    found = compared.measurement(name)
    if found is None or not found.values:
        return None
    value = statistics.fmean(found.values)
    if value <= 0:
        return None
    if found.low is None or found.high is None:
        return value, Interval(value, value)
    return value, Interval(found.low, found.high)


def _comparison(digest: str, members: Sequence[tuple[Compared, Record]], runs: Sequence[Record]) -> Comparison:
    metric = members[0][1].primary
    ordered = sorted((compared for compared, _ in members), key=lambda each: each.order)
    better = -1 if metric.higher_is_better else 1
    ranked = sorted((each for each in ordered if each.score), key=lambda each: better * statistics.fmean(each.score))
    complete = [each for each in ranked if each.right and len(each.right) == len(each.score)]
    paired = bool(ranked) and len(complete) == len(ranked)
    has_answers = any(each.task == "classification" for each in ranked)
    unanswered = tuple(each.candidate for each in ranked if has_answers and each not in complete)
    if paired:
        _check_images(ranked)
    pairs = _pairs(ranked, metric, paired)
    places = {each.candidate: place for place, each in enumerate(ranked)}
    apart = [(places[pair.first], places[pair.second]) for pair in pairs if pair.distinguished]
    letters = letter_groups(len(ranked), apart)
    beaten = {(pair.second, pair.first) for pair in pairs if pair.distinguished}
    candidates = tuple(
        Candidate(
            each,
            statistics.fmean(each.score),
            std(each.score),
            _interval(each, metric, paired),
            letters[places[each.candidate]],
            tuple(cost for cost in (SPEED, LATENCY) if _on_front(each, ranked[: places[each.candidate]], cost)),
            tuple(
                other.candidate
                for other in ranked
                if (each.candidate, other.candidate) in beaten and _certainly_faster(other, each)
            ),
        )
        for each in ranked
    )
    failed = tuple(each for each in ordered if not each.score)
    own = tuple(record for _, record in members)
    return Comparison(digest, metric, candidates, failed, pairs, paired, unanswered, devices(own), (*own, *runs))


def _check_images(ranked: Sequence[Compared]) -> None:
    lengths = {len(answers): each.candidate for each in ranked for answers in each.right}
    if len(lengths) > 1:
        (n, first), (other, second), *_ = lengths.items()
        raise InputError(
            f"{first} was tested on {n} images and {second} on {other}; run modernet compare again in a new folder"
        )


def _pairs(ranked: Sequence[Compared], metric: Metric, paired: bool) -> tuple[Pair, ...]:
    """Return every pair: its difference, and Holm's decision over all of them."""
    answers = {each.candidate: _answers(each) for each in ranked} if paired else {}
    factor = _scale(metric) if paired else 1.0
    couples = list(itertools.combinations(ranked, 2))
    differences = [
        crossed_difference(answers[one.candidate], answers[other.candidate])
        if paired
        else welch_difference(one.score, other.score)
        for one, other in couples
    ]
    tested = [each.p for each in differences if each.p is not None]
    decisions = iter(holm(tested))
    decided = [None if each.p is None else next(decisions) for each in differences]
    undecided = decided.count(False)
    level = LEVEL / max(undecided, 1)  # where Holm's test stopped
    found = []
    for (one, other), difference, decision in zip(couples, differences, decided, strict=True):
        interval = difference.interval and Interval(difference.interval.low * factor, difference.interval.high * factor)
        needed = seeds_to_settle(difference, level) if decision is False else None
        images = images_to_settle(difference, level) if decision is False and needed is None else None
        gap = statistics.fmean(one.score) - statistics.fmean(other.score)
        found.append(Pair(one.candidate, other.candidate, gap, interval, difference.p, decision, needed, images))
    return tuple(found)


def _answers(compared: Compared) -> list[list[int]]:
    return [[int(answer == "1") for answer in answers] for answers in compared.right]


def _interval(compared: Compared, metric: Metric, paired: bool) -> Interval | None:
    scores = compared.score
    if paired:
        scale, ends = _scale(metric), crossed_mean(_answers(compared))
        return Interval(scale * ends.low, scale * ends.high)
    if len(scores) < LEAST_SEEDS:
        return None
    mean, error = statistics.fmean(scores), statistics.stdev(scores) / math.sqrt(len(scores))
    margin = student_margin(error, len(scores) - 1)
    low, high = metric.limits
    least, most = -math.inf if low is None else low, math.inf if high is None else high
    return Interval(max(mean - margin, least), min(mean + margin, most))


def _scale(metric: Metric) -> float:
    """Return what a share of images is multiplied by."""
    return 100.0 if metric.unit == "%" else 1.0


def _on_front(compared: Compared, better: Sequence[Compared], cost: str) -> bool:
    """Return whether no candidate with a better score costs as little or less."""
    own = measured(compared, cost)
    if own is None:
        return False
    others = [each[0] for other in better if (each := measured(other, cost)) is not None]
    return all(own[0] > other if cost == SPEED else own[0] < other for other in others)


def _certainly_faster(one: Compared, other: Compared) -> bool:
    """Return whether the intervals of both speeds are known and apart, and latency does not say the opposite."""
    fast, slow = measured(one, SPEED), measured(other, SPEED)
    long, short = measured(one, LATENCY), measured(other, LATENCY)
    if long is not None and short is not None and long[0] > short[0]:
        return False
    return fast is not None and slow is not None and fast[1].low > slow[1].high


def differences_to_best(comparison: Comparison) -> Mapping[str, Pair]:
    """Return, for each candidate but the best, its pair with the best one."""
    if not comparison.candidates:
        return {}
    best, *others = comparison.candidates
    return {each.name: comparison.pair(best.name, each.name) for each in others}
