"""Kernels run on a GPU, or slowly through Triton's interpreter, which has to be chosen before Triton is imported."""

from __future__ import annotations

import os

import pytest
import torch

from kernels.interpreter import mend_bfloat16


def kernels_can_run() -> bool:
    return torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`test_interpreter.py` runs the tests marked `kernel` in a process of their own."""
    if not kernels_can_run():
        reason = pytest.mark.skip(reason="runs inside test_interpreter.py, or where a GPU is")
        for item in items:
            if item.get_closest_marker("kernel"):
                item.add_marker(reason)


@pytest.fixture
def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(autouse=True, scope="session")
def _bfloat16_in_the_interpreter() -> None:
    if os.environ.get("TRITON_INTERPRET") == "1":
        mend_bfloat16()
