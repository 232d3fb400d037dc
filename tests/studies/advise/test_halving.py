from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modernet.errors import InputError
from modernet.report.advise.advice import Trial
from modernet.studies.advise.halving import Cost, Entered, Plan, Round, enter, halve, level, makespan, plan_rounds

TWELVE = {f"network_{index}": Cost(1.0, 0.5) for index in range(12)}


def trial(score: float, round: int = 0, seed: int = 0, n: int = 200, right: str = "") -> Trial:
    return Trial(round, seed, 4, score, n, 1.0, right)


def test_a_quarter_of_exhaustive_time_is_enough_for_four_finalists_with_all_epochs() -> None:
    plan = plan_rounds(TWELVE, 30, 0.25 * 12 * 3 * 30.5)
    assert plan.rounds == (Round(12, 12, 1), Round(4, 30, 1))


@pytest.mark.parametrize("seconds", [40, 60, 100, 200, 400])
def test_a_first_round_is_long_enough_to_tell_what_will_be_good(seconds: float) -> None:
    first, last = plan_rounds(TWELVE, 60, seconds).rounds
    assert first.places == 12 > last.places
    assert last.epochs / 3 <= first.epochs <= last.epochs / 2


def test_with_time_for_everything_there_is_one_round_with_several_seeds() -> None:
    assert plan_rounds(TWELVE, 10, 12 * 3 * 10.5).rounds == (Round(12, 10, 3),)


def test_with_little_time_the_last_round_is_shorter_than_the_recipe() -> None:
    plan = plan_rounds(TWELVE, 30, 60)
    assert 1 <= plan.rounds[-1].epochs < 30


def test_a_budget_without_one_epoch_of_each_is_refused_with_what_it_takes() -> None:
    with pytest.raises(InputError, match=r"one epoch of each of 12 candidates takes about 18 s, and 10 s are left"):
        plan_rounds(TWELVE, 30, 10)


def test_a_single_candidate_is_trained_with_several_seeds() -> None:
    assert plan_rounds({"only": Cost(1.0)}, 10, 35).rounds == (Round(1, 10, 3),)


def test_workers_share_the_trainings() -> None:
    assert plan_rounds(TWELVE, 30, 60, workers=4).rounds[-1].epochs > plan_rounds(TWELVE, 30, 60).rounds[-1].epochs
    assert makespan([4, 1, 1, 1], 2) == 4


@given(
    st.lists(st.floats(0.01, 10), min_size=1, max_size=14),
    st.integers(1, 100),
    st.floats(1, 1e5),
    st.integers(1, 4),
)
@example(seconds=[1.0, 1.0, 1.0, 2.0], epochs=1, budget=3.0, workers=3)  # the slowest is the last of them
@settings(max_examples=150, deadline=None)
def test_no_plan_takes_longer_than_its_time_whoever_wins(
    seconds: list[float], epochs: int, budget: float, workers: int
) -> None:
    costs = {str(index): Cost(each, each / 2) for index, each in enumerate(seconds)}
    try:
        plan = plan_rounds(costs, epochs, budget, workers)
    except InputError:
        return
    assert plan.expected_s <= budget
    assert plan.rounds[0].places == len(costs)
    spent = 0.0

    def slowest_wins(index: int, entered: Entered) -> dict[str, list[Trial]]:
        nonlocal spent
        names = sorted(entered.names, key=lambda name: -costs[name].epoch_s)
        spent += makespan(
            [costs[name].training(entered.epochs) for _ in range(entered.seeds) for name in names], workers
        )
        return {name: [trial(min(99.0, costs[name].epoch_s), index)] for name in entered.names}

    halve(plan, costs, slowest_wins)
    assert spent <= budget * (1 + 1e-9)


PLAN = Plan((Round(4, 2, 1), Round(2, 8, 2)), 100.0, 1, 60.0)
FOUR = {name: Cost(1.0) for name in "abcd"}


def scores(**of: float) -> dict[str, list[Trial]]:
    return {name: [trial(of[name])] if name in of else [] for name in "abcd"}


def test_the_best_go_on() -> None:
    entered = enter(PLAN, 1, FOUR, scores(a=10, b=80, c=20, d=90), 32.0)
    assert entered == Entered(("d", "b"), 8, 2)


def test_the_lowest_go_on_where_lower_is_better() -> None:
    assert enter(PLAN, 1, FOUR, scores(a=10, b=80, c=20, d=90), 32.0, higher_is_better=False).names == ("a", "c")


def test_one_that_cannot_be_told_apart_from_the_cut_goes_on_if_there_is_room() -> None:
    close = scores(a=79, b=80, c=20, d=90)
    assert enter(PLAN, 1, FOUR, close, 48.0).names == ("d", "b", "a")
    assert enter(PLAN, 1, FOUR, close, 47.0).names == ("d", "b")


def test_time_that_is_left_gives_finalists_more_seeds() -> None:
    assert enter(PLAN, 1, FOUR, scores(a=1, b=80, c=2, d=90), 64.0).seeds == 4


def test_with_less_room_seeds_go_first_then_candidates_then_epochs() -> None:
    plan = Plan((Round(4, 2, 1), Round(3, 8, 2)), 100.0, 1, 60.0)
    found = scores(a=10, b=80, c=50, d=90)
    assert enter(plan, 1, FOUR, found, 24.0) == Entered(("d", "b", "c"), 8, 1)
    assert enter(plan, 1, FOUR, found, 16.0) == Entered(("d", "b"), 8, 1)
    assert enter(plan, 1, FOUR, found, 8.0) == Entered(("d",), 8, 1)
    assert enter(plan, 1, FOUR, found, 5.5) == Entered(("d",), 5, 1)


def test_a_candidate_that_failed_does_not_go_on() -> None:
    found = scores(a=10, b=80, d=90) | {"c": [Trial(0, 0, 2, None, 0, 1.0, error="out of memory")]}
    assert "c" not in enter(PLAN, 1, FOUR, found, 1000.0).names


def test_nobody_enters_a_round_after_all_failed() -> None:
    assert enter(PLAN, 1, FOUR, scores(), 100.0).names == ()


def test_the_same_wrong_answers_tell_candidates_apart_that_others_would_not() -> None:
    first = "1" * 90 + "0" * 10
    assert not level([trial(90, n=100, right=first)], [trial(55, n=100, right="1" * 55 + "0" * 45)])
    assert level([trial(90, n=100, right=first)], [trial(88, n=100, right="1" * 88 + "0" * 12)])
