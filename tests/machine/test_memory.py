from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from modernet.machine import memory

CPU = torch.device("cpu")
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux says of memory")


@linux
@pytest.mark.parametrize("megabytes", [8, 64])
def test_a_step_takes_what_it_allocates_however_often_it_runs(megabytes: int) -> None:
    size = megabytes * 2**20
    for _ in range(3):
        taken = memory.transient_bytes(lambda: torch.ones(size // 4), CPU)
        assert taken == pytest.approx(size, abs=2 * 2**20)


def test_a_system_that_does_not_say_is_not_guessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_PROC", tmp_path)
    assert memory.transient_bytes(lambda: None, CPU) is None


@linux
def test_what_does_not_fit_raises_instead_of_being_killed() -> None:
    """In a process of its own: half a gigabyte is said to be free, and a whole one asked for, page by page."""
    program = """
import torch
from modernet.machine import memory

memory.available_bytes = lambda device: 2**29
kept = []
try:
    with memory.refusing_too_much(torch.device("cpu")):
        for _ in range(64):
            kept.append(torch.ones(2**22))
except RuntimeError as error:
    assert memory.is_out_of_memory(error), error
    print(len(kept))
kept.append(torch.ones(2**28))  # and afterwards there is no limit any more
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 20 <= int(done.stdout) < 32


@linux
def test_an_absurd_batch_is_reported_and_the_process_lives() -> None:
    program = """
from modernet.machine.peaks import Peaks
from modernet.benchmark import benchmark_models, run

run.measure_peaks = lambda device, dtypes: Peaks({}, None)
print(*(record.error for record in benchmark_models(["convnext_test"], batch=100_000, image_size=512)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("out of memory: a batch of 100000 did not fit into the ")


@pytest.mark.parametrize(
    ("error", "memory_ended"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
            True,
        ),
        (RuntimeError("std::bad_alloc"), True),
        (MemoryError(), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_errors_of_memory_are_told_from_others(error: Exception, memory_ended: bool) -> None:
    assert memory.is_out_of_memory(error) is memory_ended


def test_the_limits_of_a_container_count(tmp_path: Path) -> None:
    groups, membership = tmp_path / "groups", tmp_path / "cgroup"
    membership.write_text("0::/job/step\n")
    for folder, limit, used in (("job", "1000", "700"), ("job/step", "max", "300"), (".", "5000", "4000")):
        (groups / folder).mkdir(parents=True, exist_ok=True)
        for name, value in (("max", limit), ("current", used), ("stat", "anon 9\nactive_file 40\ninactive_file 60\n")):
            (groups / folder / f"memory.{name}").write_text(f"{value}\n")
    assert memory._cgroup_room(groups, membership) == [1000 - 700 + 100, 5000 - 4000 + 100]
    assert memory._cgroup_room(tmp_path / "none", tmp_path / "none") == []
