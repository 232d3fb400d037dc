from __future__ import annotations

import pytest
import torch

from modernet.errors import InputError
from modernet.machine import device
from modernet.machine.device import choose_device, default_device
from modernet.processes import Processes

CPU = torch.device("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_missing_gpu_is_one_line_and_the_cpu_the_default() -> None:
    assert choose_device() == CPU
    with pytest.raises(
        InputError, match="device is 'cuda', but torch finds no CUDA GPU on this machine; give --device cpu"
    ):
        choose_device("cuda")


def test_a_gpu_beyond_the_last_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(InputError, match="device is 'cuda:2', but the last GPU of this machine is cuda:1"):
        choose_device("cuda:2")


def test_every_process_of_a_training_takes_its_own_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "current_device_index", lambda: 3)
    assert default_device() == torch.device("cuda")
    assert default_device(Processes(rank=3, world=4)) == torch.device("cuda:3")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: None)
    assert default_device() == CPU


def test_a_gpu_on_the_chip_of_the_cpu_is_not_called_a_cpu() -> None:
    assert device.describe(torch.device("mps"), 8).startswith("MPS ")
    assert "thread" not in device.describe(torch.device("mps"), 8)


def test_a_cpu_is_named_with_its_threads() -> None:
    assert device.describe(CPU, 1).startswith("CPU ")
    assert device.describe(CPU, 1).endswith(", 1 thread")
    assert device.describe(CPU, 2).endswith(", 2 threads")


@pytest.mark.parametrize(("text", "size"), [("32K\n", 32768), ("1M", 2**20), ("512", 512)])
def test_sizes_of_caches_are_read(text: str, size: int) -> None:
    assert device._bytes(text) == size


def test_threads_are_all_cores_unless_fewer_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "usable_cores", lambda: 4)
    assert [device.check_threads(threads) for threads in (None, 1, 4)] == [4, 1, 4]
    for threads in (0, 5):
        with pytest.raises(InputError, match=f"threads is {threads}; this process may use 4 cores: give 1 to 4"):
            device.check_threads(threads)
