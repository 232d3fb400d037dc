"""Runs of the arena: what is trained, resumed, reported and refused; the data are tiny, the training is real."""

from __future__ import annotations

import itertools
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modernet import progress
from modernet.cli import main
from modernet.errors import InputError
from modernet.recipes import get_recipe
from modernet.records import RECORD_NAME, Record, read_record
from modernet.report import summarise_arenas
from modernet.report.arena.tables import failures
from modernet.studies import Machines, finishing
from modernet.studies.arena import ArenaRequest, Estimate, cells, estimate_arena, run_arena
from modernet.studies.arena.estimate import CellEstimate
from modernet.training import Interrupted
from modernet.training.watching.cost import duration
from studies.arena.small_arena import small_sequences

ALONE = Machines(workers=1)


@pytest.fixture(autouse=True)
def small_data(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the data of every task, and return a list of what is opened."""
    opened: list[str] = []

    def open_small(data: str) -> Any:
        opened.append(data)
        return small_sequences(data.partition(":")[0])

    monkeypatch.setattr(cells, "open_sequences", open_small)
    cells.open_data.cache_clear()
    return opened


@pytest.fixture
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out drawing, which takes longer than the training."""
    monkeypatch.setattr(finishing, "write_report", lambda records, folder: [])


def request(**changes: Any) -> ArenaRequest:
    values: dict[str, Any] = {"models": ("transformer",), "tasks": ("image", "listops"), "seeds": 1, "epochs": 2}
    return ArenaRequest(**(values | changes))


def run(folder: Path, **changes: Any) -> list[Record]:
    return run_arena(request(**changes), machines=ALONE, folder=folder)


def watched(monkeypatch: pytest.MonkeyPatch, before: Callable[[str, int], None]) -> list[tuple[str, int]]:
    """Let something happen before each training, and return a list of the trained tasks and seeds."""
    trained: list[tuple[str, int]] = []
    train = cells.train_sequences

    def train_watched(spec: Any, dataset: Any, recipe: Any, **options: Any) -> Record:
        before(options["study"]["arena_task"], options["seed"])
        trained.append((options["study"]["arena_task"], options["seed"]))
        return train(spec, dataset, recipe, **options)

    monkeypatch.setattr(cells, "train_sequences", train_watched)
    return trained


@pytest.mark.medium
def test_an_arena_leaves_records_a_chart_and_a_page(tmp_path: Path) -> None:
    records = run(tmp_path / "arena", seeds=2)

    assert [(record.settings["arena_task"], record.settings["seed"]) for record in records] == [
        ("listops", 0), ("listops", 1), ("image", 0), ("image", 1),
    ]  # fmt: skip
    assert all(0 <= record.metrics["test_accuracy"] <= 100 and record.error is None for record in records)
    assert records[0].settings["data"]["floors"] == {"the most frequent class": 55.0}
    assert records[0].settings["model_fields"]["width"] == 64
    assert {path.name for path in (tmp_path / "arena").iterdir()} == {"listops", "image", "arena.png", "report.html"}
    assert read_record(tmp_path / "arena" / "image" / "transformer" / "seed-1" / RECORD_NAME) == records[3]


@pytest.mark.usefixtures("no_page")
@pytest.mark.medium
def test_a_stopped_arena_continues_with_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop_at_the_third(task: str, seed: int) -> None:
        if (task, seed) == ("listops", 1) and stopping:
            raise Interrupted("stopped")

    stopping = [True]
    trained = watched(monkeypatch, stop_at_the_third)
    with pytest.raises(Interrupted):
        run(tmp_path, seeds=2)
    assert trained == [("listops", 0), ("image", 0)]  # each cell once before any is trained twice

    stopping.clear()
    records = run(tmp_path, seeds=2)
    assert trained[2:] == [("listops", 1), ("image", 1)]
    assert [record.error for record in records] == [None] * 4


@pytest.mark.usefixtures("no_page")
@pytest.mark.medium
def test_a_failed_run_is_recorded_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(task: str, seed: int) -> None:
        if task == "image" and failing:
            raise RuntimeError("out of luck")

    failing = [True]
    watched(monkeypatch, fail)
    first, second = run(tmp_path)
    assert (first.error, second.error) == (None, "RuntimeError: out of luck")
    assert second.settings["params"] == first.settings["params"]

    failing.clear()
    assert [record.error for record in run(tmp_path)] == [None, None]


@pytest.mark.usefixtures("no_page")
@pytest.mark.medium
def test_more_models_and_tasks_are_added_to_the_table_and_other_settings_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, tasks=("listops",))
    command = ["arena", "--models", "transformer", "--tasks", "image", "--seeds", "1", "--workers", "1"]
    assert main([*command, "--epochs", "2", "--out", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "ListOps" in text
    assert "Image" in text
    assert "published: lra" in text
    assert "chart: " not in text  # of those that were written
    assert main([*command, "--epochs", "2", "--out", str(tmp_path), "--json"]) == 0
    assert [cell["task"] for cell in json.loads(capsys.readouterr().out)] == ["listops", "image"]

    with pytest.raises(InputError, match=r"to a study with other settings \(epochs 2, not 1\); give another --out"):
        run(tmp_path, epochs=1)


@pytest.mark.usefixtures("no_page")
@pytest.mark.medium
def test_other_settings_are_refused_before_training_where_a_run_has_only_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, calls = cells.train_sequences, itertools.count(1)

    def stopped_at_the_third_step(*arguments: Any, **options: Any) -> Record:
        return train(*arguments, **{**options, "should_stop": lambda: next(calls) >= 3})

    with monkeypatch.context() as patched, pytest.raises(Interrupted):
        patched.setattr(cells, "train_sequences", stopped_at_the_third_step)
        run(tmp_path, tasks=("listops",))
    folder = tmp_path / "listops" / "transformer" / "seed-0"
    assert (folder / "checkpoint.pt").exists()

    with pytest.raises(InputError, match=r"seed-0 belongs to a study with other settings \(epochs 2, not 3\); give"):
        run(tmp_path, tasks=("listops",), epochs=3)
    assert not (folder / RECORD_NAME).exists()
    assert [record.error for record in run(tmp_path, tasks=("listops",))] == [None]


@pytest.mark.usefixtures("no_page")
@pytest.mark.medium
@pytest.mark.parametrize("kind", ["masked", "next"])
def test_self_pretraining_comes_before_a_second_training_of_each_cell(tmp_path: Path, kind: str) -> None:
    records = run(tmp_path, tasks=("listops",), self_pretrain=kind)

    assert [(record.settings["pretraining"], record.settings["task"]) for record in records] == [
        (None, "sequences"), (kind, "sequence_pretraining"), (kind, "sequences"),
    ]  # fmt: skip
    alone, before, after = records
    assert "weights" not in alone.settings
    assert after.settings["weights"]["file"] == "model.safetensors"
    assert before.settings["recipe"]["masked_share"] == 0.1
    assert after.settings["model_fields"].get("causal", False) == (kind == "next")
    assert run(tmp_path, tasks=("listops",), self_pretrain=kind) == records  # nothing is left to train


@pytest.mark.usefixtures("no_page")
@pytest.mark.medium
def test_a_cell_whose_pre_training_failed_has_its_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(cells, "pretrain_sequences", fail)
    records = run(tmp_path, tasks=("listops",), self_pretrain="masked")

    assert [record.error for record in records] == [None, "RuntimeError: out of luck"]
    (arena,) = summarise_arenas(records)
    assert failures(arena) == ["Failed: transformer, masked on ListOps: RuntimeError: out of luck"]


class Said:
    """A display that keeps what is said, and which bars are opened."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def open(self, name: str, total: float | None) -> Any:
        self.lines.append(f"[{name}]")
        return progress.LineDisplay().open(name, total)

    def say(self, message: str) -> None:
        self.lines.append(message)


@pytest.mark.usefixtures("no_page")
@pytest.mark.medium
def test_published_size_says_first_what_it_trains_and_for_how_long(tmp_path: Path, small_data: list[str]) -> None:
    said = Said()
    with progress.shown(said):
        run(tmp_path / "arena", size="published", recipe="sequences", seeds=2)

    start = said.lines.index("[training]")
    assert said.lines[0].startswith("1 model x 2 tasks x 2 seeds, size published: 4 runs; first their data")
    assert said.lines[1] == "[opening data]"
    before = said.lines[:start]
    assert any(line.startswith("transformer on ListOps: 2 x 2 steps, ") and "s a step" in line for line in before)
    assert any("size published: 4 runs, one after the other, about " in line for line in before)
    assert small_data[:2] == ["image", "listops"], "named data are opened before others are generated"


@pytest.mark.medium
def test_an_explanation_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["arena", "--models", "transformer", "--tasks", "listops", "--epochs", "8", "--workers", "1", "--explain"]
    assert main(command) == 0
    text = capsys.readouterr().out
    assert "1 model x 1 task x 3 seeds, size nano: 3 runs" in text
    assert "transformer on ListOps: 3 x 16 steps, " in text
    assert main([*command, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    (cell,) = printed["cells"]
    assert {key: cell[key] for key in ("model", "task", "runs", "steps", "error")} == {
        "model": "transformer", "task": "ListOps", "runs": 3, "steps": 16, "error": None,
    }  # fmt: skip
    assert printed["hours"] == pytest.approx(cell["hours"] / printed["at_once"])
    assert list(tmp_path.iterdir()) == []

    estimate = estimate_arena(request(epochs=8, self_pretrain="masked"), machines=ALONE)
    assert [(cell.task, cell.runs, cell.steps) for cell in estimate.cells] == [("ListOps", 3, 16), ("Image", 3, 16)]
    assert estimate.hours == pytest.approx(sum(cell.hours or 0 for cell in estimate.cells))
    assert estimate.hours > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"models": ("s4d_linn",)}, "no sequence model is called 's4d_linn'; did you mean"),
        ({"tasks": ("pathfindr",)}, "no task of the arena is called 'pathfindr'; did you mean pathfinder?"),
        (
            {"tasks": ("listops:nowhere",)},
            "there is no folder nowhere; give the one with the published files of listops",
        ),
        ({"seeds": 0}, "seeds is 0; give 1 or more"),
        ({"models": ()}, "there is no model to train; give one or more"),
        ({"recipe": "quick"}, "the recipe quick is for classification; give one for sequences: modernet recipes"),
        ({"recipe": "sequencs"}, "no recipe is called 'sequencs'; did you mean sequences"),
        ({"epochs": 0}, "epochs is 0; it must be at least 1"),
    ],
)
def test_wrong_requests_are_refused_in_one_line(change: dict[str, Any], message: str, small_data: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        request(**change)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert small_data == []


def test_a_family_of_recipes_has_one_for_each_task() -> None:
    found = request(recipe="lra", epochs=None, tasks=("image", "pathx"))
    assert [found.recipe_of(task, "s4").name for task in ("image", "pathx")] == ["lra_image", "lra_pathx"]
    assert request(epochs=None).recipe_of("image", "linear").name == "sequences_nano"
    assert request(size="published", epochs=None).recipe_of("image", "linear").name == "sequences"
    of_defaults = request(epochs=None)
    assert (
        of_defaults.recipe_of("image", "s4d_lin").optimizer.lr > of_defaults.recipe_of("image", "linear").optimizer.lr
    )
    named = request(recipe="sequences_nano", epochs=None)
    assert named.recipe_of("image", "s4") == get_recipe("sequences_nano")
    assert of_defaults.recipe_of("image", "linear").schedule.epochs == 1
    assert request(epochs=7).recipe_of("image", "s4").schedule.epochs == 7
    assert request().rules() != request(epochs=3).rules()
    assert request().rules() == request(models=("transformer",), tasks=("text",), seeds=5).rules()


def test_a_pre_training_has_the_recipe_of_the_training_and_hides_what_amos_et_al_hide() -> None:
    shares = [request().pretraining_of(task, "s4").masked_share for task in ("listops", "text", "image", "pathx")]
    assert shares == [0.1, 0.15, 0.5, 0.5]
    recipe, before = request().recipe_of("image", "s4"), request().pretraining_of("image", "s4")
    assert (before.optimizer, before.schedule, before.batch_size) == (
        recipe.optimizer, recipe.schedule, recipe.batch_size,
    )  # fmt: skip


def test_an_estimate_adds_up_what_could_be_timed() -> None:
    timed = CellEstimate("s4", "ListOps", 3, 100, 2.0, None)
    failed = CellEstimate("luna", "Image", 3, 50, None, "RuntimeError: out of luck")
    estimate = Estimate("nano", (timed, failed), at_once=2)
    assert timed.hours == pytest.approx(3 * 100 * 2 / 3600)
    assert estimate.hours == pytest.approx(300 / 3600)
    first, second, together = estimate.lines()
    assert first == f"s4 on ListOps: 3 x 100 steps, {duration(600 / 3600)}, 2 s a step"
    assert second == "luna on Image: 3 x 50 steps, failed: RuntimeError: out of luck"
    assert together.startswith(f"size nano: 6 runs, 2 at once, about {duration(300 / 3600)} from their first 5 steps")


def test_published_files_are_read_from_the_folder_of_a_task(tmp_path: Path) -> None:
    found = request(tasks=(f"retrieval:{tmp_path}", "listops"), size="published").data()
    assert list(found.items()) == [("listops", "listops"), ("retrieval", f"retrieval:{tmp_path.resolve()}")]


def test_data_that_cannot_be_opened_name_the_task_and_how_to_give_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(data: str) -> Any:
        raise InputError(f"{data} cannot be fetched; give the folder of its files")

    monkeypatch.setattr(cells, "open_sequences", missing)
    command = [
        "arena",
        "--size",
        "published",
        "--tasks",
        "retrieval",
        "--models",
        "transformer",
        "--out",
        str(tmp_path),
    ]
    assert main(command) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("modernet:")]
    assert "retrieval cannot be opened: retrieval cannot be fetched; give the folder of its files" in line
    assert line.endswith("the arena takes a folder as --tasks retrieval:FOLDER")


def test_a_folder_with_a_broken_record_is_refused_before_any_data_is_opened(
    tmp_path: Path, small_data: list[str]
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / RECORD_NAME).write_text("{}")
    with pytest.raises(InputError, match=r"other/record\.json is not a record: it has no field 'schema'"):
        run(tmp_path)
    assert small_data == []


def test_runs_travel_to_other_processes(tmp_path: Path) -> None:
    resources = ALONE.resources(tmp_path, one_core=True)
    (planned,) = cells.plan_cells(request(tasks=("listops",)), "alone", tmp_path, resources)

    assert pickle.loads(pickle.dumps(planned)) == planned
    assert planned.label == "transformer on ListOps, seed 0"
    assert planned.steps == 2 * 2
    assert planned.cost == 2 * 64 * planned.settings["data"]["median_length"]
    uneven = replace(planned, recipe=planned.recipe.replace(batch_size=24))
    assert uneven.steps == 2 * 3  # the last batch of an epoch is short
