from __future__ import annotations

import statistics

import pytest

from modernet.report.advise.advice import Trial
from modernet.statistics import repeated_interval
from modernet.studies.advise.halving import halve, plan_rounds
from modernet.studies.advise.sureness import Judgement, judge
from simulated_candidates import EPOCHS, SimulatedCandidates

REPEATS = 120


def trials(*scores: float, round: int = 0, n: int = 400) -> list[Trial]:
    return [Trial(round, seed, 10, score, n, 1.0) for seed, score in enumerate(scores)]


def test_nothing_is_picked_from_nothing() -> None:
    failed = [Trial(0, 0, 10, None, 0, 1.0, error="out of memory")]
    assert judge({"a": failed, "b": []}) == Judgement(None, {}, ())


def test_the_only_one_is_surely_the_best() -> None:
    assert judge({"a": trials(70, 71)}) == Judgement("a", {"a": 1.0}, ())


def test_a_large_difference_is_sure_and_a_small_one_is_not() -> None:
    clear = judge({"a": trials(90, 91), "b": trials(50, 51)})
    close = judge({"a": trials(90, 91), "b": trials(89, 91)})
    assert clear.pick == close.pick == "a"
    assert clear.sure > 0.97
    assert clear.level == ()
    assert 0.5 < close.sure < 0.8
    assert close.level == ("b",)
    assert sum(close.chances.values()) == pytest.approx(1.0)


def test_more_images_make_it_surer() -> None:
    few, many = (judge({"a": trials(90, 90, n=n), "b": trials(87, 87, n=n)}).sure for n in (100, 10_000))
    assert many > few


def test_seeds_that_differ_make_it_less_sure() -> None:
    steady = judge({"a": trials(90, 90, 90, n=5000), "b": trials(87, 87, 87, n=5000)}).sure
    noisy = judge({"a": trials(96, 90, 84, n=5000), "b": trials(81, 87, 93, n=5000)}).sure
    assert noisy < steady


def test_lower_is_better_turns_the_order() -> None:
    found = {"a": trials(20, 21), "b": trials(60, 61)}
    assert judge(found).pick == "b"
    assert judge(found, higher_is_better=False).pick == "a"


def test_one_that_was_given_up_close_to_the_others_makes_it_less_sure() -> None:
    finalists = {"a": [*trials(60), *trials(90, 90, round=1)], "b": [*trials(59), *trials(85, 85, round=1)]}
    far, close = judge({**finalists, "c": trials(10)}), judge({**finalists, "c": trials(58.5)})
    assert far.pick == close.pick == "a"
    assert close.sure < far.sure
    assert "c" in close.level


def test_only_a_finalist_is_picked() -> None:
    found = {"a": [*trials(60), *trials(80, round=1)], "b": [*trials(20), *trials(50, round=1)], "c": trials(99)}
    assert judge(found).pick == "a"


def test_answers_that_all_share_tell_apart_what_scores_alone_do_not() -> None:
    def answered(right: str) -> list[Trial]:
        return [Trial(0, seed, 10, 100 * right.count("1") / len(right), len(right), 1.0, right) for seed in range(3)]

    alike = judge({"a": answered("1" * 320 + "0" * 80), "b": answered("1" * 308 + "0" * 92)}).sure
    unlike = judge({"a": answered("1" * 320 + "0" * 80), "b": answered("0" * 92 + "1" * 308)}).sure
    assert alike > unlike


def test_the_same_seed_gives_the_same_judgement() -> None:
    found = {"a": trials(90, 91), "b": trials(89, 91)}
    assert judge(found, seed=3) == judge(found, seed=3)


@pytest.mark.slow
def test_the_pick_is_level_with_the_winner_and_sureness_is_how_often_it_is_the_best() -> None:
    sure, best, level = [], [], []
    for seed in range(REPEATS):
        candidates = SimulatedCandidates(seed)
        exhaustive_s = sum(3 * cost.training(EPOCHS) for cost in candidates.costs.values())
        plan = plan_rounds(candidates.costs, EPOCHS, 0.25 * exhaustive_s)
        _, found = halve(plan, candidates.costs, candidates.round)
        judged = judge(found, seed=seed)
        assert judged.pick is not None
        sure.append(judged.sure)
        best.append(judged.pick == max(candidates.quality, key=lambda name: candidates.quality[name]))
        scores = {name: [each.score or 0.0 for each in of] for name, of in candidates.exhaustive(range(3)).items()}
        winner = max(scores, key=lambda name: statistics.mean(scores[name]))
        interval = repeated_interval([score / 100 for score in scores[winner]], 300)
        level.append(statistics.mean(scores[judged.pick]) / 100 >= interval.low)
    assert statistics.mean(level) >= 0.9
    for low, high in ((0.0, 0.5), (0.5, 0.75), (0.75, 1.01)):
        of_bin = [index for index, each in enumerate(sure) if low <= each < high]
        assert len(of_bin) > 10
        expected, share = (statistics.mean(values[index] for index in of_bin) for values in (sure, best))
        error = (expected * (1 - expected) / len(of_bin)) ** 0.5
        assert abs(share - expected) < 3 * error
