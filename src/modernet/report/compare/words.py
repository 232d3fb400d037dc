"""What a comparison shows in one paragraph, which claims no more than its intervals allow."""

from __future__ import annotations

from collections.abc import Sequence

from modernet.report.compare.analysis import LEAST_SEEDS, SPEED, Comparison, Pair, differences_to_best, measured
from modernet.report.compare.compared import Compared
from modernet.report.notation import interval, number, plural, points, signed, with_unit
from modernet.report.notation import measured as significant
from modernet.statistics import Interval

_BUDGETS = {
    "equal-seconds": "the same training time",
    "equal-macs": "the same number of multiply-accumulates",
}
_ALIKE = 1.1
"""Up to this factor, amounts of training are called the same."""


def conditions(comparison: Comparison) -> str:
    """Format what the candidates have in common in one line."""
    common = comparison.any
    facts = [f"recipe {common.recipe}", _budget(comparison), seed_count(comparison)]
    return " · ".join([*facts, f"n = {number(common.n_test, 0)} test images", *comparison.devices])


def _budget(comparison: Comparison) -> str:
    """Return what all have the same of, and how nearly: epochs are whole."""
    common = comparison.any
    if common.budget == "equal-epochs":
        return plural(common.epochs, "epoch")
    same = _BUDGETS.get(common.budget, common.budget)
    known = [amount for each in comparison.candidates if (amount := _amount(each.compared))]
    factor = max(known) / min(known) if known else 1.0
    return same if factor < _ALIKE else f"{same} within a factor of {factor:.1f}"


def _amount(compared: Compared) -> float | None:
    """Return what a training has of what all have the same of, in some unit."""
    macs = compared.measurement("macs")
    if compared.budget == "equal-macs" and macs is not None:
        return compared.epochs * macs.values[0]
    return compared.seconds


def seed_count(comparison: Comparison) -> str:
    """Format `3 seeds`, or `1 to 3 seeds` where candidates differ."""
    least, most = comparison.seeds
    return plural(most, "seed") if least == most else f"{least} to {most} seeds"


def span(ends: Interval | None, digits: int) -> str:
    """Format the interval of a score: `[39.0, 43.4]`; empty if there is none."""
    return "" if ends is None else f"[{number(ends.low, digits)}, {number(ends.high, digits)}]"


def about_mean(comparison: Comparison) -> str:
    """Return what the interval of a mean score contains, or that there is none."""
    if comparison.paired:
        least, most = comparison.seeds
        return "over test images" + (" and seeds" if least > 1 else ", and over seeds from two on" if most > 1 else "")
    if comparison.seeds[1] < LEAST_SEEDS:
        return ""
    return "over seeds" if comparison.seeds[0] >= LEAST_SEEDS else f"over seeds where there are {LEAST_SEEDS} or more"


def conclusion(comparison: Comparison) -> str:
    """Return one paragraph: how networks were trained, which are best, what is not known, and what would settle it."""
    if not comparison.candidates:
        return f"No training finished. {_failures(comparison)}"
    sentences = [
        _training(comparison),
        _best(comparison),
        _open(comparison),
        _fastest(comparison),
        _dominated(comparison),
        _failures(comparison),
        _limits(comparison),
    ]
    return " ".join(filter(None, sentences))


def about_interval(comparison: Comparison) -> str:
    """Return what the interval of a difference contains."""
    if not comparison.paired and comparison.seeds[1] == 1:
        return "over seeds alone (Welch), from two on"
    if not comparison.paired:
        return "over seeds alone (Welch): the luck of the test images is not in it"
    if comparison.seeds[1] == 1:
        return (
            "over test images alone (McNemar, Newcombe), as there is one seed each: the luck of training is not in it"
        )
    return "over test images and seeds (crossed random effects)"


def settled_by(pair: Pair) -> str:
    """Return what would tell a pair apart: `12 seeds`, `20,000 test images`; empty if it is known or unknown."""
    if pair.seeds is not None:
        return plural_of(pair.seeds, "seed")
    return f"at least {plural_of(pair.images, 'test image')}" if pair.images else ""


def plural_of(count: int, noun: str) -> str:
    """Format a count that is an estimate: two significant digits from 100 on."""
    return f"{number_of(count)} {noun}{'' if count == 1 else 's'}"


def number_of(count: int) -> str:
    """Format the count alone."""
    return number(count if count < 100 else float(f"{count:.1e}"), 0)


def _training(comparison: Comparison) -> str:
    common = comparison.any
    names = comparison.candidates
    trained = (
        f"{plural(len(names), 'network')} trained on {common.data.get('name', 'the data')} with recipe {common.recipe} "
        f"for {_budget(comparison)}"
    )
    trials = max(len(each.trials) for each in comparison.all)
    tuning = f", each tuned with up to {plural(trials, 'setting')} on validation" if trials else ""
    starts = [each.compared.weights is not None for each in names]
    start = "pretrained weights" if all(starts) else "random weights"
    if any(starts) and not all(starts):
        random = [each.name for each, start in zip(names, starts, strict=True) if not start]
        start = f"pretrained weights, but {listed(random)} from random ones, which is no even contest"
    return f"{trained}, {seed_count(comparison)} each{tuning}, from {start}."


