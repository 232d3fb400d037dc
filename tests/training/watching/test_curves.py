from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import pytest

from modernet.errors import InputError
from modernet.training.watching.curves import CURVES_NAME, Curves


def test_points_are_json_lines(tmp_path: Path) -> None:
    curves = Curves(tmp_path, "", "run", {}, step=0)
    curves.add(3, {"loss": 0.5})
    curves.add(6, {"loss": 0.25})
    curves.close()

    lines = (tmp_path / CURVES_NAME).read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"step": 3, "loss": 0.5}, {"step": 6, "loss": 0.25}]


def test_a_tracker_of_accelerate_gets_the_same_points(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # from tensorboard itself
        curves = Curves(tmp_path, "tensorboard", "run", {"lr": 0.1, "decay": None, "dims": [1, 2]}, step=0)
        curves.add(3, {"loss": 0.5})
        curves.close()
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(tmp_path / "run")).Reload()

    assert [(point.step, point.value) for point in events.Scalars("loss")] == [(3, 0.5)]


def test_an_unknown_tracker_is_named_with_close_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no tracker is called 'tensorbord'; did you mean tensorboard"):
        Curves(tmp_path, "tensorbord", "run", {}, step=0)


def test_a_tracker_whose_package_is_missing_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="the tracker dvclive needs its package, which is not installed; pip install dvclive"
    ):
        Curves(tmp_path, "dvclive", "run", {}, step=0)


def test_without_accelerate_a_tracker_names_the_extra_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(
        InputError, match=r"needs accelerate, which is not installed; pip install 'modernet\[trackers\]'"
    ):
        Curves(tmp_path, "tensorboard", "run", {}, step=0)


def test_without_accelerate_a_run_still_writes_its_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    curves = Curves(tmp_path, "", "run", {}, step=0)
    curves.add(1, {"loss": 0.5})
    curves.close()
    assert (tmp_path / CURVES_NAME).read_text() == '{"step": 1, "loss": 0.5}\n'
