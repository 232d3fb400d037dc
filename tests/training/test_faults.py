"""What happens when something breaks: no training is lost, and the message says what to do."""

from __future__ import annotations

import json
import math
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from modernet.cli import main
from modernet.errors import InputError
from modernet.models import create_model
from modernet.processes import ALONE
from modernet.recipes import Execution, leaves
from modernet.records import Record, read_record
from modernet.tasks.classification import Classification
from modernet.training import DiskFull, Interrupted, NonFiniteLoss, Trained, read_checkpoint
from modernet.training.non_finite import IMAGES_NAME
from modernet.training.placement.placement import Placement
from modernet.training.state import checkpoint
from modernet.training.state.checkpoint import CHECKPOINT_NAME, PREVIOUS_NAME
from small_runs import CPU, RANDOM, after, losses, nan_at, run

TRAIN = ["--model", "convnext_test", "--model-fields", "stem_stride=1", "--epochs", "2", "--batch-size", "16"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return run(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """Return the folder of a run with two checkpoints, of steps 3 and 5."""
    for steps in (3, 3):
        with pytest.raises(Interrupted):
            run(tmp_path, should_stop=after(steps))
    return tmp_path


def test_a_truncated_checkpoint_falls_back_to_the_previous_one(stopped: Path, whole: Trained) -> None:
    newest = stopped / CHECKPOINT_NAME
    os.truncate(newest, newest.stat().st_size // 2)
    found = read_checkpoint(stopped, leaves(RANDOM))
    assert found is not None
    assert found.step == 3

    assert losses(run(stopped)) == losses(whole)


def test_a_machine_that_stops_between_two_renames_leaves_the_previous_checkpoint(stopped: Path, whole: Trained) -> None:
    (stopped / CHECKPOINT_NAME).unlink()

    assert losses(run(stopped)) == losses(whole)


@pytest.mark.medium
@pytest.mark.parametrize("seed", range(4))
def test_a_corrupt_checkpoint_falls_back_to_the_previous_one(stopped: Path, seed: int) -> None:
    newest = stopped / CHECKPOINT_NAME
    content = bytearray(newest.read_bytes())
    content[: len(content) // 2] = random.Random(seed).randbytes(len(content) // 2)
    newest.write_bytes(content)
    found = read_checkpoint(stopped, leaves(RANDOM))

    assert found is not None
    assert found.step == 3


def test_two_damaged_checkpoints_are_reported(stopped: Path) -> None:
    for name in (CHECKPOINT_NAME, PREVIOUS_NAME):
        os.truncate(stopped / name, 1000)

    with pytest.raises(InputError, match=r"checkpoint\.pt cannot be read; remove it to start over"):
        run(stopped)


def test_a_full_disk_keeps_the_previous_checkpoint(
    tmp_path: Path, whole: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Interrupted):
        run(tmp_path, should_stop=after(3))

    def write_to_a_full_disk(fields: object, file: Any) -> None:
        file.write(b"half of it")
        try:
            raise OSError(28, "No space left on device")
        except OSError:
            raise RuntimeError("unexpected pos 704 vs 598")  # noqa: B904 - as torch's writer does

    with (
        monkeypatch.context() as patched,
        pytest.raises(DiskFull, match=r"of step 5 .* free some space, then add --resume"),
    ):
        patched.setattr(checkpoint.torch, "save", write_to_a_full_disk)
        run(tmp_path, should_stop=after(3))

    assert sorted(path.name for path in tmp_path.iterdir()) == [CHECKPOINT_NAME, "metrics.jsonl"]
    assert losses(run(tmp_path)) == losses(whole)


@pytest.fixture
def signal_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, signal.Signals], None]:
    """Send this process a signal in the middle of a training step, counted from 0, of the next training."""
    loss, steps_left = Classification.loss, -1
    number = signal.SIGTERM

    def interrupted(self: Classification, network: Any, batch: Any) -> Any:
        nonlocal steps_left
        if steps_left == 0:
            os.kill(os.getpid(), number)
        steps_left -= 1
        return loss(self, network, batch)

    def arm(step: int, signal_number: signal.Signals) -> None:
        nonlocal steps_left, number
        steps_left, number = step, signal_number

    monkeypatch.setattr(Classification, "loss", interrupted)
    return arm


@pytest.mark.medium
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_training_with_a_checkpoint_and_one_line(
    number: signal.Signals,
    signal_at: Callable[[int, signal.Signals], None],
    image_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["train", "--data", str(image_folder), *TRAIN]
    signal_at(4, number)
    code = main([*arguments, "--out", str(tmp_path / "stopped")])
    message = capsys.readouterr().err.splitlines()[-1]
    assert (code, message) == (130, "modernet: stopped at step 5; the same command with --resume continues")
    assert main([*arguments, "--out", str(tmp_path / "stopped"), "--resume"]) == 0
    assert main([*arguments, "--out", str(tmp_path / "whole")]) == 0

    stopped, whole = (read_record(tmp_path / name / "record.json") for name in ("stopped", "whole"))
    assert without_times(stopped) == without_times(whole)


def test_a_launcher_that_restarts_a_run_needs_no_option(
    signal_at: Callable[[int, signal.Signals], None],
    image_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """torchrun --max-restarts: the same command again, whether or not the run reached a checkpoint."""
    arguments = ["train", "--data", str(image_folder), *TRAIN, "--out", str(tmp_path / "run")]
    signal_at(0, signal.SIGTERM)
    assert main(arguments) == 130
    assert main(arguments) == 2
    assert "add --resume to continue it" in capsys.readouterr().err

    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert main(arguments) == 0
    assert main([*arguments[:-1], str(tmp_path / "from the start")]) == 0


def without_times(record: Record) -> list[dict[str, float]]:
    return [
        {key: value for key, value in row.items() if "second" not in key} for row in [*record.history, record.metrics]
    ]


def test_a_step_without_a_finite_loss_stops_the_run_and_its_images_are_listed(tmp_path: Path, whole: Trained) -> None:
    with pytest.raises(Interrupted):
        run(tmp_path, should_stop=after(3))
    with pytest.raises(NonFiniteLoss, match=rf"step 6; its images are listed in .*{IMAGES_NAME}; try"):
        run(tmp_path, kind=nan_at(3))

    (line,) = (tmp_path / IMAGES_NAME).read_text().splitlines()
    assert json.loads(line)["step"] == 6
    assert len(json.loads(line)["images"]) == 16
    assert "image" in json.loads(line)["images"][0]
    assert losses(run(tmp_path)) == losses(whole), "the checkpoint is from before"


def test_steps_without_a_finite_loss_are_skipped_and_counted_on_request(tmp_path: Path) -> None:
    trained = run(tmp_path, execution=Execution(non_finite="skip"), kind=nan_at(6))

    assert trained.skipped == 1
    assert [row.get("skipped_steps", 0) for row in trained.history] == [0, 1]
    assert all(weight.isfinite().all() for weight in trained.network.parameters())
    assert json.loads((tmp_path / IMAGES_NAME).read_text())["step"] == 6


def test_a_run_whose_first_step_was_skipped_resumes_to_the_same_losses(tmp_path: Path) -> None:
    """torch's way to the state of an optimizer without one is a step that nobody took."""
    skip = Execution(non_finite="skip")
    without_interruption = run(tmp_path / "whole", execution=skip, kind=nan_at(0))
    with pytest.raises(Interrupted):
        run(tmp_path / "stopped", execution=skip, kind=nan_at(0), should_stop=after(1))

    assert losses(run(tmp_path / "stopped", execution=skip)) == losses(without_interruption)


def test_a_skipped_step_leaves_no_trace_in_batch_norms() -> None:
    network = create_model("resnet_test", num_classes=2)
    placement = Placement(network, RANDOM.replace(ema_decay=None), Execution(), CPU, ALONE)
    before = placement.buffers()
    placement(torch.full((2, 3, 32, 32), float("inf")))
    assert not math.isfinite(placement.weight_norm()), "a checkpoint would hold it"
    placement.restore_buffers(before)

    assert math.isfinite(placement.weight_norm())


def test_a_learning_rate_that_is_too_high_is_reported_in_one_line(tmp_path: Path) -> None:
    recipe = RANDOM.replace(optimizer="sgd", lr=1e8, clip_grad=None)

    with pytest.raises(NonFiniteLoss, match="try a lower --lr"):
        run(tmp_path, recipe)


def test_curves_hold_every_epoch_once_after_a_resume(stopped: Path) -> None:
    with (stopped / "metrics.jsonl").open("a") as file:
        file.write('{"step": 900, "loss": 1.0}\n{"step": 3, "lo')
    run(stopped)
    rows = [json.loads(line) for line in (stopped / "metrics.jsonl").read_text().splitlines()]

    assert [row["epoch"] for row in rows] == [1, 2]
    assert [row["step"] for row in rows] == [5, 10]
