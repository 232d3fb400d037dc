"""Two processes on the CPU (gloo) train as one does."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sklearn.datasets import load_digits

import toy_task
from found_objects import collected
from modernet.processes import ALONE, FailedElsewhere, Processes, join_processes
from modernet.records import read_record
from modernet.training.state.checkpoint import CHECKPOINT_NAME
from small_runs import NOT_RANDOM, RANDOM, losses, run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="kills processes by a signal"),
]
PROGRAM = Path(__file__).parents[1] / "two_processes.py"


def start(folder: Path, *jobs: str) -> list[subprocess.Popen[str]]:
    """Start two processes in the environment of torchrun, which itself would take as long as both."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(PROGRAM), str(folder), *jobs]
    return [
        subprocess.Popen(command, env={**os.environ, **variables, "RANK": str(rank)}, stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]


def finish(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    """Return the exit code and the error output of each process."""
    try:
        outputs = [process.communicate(timeout=240)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, output) for process, output in zip(processes, outputs, strict=True)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with real digits, 0 and 1, as PNG files, and room for what two processes write."""
    folder = tmp_path_factory.mktemp("two_processes")
    digits = load_digits(n_class=2)
    for index, (image, label) in enumerate(zip(digits.images[:120], digits.target[:120], strict=True)):
        parent = folder / "images" / str(label)
        parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 15).astype("uint8")).resize((16, 16)).save(parent / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def ended(folder: Path) -> list[tuple[int, str]]:
    """Return how two processes ended, the second of which was killed in their last training."""
    processes = start(
        folder,
        "random",
        "not_random",
        "sharded",
        "different_checkpoints",
        "gathered",
        "sum",
        "average_precision",
        "toy",
        "batch_norm",
        "whole",
        "killed",
    )
    deadline = time.monotonic() + 240
    while not (folder / "killed" / CHECKPOINT_NAME).exists() and time.monotonic() < deadline:
        if any(process.poll() is not None for process in processes):
            break
        time.sleep(0.005)
    processes[1].send_signal(signal.SIGKILL)
    return finish(processes)


@pytest.fixture(scope="module")
def results(folder: Path, ended: list[tuple[int, str]]) -> dict[str, Any]:
    assert (folder / "results.json").exists(), ended
    found: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return found


def close_to(trained: list[tuple[float, float]]) -> list[Any]:
    return [pytest.approx(row, rel=1e-5) for row in trained]


def test_the_losses_are_those_of_one_process_that_accumulates_the_same_micro_batches(
    results: dict[str, Any], tmp_path: Path
) -> None:
    alone = run(tmp_path, RANDOM, micro_batches=2)

    assert results["random"] == close_to(losses(alone))


def test_without_noise_the_losses_are_those_of_one_process_with_the_whole_batch(
    results: dict[str, Any], tmp_path: Path
) -> None:
    alone = run(tmp_path, NOT_RANDOM)

    assert results["not_random"] == close_to(losses(alone))


def test_a_network_sharded_over_two_processes_resumes_in_one(
    folder: Path, results: dict[str, Any], tmp_path: Path
) -> None:
    assert results["sharded"], "the run was not stopped"
    resumed = run(folder / "sharded", RANDOM, micro_batches=2)
    whole = run(tmp_path, RANDOM, micro_batches=2)

    assert losses(resumed) == close_to(losses(whole))


def test_a_gathered_network_has_the_buffers_that_are_not_in_its_state_dict(results: dict[str, Any]) -> None:
    assert results["gathered"] == pytest.approx(0.0, abs=1e-5)


def test_all_processes_evaluate_with_the_same_batch_statistics(results: dict[str, Any]) -> None:
    (statistics, trained), (statistics_of_second, trained_of_second) = results["batch_norm"]

    assert any("running_var" in name for name in statistics)
    assert statistics == statistics_of_second
    assert trained == trained_of_second


def test_the_sum_over_processes_is_the_same_in_each_and_changes_no_input(results: dict[str, Any]) -> None:
    assert results["sum"] == [[[1.0, 10.0], [3.0, 30.0]], [[2.0, 20.0], [3.0, 30.0]]]


def test_images_that_two_processes_share_have_the_average_precision_of_one(results: dict[str, Any]) -> None:
    whole = json.loads(json.dumps(asdict(collected(range(7)).measure())))

    assert whole["metrics"]["mask_ap"] > 0
    assert results["average_precision"] == [whole, whole]


def test_a_task_of_uneven_weight_trains_as_in_one_process(results: dict[str, Any], tmp_path: Path) -> None:
    """Bit for bit with one micro-batch per process, where the order of the additions is the same."""
    first, second = results["toy"]
    accumulated = toy_task.numbers(toy_task.run(tmp_path / "accumulated", micro_batches=2))
    whole = toy_task.numbers(toy_task.run(tmp_path / "whole"))

    assert first == second
    assert first["2"] == accumulated
    assert first["4"] == pytest.approx(whole, rel=1e-12)


def test_when_a_process_is_killed_the_other_ends_with_one_line(ended: list[tuple[int, str]]) -> None:
    (code, output), _ = ended

    assert (code, output.splitlines()[-1]) == (
        1,
        "modernet: another process of this run has exited; see its error message; "
        "the same command with --resume continues",
    )


@pytest.mark.usefixtures("ended")
def test_a_training_that_lost_a_process_resumes_to_the_same_numbers(folder: Path) -> None:
    assert not (folder / "killed" / "record.json").exists(), "the run ended before it was killed"
    assert [code for code, _ in finish(start(folder, "resumed"))] == [0, 0]

    resumed, whole = (read_record(folder / name / "record.json") for name in ("killed", "whole"))
    kept = ("train_loss", "validation_loss", "validation_top1")
    assert [[row[key] for key in kept] for row in resumed.history] == [
        [row[key] for key in kept] for row in whole.history
    ]
    assert resumed.metrics["test_loss"] == whole.metrics["test_loss"]
    assert resumed.environment["processes"] == 2


def test_without_a_launcher_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)

    assert join_processes() == ALONE
    assert ALONE.gather("here") == ["here"]


class FirstFailed(Processes):
    """The second of two processes, whose first one has failed."""

    def gather(self, value: Any, *, patiently: bool = False) -> list[Any]:
        return [False, value]


def test_when_the_first_process_fails_the_others_end_with_it() -> None:
    with pytest.raises(FailedElsewhere), FirstFailed(rank=1, world=2).first():
        raise AssertionError("it must not begin")


def test_processes_that_see_different_checkpoints_do_not_train_together(folder: Path, results: dict[str, Any]) -> None:
    message = "not all processes see the same checkpoint in {}; give an --out on a file system that they share"

    sharded = folder / "sharded"
    assert results["different_checkpoints"] == [message.format(sharded), message.format(sharded / "elsewhere")]
