"""The race of tests is short, and PyTorch runs alone unless a test says otherwise."""

from __future__ import annotations

import pytest

import modernet.deploy.running.optimized as optimized
import modernet.deploy.running.racing as racing
from modernet.deploy.running.torch_ways import PyTorch


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(racing, "_TURN_S", 0.002)


@pytest.fixture(autouse=True)
def only_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimized, "RUNTIMES", (PyTorch(),))
