from __future__ import annotations

import copy
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import same_losses

RECORDED = json.loads(same_losses.COMMITTED.read_text())


@pytest.fixture
def found() -> dict[str, Any]:
    return copy.deepcopy(RECORDED["losses"])


def test_equal_losses_pass(found: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert same_losses.report(RECORDED, found) == 0

    assert "are bit-identical" in capsys.readouterr().out


@pytest.mark.parametrize("towards", [-math.inf, math.inf])
def test_one_loss_that_moved_by_one_bit_fails_and_is_named(
    found: dict[str, Any], towards: float, capsys: pytest.CaptureFixture[str]
) -> None:
    before = found["bce"]["epoch 2 train_loss"]
    found["bce"]["epoch 2 train_loss"] = after = math.nextafter(before, towards)

    assert same_losses.report(RECORDED, found) == 1

    said = capsys.readouterr().out
    assert f"bce: epoch 2 train_loss was {before!r}, is {after!r} ({'+' if towards > 0 else '-'}1 ulp)" in said
    assert "1 of " in said


def test_a_loss_that_is_not_a_number_fails(found: dict[str, Any]) -> None:
    found["bce"]["test_loss"] = math.nan

    assert same_losses.report(RECORDED, found) == 1


def test_a_missing_loss_and_every_loss_of_a_missing_run_fail(found: dict[str, Any]) -> None:
    del found["memory"]["test_loss"]
    count = len(found.pop("bce"))

    lines = same_losses.differences(RECORDED["losses"], found)

    assert "bce: test_loss is missing" in lines
    assert "memory: test_loss is missing" in lines
    assert len(lines) == count + 1


def test_further_numbers_are_ignored(found: dict[str, Any]) -> None:
    found["memory"]["test_calibration_loss"] = 1.0
    found["segmentation"] = {"test_loss": 1.0}

    assert same_losses.report(RECORDED, found) == 0


def test_another_environment_is_named(found: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    elsewhere = {**same_losses.environment(), "torch": "1.0"}

    assert same_losses.report({"environment": elsewhere, "losses": found}, found) == 0

    said = capsys.readouterr().out
    assert "where bits may differ" in said
    assert "torch was 1.0, is " in said


def test_only_losses_and_accuracies_are_compared() -> None:
    record = {
        "metrics": {"test_top1": 50, "test_n": 31, "seconds": 0.5},
        "history": [{"epoch": 1.0, "lr": 0.1, "train_loss": 2.0, "images_per_second": 9.0}],
    }

    assert same_losses.record_numbers(record) == {"test_top1": 50.0, "epoch 1 train_loss": 2.0}


@pytest.mark.slow
def test_trainings_give_the_recorded_losses_bit_for_bit() -> None:
    elsewhere = same_losses.environment_differences(RECORDED["environment"], same_losses.environment())
    if elsewhere:
        pytest.skip(f"the losses were recorded in another environment: {'; '.join(elsewhere)}")
    script = Path(same_losses.__file__)

    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=1200)

    assert done.returncode == 0, done.stdout + done.stderr
