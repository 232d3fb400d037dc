"""Two processes on the CPU (gloo) train as one does."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sklearn.datasets import load_digits

import two_processes
from modernet.processes import ALONE, FailedElsewhere, Processes, join_processes
from modernet.records import read_record
from modernet.training.state.checkpoint import CHECKPOINT_NAME

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="kills processes by a signal"),
]
PROGRAM = Path(two_processes.__file__)


def start(folder: Path, *jobs: str) -> list[subprocess.Popen[str]]:
    """Two processes with the environment that torchrun gives them; torchrun itself would take as long as both."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(PROGRAM), str(folder), *jobs]
    return [
        subprocess.Popen(command, env={**os.environ, **place, "RANK": str(rank)}, stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]


def finish(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    """Exit code and complaints of each process."""
    try:
        complaints = [process.communicate(timeout=240)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, said) for process, said in zip(processes, complaints, strict=True)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real digits, 0 and 1, as PNG files; and what two processes make of several trainings."""
    folder = tmp_path_factory.mktemp("two_processes")
    digits = load_digits(n_class=2)
    for index, (image, label) in enumerate(zip(digits.images[:120], digits.target[:120], strict=True)):
        parent = folder / "images" / str(label)
        parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 15).astype("uint8")).resize((16, 16)).save(parent / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def ended(folder: Path) -> list[tuple[int, str]]:
    """How two processes ended, of which the second one was killed in the last of their trainings."""
    processes = start(folder, "random", "not_random", "sharded", "made_whole", "batch_norm", "whole", "killed")
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


def test_the_losses_are_those_of_one_process_that_takes_the_parts_in_turn(
    results: dict[str, Any], tmp_path: Path
) -> None:
    alone = two_processes.run(tmp_path, two_processes.RANDOM, parts=2)

    assert results["random"] == close_to(two_processes.losses(alone))


def test_without_chance_the_losses_are_those_of_one_process_with_the_whole_batch(
    results: dict[str, Any], tmp_path: Path
) -> None:
    alone = two_processes.run(tmp_path, two_processes.NOT_RANDOM, parts=1)

    assert results["not_random"] == close_to(two_processes.losses(alone))


def test_a_network_spread_over_two_processes_goes_on_in_one(
    folder: Path, results: dict[str, Any], tmp_path: Path
) -> None:
    assert results["sharded"], "it was stopped in its second epoch"
    resumed = two_processes.run(folder / "sharded", two_processes.RANDOM, parts=2)
    whole = two_processes.run(tmp_path, two_processes.RANDOM, parts=2)

    assert two_processes.losses(resumed) == close_to(two_processes.losses(whole))


def test_a_network_that_was_spread_is_made_whole_with_buffers_that_no_file_holds(results: dict[str, Any]) -> None:
    assert results["made_whole"] == pytest.approx(0.0, abs=1e-5)


def test_all_processes_test_the_same_statistics_of_batches(results: dict[str, Any]) -> None:
    (statistics, trained), (statistics_of_second, trained_of_second) = results["batch_norm"]

    assert any("running_var" in name for name in statistics)
    assert statistics == statistics_of_second
    assert trained == trained_of_second


def test_when_a_process_is_killed_the_other_ends_with_a_line(ended: list[tuple[int, str]]) -> None:
    (code, said), _ = ended

    assert (code, said.splitlines()[-1]) == (
        1,
        "modernet: another process of this run has ended; its message says why; the same command with --resume goes on",
    )


@pytest.mark.usefixtures("ended")
def test_a_training_that_lost_a_process_goes_on_to_the_same_numbers(folder: Path) -> None:
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


def test_when_the_first_process_fails_the_others_end_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Processes, "gather", lambda self, value, patiently: [False, value])

    with pytest.raises(FailedElsewhere), Processes(rank=1, world=2).first():
        raise AssertionError("it must not begin")