def _best(comparison: Comparison) -> str:
    metric, digits = comparison.metric, comparison.digits
    group, (best, *others) = comparison.best_group, comparison.candidates
    score = with_unit(best.mean, digits, metric.unit)
    ends = f" {span(best.interval, digits)}" if best.interval else ""
    first = f"{best.name} has the best test {metric.title}, {score}{ends}"
    if not others:
        return f"{first}; there is no other to compare it with."
    if all(pair.p is None for pair in comparison.pairs):
        return f"{first}, but with so few seeds nothing says whether this is more than luck."
    pairs = differences_to_best(comparison)
    if len(group) == 1:
        pair = pairs[others[0].name]
        gap = f"{signed(pair.difference, digits)} {points(metric)}".strip()
        return f"{first}, and is better than every other: {gap} {interval(pair.interval, digits)} to {others[0].name}."
    alike = [each.name for each in group[1:]]
    beyond = len(comparison.candidates) - len(group)
    rest = f"; it is better than the other {beyond}" if beyond > 1 else "; it is better than the last one"
    return f"{first}, but cannot be told apart from {listed(alike)}{rest if beyond else ''}."


def _open(comparison: Comparison) -> str:
    """Return what would tell the best group apart."""
    pairs = differences_to_best(comparison)
    undecided = [pairs[each.name] for each in comparison.best_group[1:]]
    if not undecided or all(pair.p is None for pair in undecided):
        return ""
    if all(pair.seeds is None and pair.images is None for pair in undecided):
        if comparison.seeds[1] == 1:
            return "With one seed each it is not known how much training varies: give three or more."
        return "If they differ, it is by too little to estimate how many seeds would show it."
    by_seeds = [f"about {plural_of(pair.seeds, 'seed')} each for {pair.second}" for pair in undecided if pair.seeds]
    by_images = [
        f"at least {plural_of(pair.images, 'test image')} for {pair.second}" for pair in undecided if pair.images
    ]
    parts = [f"telling them apart would take {listed(by_seeds)}"] if by_seeds else []
    if by_images:
        n = number(comparison.any.n_test, 0)
        parts.append(f"no number of seeds is enough on these {n} test images: it would take {listed(by_images)}")
    return f"If the observed differences are the true ones, {'; '.join(parts)}."


def _fastest(comparison: Comparison) -> str:
    group = [(each, *found) for each in comparison.best_group if (found := measured(each.compared, SPEED))]
    if len(group) < 2:
        return ""
    (fastest, speed, ends), *others = sorted(group, key=lambda each: each[1], reverse=True)
    if any(ends.low <= other.high for _, _, other in others):
        return "None of these is clearly the fastest."
    best = comparison.candidates[0]
    text = f"The fastest of these is {fastest.name} with {significant(speed)} images/s"
    own = measured(best.compared, SPEED)
    if fastest is best or own is None:
        return f"{text}."
    return f"{text}, {speed / own[0]:.2g} times as fast as {best.name}."


def _dominated(comparison: Comparison) -> str:
    beaten = [each for each in comparison.candidates if each.dominated_by]
    if not beaten:
        return ""
    each = [f"{candidate.name} is worse and slower than {candidate.dominated_by[0]}" for candidate in beaten]
    return f"Beyond uncertainty, {listed(each)}."


def _failures(comparison: Comparison) -> str:
    sentences = []
    if comparison.failed:
        sentences.append(f"Without a result: {listed([each.candidate for each in comparison.failed])}.")
    some = [each.name for each in comparison.candidates if each.compared.lost]
    if some:
        sentences.append(f"Some runs failed, and are not counted, of {listed(some)}.")
    unmeasured = [each.name for each in comparison.candidates if each.compared.unmeasured]
    if unmeasured:
        sentences.append(f"Some runs could not be measured of {listed(unmeasured)}.")
    if comparison.unanswered:
        sentences.append(
            f"As the answers of {listed(comparison.unanswered)} to the test images are not known for every seed, "
            "nothing is compared image by image; the same command measures them again."
        )
    return " ".join(sentences)


def _limits(comparison: Comparison) -> str:
    """Return what the numbers do not say."""
    trials = max(len(each.trials) for each in comparison.all)
    tuning = (
        "more trials may change the order, and validation images that chose settings flatter validation scores"
        if trials
        else "no candidate was tuned, and a recipe that suits one of them better favours it"
    )
    least, most = comparison.seeds
    sampled = " Intervals are over seeds alone, not over test images." if not comparison.paired and most > 1 else ""
    few = " Two seeds hardly tell how much trainings vary: give three or more." if least == 2 else ""
    data = comparison.any.data.get("name", "this")
    return f"Not in these numbers: other data ({data} is one data set); {tuning}.{sampled}{few}"


def listed(names: Sequence[str]) -> str:
    """Join names: `a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
