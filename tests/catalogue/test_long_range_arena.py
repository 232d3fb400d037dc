"""The published table of the Long Range Arena."""

from __future__ import annotations

import statistics

import pytest

from modernet.catalogue import ARENA_TASKS, PublishedRow, arena_rows, published_rows

ROUNDED_OTHERWISE = {"sinkhorn_transformer": 51.476}  # the paper prints 51.39


def mean_by_the_rule(row: PublishedRow) -> float:
    scores = [row.scores[task] for task in list(ARENA_TASKS)[: row.averaged_tasks]]
    return statistics.mean(50.0 if score is None else score for score in scores)


@pytest.mark.parametrize("row", arena_rows(), ids=lambda row: f"{row.source}-{row.model}")
def test_every_average_follows_from_its_row_by_its_rule(row: PublishedRow) -> None:
    expected = ROUNDED_OTHERWISE.get(row.model, row.average)
    assert mean_by_the_rule(row) == pytest.approx(expected, abs=0.0061)


def test_rules_differ_between_the_benchmark_and_later_papers() -> None:
    (lra, mega), (lin,) = published_rows("transformer"), published_rows("s4d_lin")
    assert (lra.source, lra.averaged_tasks, lra.average_rule) == ("lra", 5, "five tasks, without Path-X")
    assert (mega.source, mega.averaged_tasks) == ("mega", 5)
    assert (lin.averaged_tasks, lin.average_rule) == (6, "six tasks, the failed one counted as 50")
    assert published_rows("s4")[0].average_rule == "six tasks"


def test_a_model_has_its_published_rows_in_the_order_of_publication() -> None:
    assert [(row.source, row.average) for row in published_rows("s4")] == [
        ("s4", 80.48), ("httyh", 86.09), ("mega", 85.86),
    ]  # fmt: skip
    assert [row.model for row in published_rows("s4", "masked")] == ["s4_masked_spt"]
    assert published_rows("s4", "next") == published_rows("no_such_model") == ()
    assert published_rows("sinkhorn_lra") == published_rows("sinkhorn")


def test_all_fourteen_models_of_the_talk_and_s4_have_a_row() -> None:
    names = {row.network for row in arena_rows() if row.network}
    assert names >= {
        *("transformer", "local", "sparse", "longformer", "linformer", "reformer", "sinkhorn", "synthesizer"),
        *("bigbird", "linear", "performer", "fnet", "nystromformer", "luna", "s4", "s4d_lin", "s4d_inv", "s4d_legs"),
    }
    assert all(row.source_title for row in arena_rows())
