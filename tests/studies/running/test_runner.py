from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from modernet import progress
from modernet.studies.running.processes import run_in_processes
from modernet.studies.running.runner import run_all
from modernet.training import Interrupted
from runner_jobs import Sum, add


@dataclass
class Total:
    """A display that adds up all progress."""

    done: float = 0.0
    notes: list[str] = field(default_factory=list)

    def open(self, name: str, total: float) -> progress.OpenBar:
        return self

    def say(self, message: str) -> None:
        pass

    def advance(self, amount: float = 1, note: str | None = None) -> None:
        self.done += amount
        if note is not None:
            self.notes.append(note)

    def close(self) -> None:
        pass


def jobs(folder: Path, *names: str) -> list[Sum]:
    return [Sum(name, index, 10, cost=2.0, folder=folder / name) for index, name in enumerate(names)]


@pytest.mark.medium
@pytest.mark.parametrize("workers", [1, 2])
def test_every_job_has_an_outcome_and_a_failure_does_not_stop_the_others(workers: int, tmp_path: Path) -> None:
    total = Total()
    with progress.shown(total):
        outcomes = list(run_all(jobs(tmp_path, "a", "fails", "c"), add, workers=workers, title="adding"))
        time.sleep(0.5)  # until the last messages of other processes have arrived

    by_name = {outcome.job.name: outcome for outcome in outcomes}
    assert {name: outcome.result for name, outcome in by_name.items()} == {"a": 10, "fails": None, "c": 12}
    assert by_name["fails"].error == "ZeroDivisionError: cannot add"
    assert by_name["a"].error is None
    assert total.done == pytest.approx(2.0 + 1.0 + 2.0)
    assert "a: half" in total.notes


@pytest.mark.slow
def test_a_job_whose_process_dies_twice_has_failed_and_the_others_continue(tmp_path: Path) -> None:
    two = jobs(tmp_path, "dies", "b")
    outcomes = {outcome.job.name: outcome for outcome in run_all(two, add, workers=2, title="adding")}

    assert outcomes["dies"].error == "its process was killed; out of memory?"
    assert outcomes["b"].result == 11


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_process_is_left_behind_when_the_one_that_waits_for_the_runs_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "study.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "from pathlib import Path\n"
        "from runner_jobs import Sum, add\n"
        "from modernet.studies.running.runner import run_all\n"
        "if __name__ == '__main__':\n"
        f"    diaries = [Path({str(tmp_path)!r}) / name for name in 'ab']\n"
        "    list(run_all([Sum('waits', 0, 0, diary=one) for one in diaries], add, workers=2, title=''))\n"
    )
    study = subprocess.Popen([sys.executable, str(script)], start_new_session=True)
    until(lambda: (tmp_path / "a").exists() and (tmp_path / "b").exists(), 120)
    started = members(study.pid)
    assert len(started) >= 3  # the study and its workers
    study.kill()
    study.wait()

    until(lambda: not members(study.pid), 30)


def until(done: Callable[[], bool], seconds: float) -> None:
    """Wait until something is done."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.1)


def members(session: int) -> list[int]:
    """Return the processes of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, own = stat.read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):  # it has ended
            continue
        if int(own) == session and state != "Z":
            found.append(int(stat.parent.name))
    return found


@pytest.mark.slow
def test_a_job_in_which_this_process_died_three_times_has_failed_and_the_others_continue(tmp_path: Path) -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "from pathlib import Path\n"
        "from runner_jobs import Sum, add\n"
        "from modernet.studies.running.runner import run_all\n"
        f"list(run_all([Sum('dies', 0, 0, folder=Path({str(tmp_path / 'dies')!r}))], add, workers=1, title=''))\n"
    )
    for _ in range(3):
        assert subprocess.run([sys.executable, "-c", script], timeout=120, check=False).returncode == 9

    outcomes = {each.job.name: each for each in run_all(jobs(tmp_path, "dies", "b"), add, workers=1, title="adding")}
    assert str(outcomes["dies"].error).startswith("3 processes have ended in it, perhaps for lack of memory; remove ")
    assert outcomes["b"].result == 11


@pytest.mark.medium
@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_stops_the_running_jobs_and_starts_no_more(workers: int, tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    later = tmp_path / "later"
    waiting = Sum("waits", 0, 0, diary=diary, folder=tmp_path)
    never = [Sum("waits", 0, 0, diary=tmp_path / "other")] * (workers - 1)

    def interrupt() -> None:
        while not diary.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(Interrupted):
        queued = [Sum("waits", 0, 0, diary=later)] * 5  # more than a pool hands out ahead
        list(run_all([waiting, *never, *queued], add, workers=workers, title="waiting"))
    thread.join()

    assert diary.read_text() == "stopped"
    assert not later.exists()


@pytest.mark.medium
def test_processes_that_have_just_started_are_waited_for_at_ctrl_c(tmp_path: Path) -> None:
    """They read semaphores that are gone with this function."""
    with pytest.raises(Interrupted):
        list(run_in_processes(jobs(tmp_path, "a", "b"), add, lambda: True, Total(), 2))
    assert multiprocessing.active_children() == []


def test_a_job_that_runs_out_of_memory_leaves_it_to_the_next(tmp_path: Path) -> None:
    held: list[weakref.ref[Network]] = []
    known: list[bool] = []

    def train(job: Sum, should_stop: Callable[[], bool]) -> int:
        known.extend(each() is not None for each in held)
        network = Network()
        held.append(weakref.ref(network))
        raise torch.OutOfMemoryError("12 GiB are not there")

    gc.disable()
    try:
        outcomes = list(run_all(jobs(tmp_path, "a", "b"), train, workers=1, title="training"))
    finally:
        gc.enable()
    assert [outcome.error for outcome in outcomes] == ["OutOfMemoryError: 12 GiB are not there"] * 2
    assert known == [False]


class Network:
    """Refers to itself, as by a hook."""

    def __init__(self) -> None:
        self.hook = self


def test_no_jobs_have_no_outcomes() -> None:
    assert list(run_all([], add, workers=2, title="nothing")) == []


@pytest.mark.slow
def test_a_script_without_a_main_guard_gets_a_hint(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "from runner_jobs import Sum, add\n"
        "from modernet.studies.running.runner import run_all\n"
        "print(list(run_all([Sum('a', 1, 2)], add, workers=2, title='adding')))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode != 0
    assert "call this under if __name__ == '__main__':" in done.stderr
