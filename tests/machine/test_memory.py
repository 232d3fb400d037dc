from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from modernet.machine import memory

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs a memory limit of Linux")


@pytest.mark.medium
@linux
def test_an_absurd_batch_is_reported_and_the_process_survives() -> None:
    program = """
from modernet.machine.peaks import Peaks
from modernet.benchmark import benchmark_models, run

run.measure_peaks = lambda device, dtypes: Peaks({}, None)
print(*(record.error for record in benchmark_models(["convnext_test"], batch=100_000, image_size=512)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("out of memory: a batch of 100000 did not fit into the ")


@pytest.mark.parametrize(
    ("error", "out_of_memory"),
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
def test_out_of_memory_errors_are_recognised(error: Exception, out_of_memory: bool) -> None:
    assert memory.is_out_of_memory(error) is out_of_memory
