from __future__ import annotations

import os

import pytest
import torch

from modernet.machine import cores


def test_only_cores_of_this_process_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5}, raising=False)
    assert cores.usable_cores() == 2


def test_all_cores_count_without_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert cores.usable_cores() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores.usable_cores() == 1


@pytest.mark.parametrize(("usable", "threads", "expected"), [(4, 4, 4), (64, 32, 16), (16, 2, 2), (2, 16, 2)])
def test_decoding_uses_the_share_of_this_process(
    monkeypatch: pytest.MonkeyPatch, usable: int, threads: int, expected: int
) -> None:
    monkeypatch.setattr(cores, "usable_cores", lambda: usable)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert cores.decoding_workers(16) == expected


@pytest.mark.parametrize(("usable", "local_processes", "expected"), [(64, 8, 8), (64, 2, 16), (4, 8, 1), (64, 1, 1)])
def test_processes_of_torchrun_divide_the_cores(
    monkeypatch: pytest.MonkeyPatch, usable: int, local_processes: int, expected: int
) -> None:
    monkeypatch.setattr(cores, "usable_cores", lambda: usable)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(local_processes))
    assert cores.decoding_workers(16) == expected
