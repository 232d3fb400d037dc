"""The contract between the loop and a task, by a task whose weight varies and may be 0."""

from __future__ import annotations

import math
import statistics
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import toy_task
from modernet import progress
from modernet.processes import ALONE
from modernet.recipes import leaves
from modernet.records import read_record
from modernet.training import Interrupted, Intervals, RunContext, RunSpec, read_checkpoint, run_task
from small_runs import after
from toy_task import RECIPE, VALID, Toy, context_of, numbers, run


def test_the_first_step_has_micro_batches_of_different_weight() -> None:
    """Otherwise the tests below would prove nothing."""
    task = Toy(context_of(micro_batches=4))
    weights = [int(task.weight(batch)) for batch in task.batches.batches()]

    assert weights[:4] == [2, 0, 1, 2]
    assert weights[8:12] == [0] * 4


@pytest.mark.parametrize("micro_batches", [2, 4, 8])
def test_accumulation_trains_as_the_whole_batch_does(tmp_path: Path, micro_batches: int) -> None:
    whole = run(tmp_path / "whole")
    accumulated = run(tmp_path / "accumulated", micro_batches=micro_batches)

    assert numbers(accumulated) == pytest.approx(numbers(whole), rel=1e-12)


def test_the_reported_means_are_over_the_weight(tmp_path: Path) -> None:
    """Without learning, they follow from the first weights: the mean over all valid rows of the epoch."""
    task = Toy(context_of(micro_batches=4))
    with torch.no_grad():
        errors = task.network(task.batches.inputs)[..., 0] - task.batches.targets
    trained = run(tmp_path, RECIPE.replace(lr=0.0, min_lr=0.0, epochs=1), micro_batches=4, task=task)

    valid = errors[VALID.bool()]
    assert trained.history[0]["train_loss"] == pytest.approx(float(valid.square().mean()), rel=1e-12)
    assert trained.history[0]["train_error"] == pytest.approx(float(valid.abs().mean()), rel=1e-12)


@pytest.mark.parametrize("micro_batches", [1, 4])
def test_a_step_without_weight_has_no_gradient(tmp_path: Path, micro_batches: int) -> None:
    recipe = RECIPE.replace(optimizer="sgd", beta1=0.0, weight_decay=0.0, epochs=1)
    task = Toy(context_of(micro_batches=micro_batches))
    weights: list[list[float]] = []

    def look() -> bool:
        weights.append(task.network.weight.flatten().tolist())
        return False

    trained = run(tmp_path, recipe, micro_batches=micro_batches, task=task, should_stop=look)

    first, second, third, fourth = weights[:4]
    assert first != second == third != fourth
    assert all(math.isfinite(value) for value in numbers(trained))


def test_a_task_is_evaluated_every_so_many_epochs_and_after_the_last(tmp_path: Path) -> None:
    task = Toy(context_of())
    task.evaluate_every = 2
    trained = run(tmp_path, RECIPE.replace(epochs=5), task=task)

    assert [row["epoch"] for row in trained.history if "validation_error" in row] == [2, 4, 5]
    assert task.evaluations == ["validation"] * 3
    assert all("train_loss" in row for row in trained.history)


def test_the_last_epochs_are_tested_where_a_task_asks_for_it(tmp_path: Path) -> None:
    settings = {"recipe": leaves(RECIPE), "seed": 0, "model": "line", "model_kind": "model", "model_fields": {}}
    settings["data"] = {"name": "table", "fingerprint": "1"}

    def build(context: RunContext) -> Toy:
        task = Toy(context)
        task.tested_epochs = 3
        return task

    spec = RunSpec("line", RECIPE.replace(epochs=4), 0, settings)
    record = run_task(build, spec, folder=tmp_path, device=torch.device("cpu"))

    assert [row["epoch"] for row in record.history if "test_error" in row] == [2, 3]
    assert record.details["evaluations"] == [*["validation"], *["validation", "test"] * 3]
    tested = [row["validation_error"] for row in record.history[1:]]  # the toy has one table for both
    assert record.metrics["test_error"] == tested[-1]
    assert record.metrics["test_error_mean"] == pytest.approx(statistics.mean(tested), rel=1e-12)
    assert record.metrics["test_error_spread"] == pytest.approx(statistics.stdev(tested), rel=1e-12)


def test_the_state_of_a_task_is_in_its_checkpoints_and_restored(tmp_path: Path) -> None:
    whole, first, second = (Toy(context_of(micro_batches=4)) for _ in range(3))
    run(tmp_path / "whole", micro_batches=4, task=whole)
    with pytest.raises(Interrupted):
        run(tmp_path / "stopped", micro_batches=4, task=first, should_stop=after(6))  # the end of the epoch asks, too
    checkpoint = read_checkpoint(tmp_path / "stopped", {})
    run(tmp_path / "stopped", micro_batches=4, task=second)

    assert checkpoint is not None
    assert checkpoint.state["task"] == {"seen": 20, "mean": first.mean}
    assert second.seen == whole.seen == 32
    assert torch.equal(second.mean, whole.mean)


def test_progress_shows_the_primary_metric_of_the_task_and_its_unit(tmp_path: Path) -> None:
    notes: list[str] = []
    bar = SimpleNamespace(advance=lambda amount=1, note=None: notes.append(note or ""), close=lambda: None)
    with progress.shown(SimpleNamespace(open=lambda name, total: bar, say=notes.append)):
        trained = run(tmp_path, intervals=Intervals(read_s=0.0))

    assert notes[-1].startswith(
        f"epoch 2/2  loss {trained.history[-1]['train_loss']:.3f}  "
        f"absolute error {trained.history[-1]['train_error']:.3f} m  "
    )
    assert notes[-1].endswith(" rows/s")


def test_a_run_of_any_task_leaves_a_record_with_its_metrics(tmp_path: Path) -> None:
    settings = {"recipe": leaves(RECIPE), "seed": 0, "model": "line", "model_kind": "model", "model_fields": {}}
    settings["data"] = {"name": "table", "fingerprint": "1"}
    record = run_task(
        Toy, RunSpec("line", RECIPE, 0, settings), folder=tmp_path, device=torch.device("cpu"), show_cost=True
    )

    assert read_record(tmp_path / "record.json") == record
    assert record.settings["task"] == "toy"
    assert record.task_metrics == Toy.metrics
    assert record.score("test") == record.score("validation") == record.metrics["test_error"]
    assert record.metrics["test_n"] == 32
    assert record.details == {"evaluations": ["validation", "validation", "test"]}
    assert "train_rows_per_second" in record.metrics
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.jsonl", "record.json", "toy.pt"}


def test_the_sum_of_one_process_is_its_own_value() -> None:
    value = torch.tensor([1.0, 2.0])

    assert torch.equal(ALONE.sum(value), value)


def test_the_toy_task_learns(tmp_path: Path) -> None:
    trained = run(tmp_path, toy_task.RECIPE.replace(epochs=60, weight_decay=0.0))

    assert trained.history[-1]["validation_error"] < 0.1 * trained.history[0]["validation_error"]
