from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from modernet.machine import linux_memory

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads files of the Linux kernel")


@pytest.fixture
def cgroups(tmp_path: Path) -> Path:
    """Control groups: the job is limited, its step is not, the root is."""
    for folder, limit, used in (("job", "1000", "700"), ("job/step", "max", "300"), (".", "5000", "4000")):
        (tmp_path / "groups" / folder).mkdir(parents=True, exist_ok=True)
        for name, value in (("max", limit), ("current", used), ("stat", "anon 9\nactive_file 40\ninactive_file 60\n")):
            (tmp_path / "groups" / folder / f"memory.{name}").write_text(f"{value}\n")
    (tmp_path / "cgroup").write_text("0::/job/step\n")
    return tmp_path / "groups"


@linux
@pytest.mark.parametrize("megabytes", [8, 64])
def test_the_peak_rises_by_what_a_step_allocates_in_every_call(megabytes: int) -> None:
    size = megabytes * 2**20
    for _ in range(3):
        assert linux_memory.peak_rise(lambda: torch.ones(size // 4)) == pytest.approx(size, abs=2 * 2**20)


def test_other_systems_report_nothing(tmp_path: Path) -> None:
    assert linux_memory.peak_rise(lambda: None, proc=tmp_path) is None
    assert linux_memory.available_bytes(meminfo=tmp_path / "meminfo") is None


def test_limits_of_all_enclosing_control_groups_count(cgroups: Path, tmp_path: Path) -> None:
    assert linux_memory.cgroup_room(cgroups, tmp_path / "cgroup") == [1000 - 700 + 100, 5000 - 4000 + 100]
    assert linux_memory.cgroup_room(tmp_path / "none", tmp_path / "none") == []


@pytest.mark.parametrize(("free_kb", "available"), [(1, 400), (0, 0)])
def test_the_smallest_of_machine_and_limits_is_available(
    free_kb: int, available: int, cgroups: Path, tmp_path: Path
) -> None:
    (tmp_path / "meminfo").write_text(f"MemTotal:       16 kB\nMemAvailable:   {free_kb} kB\n")
    assert linux_memory.available_bytes(tmp_path / "meminfo", cgroups, tmp_path / "cgroup") == available


@pytest.mark.medium
@linux
def test_an_allocation_beyond_the_limit_raises_and_the_limit_ends_with_the_context() -> None:
    program = """
import torch
from modernet.machine.linux_memory import allocation_limit
from modernet.machine.memory import is_out_of_memory

kept = []
try:
    with allocation_limit(2**29):
        for _ in range(64):
            kept.append(torch.ones(2**22))
except RuntimeError as error:
    assert is_out_of_memory(error), error
    print(len(kept))
kept.append(torch.ones(2**28))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 20 <= int(done.stdout) < 33


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_freed_memory_is_kept_for_the_next_allocation() -> None:
    """In processes of their own, since it cannot be undone: faults of a large buffer, freed and allocated again."""
    program = """
import resource, sys
from modernet.machine.linux_memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
bytearray(16 * 2**20)
before = faults()
for _ in range(20):
    bytearray(16 * 2**20)
print(faults() - before)
"""
    without, kept = (
        int(subprocess.run([sys.executable, "-c", program, how], capture_output=True, check=True, text=True).stdout)
        for how in ("default", "keep")
    )
    assert kept < without / 4


@linux
def test_the_address_space_left_is_the_limit_less_what_is_mapped() -> None:
    program = (
        "import resource; from modernet.machine.linux_memory import address_space_left as left\n"
        "assert left() is None\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**36, resource.RLIM_INFINITY))\n"
        "assert 0 < left() < 2**36 - 2**20\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
