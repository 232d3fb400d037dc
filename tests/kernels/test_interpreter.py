"""The tests of the kernels, run by Triton's interpreter on the CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
FILES = sorted(path.name for path in HERE.glob("test_*_kernel.py"))


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="the kernels' tests run on the GPU itself")
@pytest.mark.parametrize("files", [FILES[::2], FILES[1::2]], ids=", ".join)
def test_kernel_tests_pass_in_the_interpreter(files: list[str]) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "kernel", *(str(HERE / file) for file in files)],
        env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]


def test_there_are_kernels_to_test() -> None:
    assert FILES
