"""Say what an advice is worth in a few sentences, which claim no more than was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modernet.records import CLASSIFICATION, Metric
from modernet.report.advise.advice import Advice, Considered
from modernet.report.advise.standings import Standing, finalists, last_standing
from modernet.report.notation import measured, number, plural, with_unit

_SURE = (
    (0.95, "almost certainly the best"),
    (0.8, "likely the best"),
    (0.6, "more likely than not the best"),
    (0.4, "as likely as not the best"),
    (0.0, "a guess as to the best"),
)
_MOST_NAMED = 3
_EQUAL = 0.1  # chance of those that are named for their speed
_FEW_IMAGES = 100  # below this, the sentence on ties gives the number of validation images
_LIMITS = {
    "max_latency_ms": "at most {:g} ms for one image",
    "max_memory_mb": "at most {:g} MB for one image",
    "licence": "weights with the licence {}",
}


def advice_words(advice: Advice, metric: Metric = CLASSIFICATION[0]) -> str:
    """Return a paragraph: what to use, how sure that is, what cannot be told apart from it, and what it took.

    Args:
        metric: the task's primary one, which the scores are of.
    """
    if advice.pick is None:
        return f"{_nothing(advice)} {_spent(advice)}"
    picked = candidate(advice, advice.pick)
    why = f"{in_words(advice.sure)} of those that were tried, {percent(advice.sure)} sure"
    first = f"Use {advice.pick}: {why if _trained(advice) > 1 else 'no other was trained'}."
    return " ".join(
        filter(None, [first, _score(advice, picked, metric), _level(advice, picked, metric), _spent(advice)])
    )


def _trained(advice: Advice) -> int:
    return sum(any(trial.score is not None for trial in each.trials) for each in advice.considered)


def in_words(sure: float) -> str:
    """Say a probability in words."""
    return next(words for least, words in _SURE if sure >= least)


def percent(sure: float) -> str:
    """Format a probability as whole per cent; never as 0 or 100, which no estimate can be."""
    rounded = round(100 * sure)
    return "over 99 %" if rounded >= 100 else "under 1 %" if rounded <= 0 else f"{rounded} %"


def limits(advice: Advice) -> str:
    """Format what was asked for: `at most 20 ms for one image`; empty without limits."""
    return ", ".join(_LIMITS.get(name, f"{name} {{}}").format(value) for name, value in advice.limits.items())


def fate(advice: Advice, each: Considered) -> str:
    """Return how far a candidate came: `the pick`, `given up before round 2: in the lower half`."""
    if each.name == advice.pick:
        return "the pick"
    if each.name in advice.level:
        early = "" if each.left_at is None else f"; given up before round {each.left_at + 1}"
        return f"cannot be told apart from the pick{early}"
    if each.left_at is None:
        trained = f"trained to the {_end(advice)}"
        return f"{trained}, worse than the pick" if advice.pick is not None else trained
    when = f"given up before round {each.left_at + 1}" if each.trials else "not trained"
    return f"{when}: {each.why}" if each.why else when


def start(each: Considered) -> str:
    """Return what training starts from: `from resnet18.a1_in1k, licence apache-2.0`."""
    if each.weights is None:
        return "from random weights"
    return f"from {each.weights}, licence {each.licence or 'not stated'}"


def scored(standing: Standing, metric: Metric) -> str:
    """Format a score with its interval: `91.2 % [88.1, 93.6]`."""
    digits = metric.digits_for(standing.n)
    return " ".join(filter(None, [with_unit(standing.score, digits, metric.unit), span(standing, digits)]))


def span(standing: Standing, digits: int) -> str:
    """Format an interval: `[88.1, 93.6]`; empty if there is none."""
    ends = standing.interval
    return "" if ends is None else f"[{number(ends.low, digits)}, {number(ends.high, digits)}]"


def duration(seconds: float) -> str:
    """Format a time with two digits or more: `45 s`, `28 min`, `1.5 h`."""
    for size, unit, least in ((3600, "h", 7200), (60, "min", 60)):
        if seconds >= least:
            return f"{seconds / size:.2g} {unit}" if seconds < 10 * size else f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def time_spent(advice: Advice) -> str:
    """Format the time that was used, and that of the budget: `28 min of 30 min`."""
    return f"{duration(advice.spent_seconds)} of {duration(advice.budget_seconds)}"


def failures(advice: Advice) -> list[str]:
    """Return a line for each distinct error of a candidate."""
    return [
        f"Failed: {each.name}: {error}"
        for each in advice.considered
        for error in dict.fromkeys(trial.error for trial in each.trials if trial.error)
    ]


def candidate(advice: Advice, name: str) -> Considered:
    """Return a candidate by its name.

    Raises:
        KeyError: there is none.
    """
    found = {each.name: each for each in advice.considered}
    return found[name]


def _score(advice: Advice, picked: Considered, metric: Metric) -> str:
    standing = last_standing(advice, picked, metric)
    if standing is None:
        return ""
    seeds = f", {plural(len(standing.seeds), 'seed')}" if len(standing.seeds) > 1 else ""
    sentence = (
        f"After {_length(advice, standing.epochs)} its validation {metric.title} is {scored(standing, metric)} "
        f"(n = {number(standing.n, 0)}{seeds})"
    )
    if picked.test is None:
        return f"{sentence}."
    test = with_unit(picked.test, metric.digits_for(standing.n), metric.unit)
    return f"{sentence}; on the test split, which decided nothing, {test}."


def _is_short(advice: Advice) -> bool:
    """Return whether the last round was shorter than the recipe, for lack of time."""
    longest = max(
        (each.epochs for found in advice.considered for each in found.trials if each.score is not None), default=0
    )
    return advice.epochs is not None and 0 < longest < advice.epochs


def _end(advice: Advice) -> str:
    return "last round" if _is_short(advice) else "end"


def _length(advice: Advice, epochs: int) -> str:
    """Return the length of a training: `30 epochs`; if the budget was too short, `2 of the recipe's 30 epochs, ...`."""
    if _is_short(advice):
        return f"{epochs} of the recipe's {plural(advice.epochs or 0, 'epoch')}, all that the budget allowed,"
    return plural(epochs, "epoch")


def short_names(advice: Advice) -> dict[str, str]:
    """Return the name of each candidate without the fields of its config, `resnet18` of `resnet18:width=16`, where no
    other is called so."""
    names = [each.name for each in advice.considered]
    models = {name: _without_fields(name) for name in names}
    return {name: model if list(models.values()).count(model) == 1 else name for name, model in models.items()}


def _without_fields(name: str) -> str:
    head, colon, tail = name.rpartition(":")
    return head if colon and "=" in tail else name


def _level(advice: Advice, picked: Considered, metric: Metric) -> str:
    if not advice.level:
        return "None of the others is level with it." if _trained(advice) > 1 else ""
    standing = last_standing(advice, picked, metric)
    by = "" if standing is None or standing.n >= _FEW_IMAGES else f" by {number(standing.n, 0)} validation images"
    short = short_names(advice)
    named = [short[name] for name in advice.level[:_MOST_NAMED]]
    more = len(advice.level) - len(named)
    others = [f"{more} other{'s' if more > 1 else ''}"] if more else []
    return f"{listed([*named, *others])} cannot be told apart from it{by}{_fastest(advice, short)}."


def _fastest(advice: Advice, short: Mapping[str, str]) -> str:
    """Say which of the best is the fastest, where that is not the pick: among equals, speed may decide."""
    equals = [each for each in advice.considered if each.name in advice.level and (each.chance or 0) >= _EQUAL]
    known = [(each.latency_ms, each.name) for each in (candidate(advice, str(advice.pick)), *equals)]
    latencies = [(latency, name) for latency, name in known if latency is not None]
    if not latencies or min(latencies)[1] == advice.pick:
        return ""
    own = next((latency for latency, name in latencies if name == advice.pick), None)
    latency, name = min(latencies)
    against = "" if own is None else f" against {measured(own)} ms"
    return f"; {short[name]} is the fastest of them, with {measured(latency)} ms{against}"


def _nothing(advice: Advice) -> str:
    if not advice.considered:
        return "No network can be advised: none was tried."
    failed = sum(bool(each.trials) and all(trial.score is None for trial in each.trials) for each in advice.considered)
    untrained = sum(not each.trials for each in advice.considered)
    left = len(advice.considered) - failed - untrained
    counts = [(failed, "failed"), (untrained, "never trained"), (left, "given up")]
    parts = [f"{count} {what}" for count, what in counts if count]
    within = f" within the limits ({limits(advice)})" if limits(advice) else ""
    return f"No network can be advised{within}: of {plural(len(advice.considered), 'candidate')}, {listed(parts)}."


def _spent(advice: Advice) -> str:
    trained = sum(bool(each.trials) for each in advice.considered)
    finished = {each.round for found in advice.considered for each in found.trials if each.score is not None}
    rounds = max(1, len(finished))
    were = "was" if trained == 1 else "were"
    tried = f"{trained} of {plural(len(advice.considered), 'candidate')} {were} trained in {plural(rounds, 'round')}"
    ended = len(finalists(advice))
    last = f", {ended} to the {_end(advice)}" if rounds > 1 and ended else ""
    left_out = f"; {plural(len(advice.not_tried), 'other')} not tried" if advice.not_tried else ""
    took = f"It took {time_spent(advice)}"
    return f"{took}: {tried}{last}{left_out}." if trained else f"{took}{left_out}."


def listed(names: Sequence[str]) -> str:
    """Join names: `a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
