"""Kernels run on a GPU, or slowly in Triton's interpreter, which must be enabled before Triton is imported."""

from __future__ import annotations

import os

import pytest
import torch

from kernels.interpreter import patch_bfloat16


def kernels_can_run() -> bool:
    return torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip `kernel` tests without a GPU; `test_interpreter.py` runs them in a separate process."""
    if item.get_closest_marker("kernel") and not kernels_can_run():
        pytest.skip("run by test_interpreter.py, or on a GPU")


@pytest.fixture
def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(autouse=True, scope="session")
def _bfloat16_in_the_interpreter() -> None:
    if os.environ.get("TRITON_INTERPRET") == "1":
        patch_bfloat16()
