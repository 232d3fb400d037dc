from pathlib import Path
from typing import Any

import pytest

from modernet.errors import InputError
from modernet.recipes import get_recipe
from modernet.report.compare.compared import Budget
from modernet.studies.compare import CompareRequest
from modernet.studies.compare.budgets import CALIBRATION_NAME, Calibration, Share, calibrate, tuned_settings

RECIPE = get_recipe("quick").lasting(10)


def asked(budget: Budget, epochs: int = 10) -> CompareRequest:
    return CompareRequest(("slow", "middle", "fast"), "photos", RECIPE.lasting(epochs), budget)


def settings(macs: int, n_train: int = 1000) -> dict[str, Any]:
    return {"macs": macs, "data": {"n_train": n_train}}


CANDIDATES = {"slow": settings(400), "middle": settings(100), "fast": settings(20)}
SPEEDS = {"slow": 50.0, "middle": 100.0, "fast": 1000.0}


def unmeasured() -> dict[str, float]:
    raise AssertionError("speeds decide nothing here")


def test_equal_epochs_need_no_speeds() -> None:
    found = calibrate(asked("equal-epochs"), CANDIDATES, None, unmeasured)
    assert found.shares == {"slow": Share(10), "middle": Share(10), "fast": Share(10)}
    assert found.lines() == []


def test_equal_seconds_are_those_of_the_median_candidate() -> None:
    found = calibrate(asked("equal-seconds"), CANDIDATES, None, lambda: SPEEDS)
    assert found.amount == 100  # 10 epochs of 1,000 images at 100 a second
    assert {label: share.epochs for label, share in found.shares.items()} == {"slow": 5, "middle": 10, "fast": 100}
    assert found.shares["slow"].seconds == 100
    assert found.lines()[0] == "slow: 5 epochs, the nearest to 100.0 s of training"


def test_equal_macs_are_those_of_the_median_candidate() -> None:
    found = calibrate(asked("equal-macs"), CANDIDATES, None, unmeasured)
    assert {label: share.epochs for label, share in found.shares.items()} == {"slow": 2, "middle": 10, "fast": 50}


def test_every_candidate_has_at_least_one_epoch() -> None:
    found = calibrate(asked("equal-seconds", epochs=1), CANDIDATES, None, lambda: SPEEDS)
    assert found.shares["slow"] == Share(1, 50.0, 20.0)
    assert found.shares["slow"].tuning_epochs == 1


def test_shares_for_other_images_are_not_taken_over() -> None:
    request = asked("equal-seconds")
    before = calibrate(request, CANDIDATES, None, lambda: SPEEDS)
    with pytest.raises(InputError, match="photos has 900 training images, and the comparison in that folder is for 1"):
        calibrate(request, {"new": settings(100, 900)}, before, lambda: {"new": 10.0})


def test_a_candidate_without_a_speed_gets_nothing() -> None:
    found = calibrate(asked("equal-seconds"), CANDIDATES, None, lambda: {"middle": 100.0, "fast": 1000.0})
    assert list(found.shares) == ["middle", "fast"]


def test_candidates_that_are_added_later_change_nothing_for_the_others(tmp_path: Path) -> None:
    request = asked("equal-seconds")
    first = calibrate(request, {name: CANDIDATES[name] for name in ("slow", "fast")}, None, lambda: SPEEDS)
    first.write(tmp_path)
    before = Calibration.read(tmp_path, request)
    assert before == first
    later = calibrate(request, CANDIDATES, before, lambda: {"middle": 100.0})
    assert later.amount == first.amount
    assert later.shares["slow"] == first.shares["slow"]
    assert later.shares["middle"].epochs == round(first.amount / 10)  # type: ignore[operator]
    again = calibrate(request, {"fast": CANDIDATES["fast"]}, later, unmeasured)
    assert again.shares.keys() == later.shares.keys()


def test_a_folder_with_another_budget_is_rejected(tmp_path: Path) -> None:
    assert Calibration.read(tmp_path, asked("equal-macs")) is None
    calibrate(asked("equal-macs"), CANDIDATES, None, unmeasured).write(tmp_path)
    with pytest.raises(InputError, match="has a comparison with budget equal-macs, not equal-epochs"):
        Calibration.read(tmp_path, asked("equal-epochs"))
    with pytest.raises(InputError, match="with epochs 10, not 5"):
        Calibration.read(tmp_path, asked("equal-macs", epochs=5))
    (tmp_path / CALIBRATION_NAME).write_text("{}")
    with pytest.raises(InputError, match=r"cannot be read; give another --out"):
        Calibration.read(tmp_path, asked("equal-macs"))


def test_learning_rates_are_tried_before_weight_decays() -> None:
    lr, decay = RECIPE.optimizer.lr, RECIPE.optimizer.weight_decay
    found = tuned_settings(RECIPE, 4)
    assert [each["lr"] / lr for each in found] == pytest.approx([1, 1 / 3, 3, 1])
    assert [each["weight_decay"] / decay for each in found] == pytest.approx([1, 1, 1, 1 / 3])
    assert len(tuned_settings(RECIPE, 9)) == 9
    with pytest.raises(InputError, match="tune is 10; give at most 9"):
        tuned_settings(RECIPE, 10)
    with pytest.raises(InputError, match="tune is 4; give at most 3"):
        tuned_settings(RECIPE.replace(weight_decay=0.0), 4)
