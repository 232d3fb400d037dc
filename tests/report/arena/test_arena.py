"""The table, the findings and the page of an arena, from made-up records."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from modernet.errors import InputError
from modernet.records import Record
from modernet.report import Arena, arena_cells, arena_markdown, arena_table, summarise_arenas, write_report
from modernet.report.arena.findings import findings
from modernet.report.arena.summary import Cell, Entry
from modernet.report.arena.tables import rows
from modernet.statistics import repeated_interval, welch_interval, wilson_interval
from report.arena.made_up import SCORES, arena_record, arena_records


def summary(records: list[Record]) -> Arena:
    (arena,) = summarise_arenas(records)
    return arena


def cell_of(arena: Arena, model: str, task: str, pretraining: str | None = None) -> Cell:
    return next(cell for cell in arena.row(Entry(model, pretraining)) if cell.task.name == task)


def printed(arena: Arena) -> str:
    console = Console(width=160, file=io.StringIO(), record=True)
    console.print(arena_table(arena))
    return " ".join(console.export_text().split())


def test_rows_and_columns_are_in_the_order_of_the_published_table() -> None:
    arena = summary(arena_records()[::-1])

    assert [entry.label for entry in arena.entries] == ["transformer", "local_lra", "s4"]
    assert [task.title for task in arena.tasks] == ["ListOps", "Image", "Pathfinder"]
    assert arena.devices == ("CPU, 1 thread, 2 concurrent runs",)


def test_the_interval_of_a_cell_is_over_examples_and_seeds() -> None:
    cell = cell_of(summary(arena_records()), "transformer", "listops")

    assert cell.n == 1000
    assert cell.mean == pytest.approx(36.4)
    expected = repeated_interval([0.360, 0.370, 0.362], 1000)
    assert cell.interval is not None
    assert (cell.interval.low, cell.interval.high) == pytest.approx((100 * expected.low, 100 * expected.high))

    (one,) = summarise_arenas([arena_record("s4", "image", 40.0)])
    alone = cell_of(one, "s4", "image").interval
    assert alone is not None
    assert alone.low == pytest.approx(100 * wilson_interval(0.4, 1000).low)


def test_a_cell_is_compared_with_every_floor_by_its_interval() -> None:
    arena = summary(arena_records())

    assert cell_of(arena, "transformer", "listops").floors_not_beaten == ((36.5, "the root operator"),)
    assert [floor for floor, _ in cell_of(arena, "local_lra", "listops").floors_not_beaten] == [17.2, 36.5]
    assert cell_of(arena, "transformer", "pathfinder").floors_not_beaten == ((50.4, "the most frequent class"),)
    assert cell_of(arena, "s4", "listops").floors_not_beaten == ()
    just_above = summary([arena_record("s4", "image", 10.5)])  # within the interval of 1,000 sequences
    assert cell_of(just_above, "s4", "image").floors_not_beaten
    assert not cell_of(summary([arena_record("s4", "image", 12.5)]), "s4", "image").floors_not_beaten


def test_the_mean_over_tasks_has_the_margins_of_its_cells_by_their_squares() -> None:
    arena = summary(arena_records())
    found = arena.mean(Entry("s4", None))

    assert found is not None
    mean, ends = found
    cells = arena.row(Entry("s4", None))
    assert mean == pytest.approx(sum(cell.mean or 0 for cell in cells) / 3)
    assert ends.high - mean == pytest.approx(
        sum((cell.interval.high - cell.mean) ** 2 for cell in cells if cell.interval and cell.mean) ** 0.5 / 3
    )
    assert summary([*arena_records(), arena_record("fnet", "image")]).mean(Entry("fnet", None)) is None


def test_the_table_has_cells_marks_published_rows_and_floors() -> None:
    arena = summary(arena_records())
    found = [(row.kind, row.title, [cell.value for cell in row.cells], row.mean.value) for row in rows(arena)]

    assert found == [
        ("measured", "transformer", ["36.4 †", "42.0", "51.0 †"], "43.1"),
        ("published", "lra", ["36.37", "42.44", "71.40"], "54.39 (5)"),
        ("measured", "local_lra", ["17.2 †", "41.5", "66.0"], "41.6"),
        ("published", "lra", ["15.82", "41.46", "66.63"], "46.06 (5)"),
        ("measured", "s4", ["58.0", "86.8", "86.0"], "76.9"),
        ("published", "s4", ["58.35", "87.26", "86.05"], "80.48 (6)"),
        ("floor", "the most frequent class", ["17.2", "10.0", "50.4"], ""),
        ("floor", "the root operator", ["36.5", "", ""], ""),
    ]
    text = printed(arena)
    assert "size nano · 3 seeds · CPU, 1 thread, 2 concurrent runs" in text
    assert "Model n = 1,000 n = 1,000 n = 1,000 Mean" in text
    low, high = (f"{end:.1f}" for end in vars(cell_of(arena, "s4", "listops").interval).values())
    assert f"[{low}, {high}]" in text
    assert "† not above a floor" in text
    assert "| local\\_lra | 17.2 † \\[" in arena_markdown(arena)


def test_findings_claim_no_more_than_the_intervals() -> None:
    text = findings(summary(arena_records())).replace("\N{NO-BREAK SPACE}", " ")

    assert "Of 9 cells, 6 are above every floor by more than the interval." in text
    assert "transformer on ListOps (the root operator, 36.5 %)" in text
    assert "local_lra on ListOps (the most frequent class, 17.2 %)" in text
    lead = welch_interval(SCORES["s4"]["listops"], SCORES["transformer"]["listops"])
    assert lead is not None
    assert f"ListOps: s4 is first with 58.0 %, +21.6 points to transformer [+{lead.low:.1f}, +{lead.high:.1f}]." in text

    close = {"s4": {"image": (80.0, 82.0, 81.0)}, "fnet": {"image": (80.0, 81.0, 81.0)}}
    assert "which includes zero" in findings(summary(arena_records(close)))
    alone = {"s4": {"image": (80.0,)}, "fnet": {"image": (70.0,)}}
    assert "+10.0 points to fnet (no interval: it takes two seeds)" in findings(summary(arena_records(alone)))
    everything = findings(summary(arena_records({"s4": SCORES["s4"]})))
    assert everything == "Of 3 cells, 3 are above every floor by more than the interval."


def test_a_pre_trained_row_stands_after_the_other_with_both_costs() -> None:
    after = {"s4": {task: [score + 3 for score in scores] for task, scores in SCORES["s4"].items()}}
    before = arena_records({"s4": {"image": (0.1, 0.2, 0.3)}}, pretraining="masked", task_kind="sequence_pretraining")
    arena = summary([*arena_records({"s4": SCORES["s4"]}), *arena_records(after, pretraining="masked"), *before])

    assert [entry.label for entry in arena.entries] == ["s4", "s4, masked"]
    assert [row.title for row in rows(arena)][:4] == ["s4", "s4", "s4, masked", "spt"]
    assert cell_of(arena, "s4", "image", "masked").mean == pytest.approx(89.83, abs=0.01)
    assert cell_of(arena, "s4", "image", "masked").seconds == 40.0
    assert cell_of(arena, "s4", "listops", "masked").seconds == 20.0
    assert "changes 3 cells by +3.0 to +3.0 points" in findings(arena)
    assert len(arena.records) == 21


def test_failed_and_missing_runs_are_said_and_the_others_count() -> None:
    failed = arena_record("s4", "image", seed=1, error="RuntimeError: out of luck")
    records = [record for record in arena_records() if record.settings["model"] != "s4"]
    arena = summary([*records, failed, arena_record("s4", "listops", 40.0)])

    assert cell_of(arena, "s4", "image").errors == ("RuntimeError: out of luck",)
    assert cell_of(arena, "s4", "pathfinder").mean is None
    text = printed(arena)
    assert "Failed: s4 on Image: RuntimeError: out of luck" in text
    assert "1 to 3 seeds" in text
    retried = summary([*records, failed, arena_record("s4", "image", 80.0, seed=1)])
    assert cell_of(retried, "s4", "image").errors == ()


def test_a_failed_pre_training_is_the_error_of_its_cell() -> None:
    error = arena_record("s4", "image", pretraining="masked", task_kind="sequence_pretraining", error="NaN")
    cell = cell_of(summary([*arena_records(), error]), "s4", "image", "masked")

    assert cell.errors == ("NaN",)
    assert cell.runs == ()


def test_the_latest_run_of_a_seed_counts_and_other_rules_are_another_table() -> None:
    again = arena_record("s4", "image", 12.0, created="2026-12-02T10:00:00+00:00")
    assert cell_of(summary([again, *arena_records()]), "s4", "image").scores == (12.0, 87.0, 87.5)

    walk = replace(arena_records()[0], settings={"study": "roadmap"})
    found = summarise_arenas([walk, *arena_records(), *arena_records(rules="another")])
    assert [len(arena.records) for arena in found] == [27, 27]


def test_other_data_of_one_task_is_another_column() -> None:
    other = {"name": "listops-nano", "fingerprint": "another", "n_test": 1000}
    arena = summary([*arena_records(), arena_record("s4", "listops", 40.0, data=other)])

    assert [task.name for task in arena.tasks] == ["listops", "listops", "image", "pathfinder"]
    assert sorted(cell.scores for cell in arena.row(Entry("s4", None)) if cell.task.name == "listops") == [
        (40.0,), (57.0, 58.0, 59.0),
    ]  # fmt: skip


def test_cells_are_json_with_what_was_measured_and_published() -> None:
    cells = {
        (cell["model"], cell["task"]): cell for cell in json.loads(json.dumps(arena_cells(summary(arena_records()))))
    }

    cell = cells["transformer", "listops"]
    assert cell["seeds"] == {"0": 36.0, "1": 37.0, "2": 36.2}
    assert cell["low"] < cell["accuracy"] < cell["high"]
    assert cell["not_above"] == ["the root operator"]
    assert cell["published"] == {"lra:transformer": 36.37, "mega:transformer": 37.11}
    assert (cell["n"], cell["seconds"], cell["sequences_per_second"]) == (1000, 20.0, 400.0)
    assert cell["train_accuracy"] == pytest.approx(39.4)


@pytest.mark.medium
@pytest.mark.parametrize(
    "make",
    [
        arena_records,
        lambda: arena_records()[:1],
        lambda: [arena_record("s4", "image", error="RuntimeError: out of <luck>")],
        lambda: [arena_record("s4", "image", data={"name": "images"})],
    ],
)
def test_every_arena_has_a_chart_and_a_section(make: Callable[[], list[Record]], tmp_path: Path) -> None:
    written = write_report(make(), tmp_path)

    assert [path.name for path in written] == ["arena.png", "report.html"]
    assert written[0].read_bytes().startswith(b"\x89PNG")
    page = written[1].read_text(encoding="utf-8")
    assert "The Long Range Arena on this machine, size nano" in page
    assert "Training on" not in page  # its runs are listed there alone
    assert "out of <luck>" not in page


@pytest.mark.medium
def test_the_page_has_the_table_the_floors_and_the_cost(tmp_path: Path) -> None:
    page = write_report(arena_records(), tmp_path)[-1].read_text(encoding="utf-8")

    assert "36.4 †" in page
    assert "floor: the root operator" in page
    assert '<th scope="col">Path-X</th><th scope="col">Average</th>' in page
    assert '<td>80.48<span class="interval">six tasks</span></td>' in page
    assert "Tay et al. 2020, the benchmark&#39;s own table" in page
    assert "<td>71.0k</td><td>20.0</td><td>400</td><td>39.4</td><td>36.4</td><td>3</td>" in page
    assert "floor: the root operator\\n36.5" in page


@pytest.mark.medium
def test_a_recipe_is_headed_by_the_models_and_tasks_that_have_it(tmp_path: Path) -> None:
    other = arena_record("s4d_lin", "image", recipe={"name": "sequences_nano", "lr": 0.01})
    page = write_report([*arena_records(), other], tmp_path)[-1].read_text(encoding="utf-8")

    assert "transformer, s4, local_lra: listops, image, pathfinder<" in page
    assert "s4d_lin: image<" in page


def test_a_record_without_its_cell_is_named() -> None:
    first, *rest = arena_records()
    settings = {key: value for key, value in first.settings.items() if key != "arena_task"}
    with pytest.raises(InputError, match=r"'transformer' of an arena has no setting 'arena_task'; run the arena again"):
        summarise_arenas([replace(first, settings=settings), *rest])
