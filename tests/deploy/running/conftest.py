"""The race of tests is short."""

from __future__ import annotations

import pytest

import modernet.deploy.running.racing as racing


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(racing, "_TURN_S", 0.002)
