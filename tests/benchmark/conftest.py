"""A device with known peaks."""

from __future__ import annotations

import pytest

from modernet.benchmark import run
from modernet.machine.peaks import Peaks


@pytest.fixture
def peaks(monkeypatch: pytest.MonkeyPatch) -> Peaks:
    """Peaks in place of measured ones, which take seconds."""
    known = Peaks(tflops={"float32": 0.1, "bfloat16": 0.2}, gb_per_second=10.0)
    monkeypatch.setattr(run, "measure_peaks", lambda device, dtypes: known)
    return known
