"""What happens when something breaks: nothing is lost, and it is said."""

from __future__ import annotations

import itertools
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

import two_processes
from modernet.cli import main
from modernet.errors import InputError
from modernet.models import create_model
from modernet.processes import ALONE, Processes
from modernet.recipes import Execution, leaves
from modernet.records import Record, read_record
from modernet.tasks.classification import _read_together
from modernet.training import DiskFull, Interrupted, NonFiniteLoss, Trained, loop, read_checkpoint
from modernet.training.non_finite import IMAGES_NAME
from modernet.training.placement.placement import Placement
from modernet.training.state import checkpoint
from modernet.training.state.checkpoint import CHECKPOINT_NAME, PREVIOUS_NAME
from two_processes import RANDOM, losses


def run(folder: Path, **options: Any) -> Trained:
    return two_processes.run(folder, RANDOM, parts=1, **options)


def after(steps: int) -> Callable[[], bool]:
    asked = itertools.count(1)
    return lambda: next(asked) >= steps


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return run(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A run with two checkpoints, of steps 3 and 5."""
    for steps in (3, 3):
        with pytest.raises(Interrupted):
            run(tmp_path, should_stop=after(steps))
    return tmp_path


def test_a_truncated_checkpoint_falls_back_to_the_one_before(stopped: Path, whole: Trained) -> None:
    newest = stopped / CHECKPOINT_NAME
    os.truncate(newest, newest.stat().st_size // 2)
    found = read_checkpoint(stopped, leaves(RANDOM))
    assert found is not None
    assert found.step == 3

    assert losses(run(stopped)) == losses(whole)


def test_a_machine_that_stops_between_two_renames_leaves_the_one_before(stopped: Path, whole: Trained) -> None:
    (stopped / CHECKPOINT_NAME).unlink()

    assert losses(run(stopped)) == losses(whole)


@pytest.mark.parametrize("seed", range(4))
def test_a_checkpoint_with_other_bytes_in_it_falls_back_too(stopped: Path, seed: int) -> None:
    newest = stopped / CHECKPOINT_NAME
    content = bytearray(newest.read_bytes())
    content[: len(content) // 2] = random.Random(seed).randbytes(len(content) // 2)
    newest.write_bytes(content)
    found = read_checkpoint(stopped, leaves(RANDOM))

    assert found is not None
    assert found.step == 3


def test_where_both_checkpoints_are_damaged_it_is_said(stopped: Path) -> None:
    for name in (CHECKPOINT_NAME, PREVIOUS_NAME):
        os.truncate(stopped / name, 1000)

    with pytest.raises(InputError, match=r"checkpoint\.pt cannot be read; remove it to start anew"):
        run(stopped)


def test_a_full_disk_keeps_the_checkpoint_before(
    tmp_path: Path, whole: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Interrupted):
        run(tmp_path, should_stop=after(3))

    def full(fields: object, file: Any) -> None:
        file.write(b"half of it")
        try:
            raise OSError(28, "No space left on device")
        except OSError:
            raise RuntimeError("unexpected pos 704 vs 598")  # noqa: B904 - as torch's writer does

    with monkeypatch.context() as patched, pytest.raises(DiskFull, match=r"of step 5 .* make room, then go on with"):
        patched.setattr(checkpoint.torch, "save", full)
        run(tmp_path, should_stop=after(3))

    assert sorted(path.name for path in tmp_path.iterdir()) == [CHECKPOINT_NAME, "metrics.jsonl"]
    assert losses(run(tmp_path)) == losses(whole)


@pytest.mark.medium
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_training_with_a_checkpoint_and_a_line(
    number: signal.Signals,
    image_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--model", "convnext_test", "--model-fields", "stem_stride=1", "--epochs", "2", "--batch-size", "16"]
    arguments = ["train", "--data", str(image_folder), *options]
    part_seed = loop._part_seed

    def interrupted(seed: int, step: int, part: int) -> int:
        if step == 4:
            os.kill(os.getpid(), number)
        return part_seed(seed, step, part)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "_part_seed", interrupted)
        code = main([*arguments, "--out", str(tmp_path / "stopped")])
    said = capsys.readouterr().err.splitlines()[-1]
    assert (code, said) == (130, "modernet: stopped at step 5; the same command with --resume goes on")
    assert main([*arguments, "--out", str(tmp_path / "stopped"), "--resume"]) == 0
    assert main([*arguments, "--out", str(tmp_path / "whole")]) == 0

    stopped, whole = (read_record(tmp_path / name / "record.json") for name in ("stopped", "whole"))
    assert without_times(stopped) == without_times(whole)


def test_a_launcher_that_starts_a_run_again_needs_no_option(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """torchrun --max-restarts: the same command again, whether the run came to a checkpoint or not."""
    options = ["--model", "convnext_test", "--model-fields", "stem_stride=1", "--epochs", "2", "--batch-size", "16"]
    arguments = ["train", "--data", str(image_folder), *options, "--out", str(tmp_path / "run")]
    with monkeypatch.context() as patched:
        patched.setattr(loop, "_part_seed", lambda seed, step, part: os.kill(os.getpid(), signal.SIGTERM) or step)
        assert main(arguments) == 130
    assert main(arguments) == 2
    assert "add --resume to go on with it" in capsys.readouterr().err

    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert main(arguments) == 0
    assert main([*arguments[:-1], str(tmp_path / "from the start")]) == 0


def without_times(record: Record) -> list[dict[str, float]]:
    return [
        {key: value for key, value in row.items() if "second" not in key} for row in [*record.history, record.metrics]
    ]


def spoil_step(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """The loss of one step of every run is NaN, and so are its gradients."""
    part_seed, loss = loop._part_seed, two_processes.Classification.loss
    now = -1

    def noticing(seed: int, at: int, part: int) -> int:
        nonlocal now
        now = at
        return part_seed(seed, at, part)

    def spoilt(self: Any, network: Any, batch: Any) -> Any:
        value, means = loss(self, network, batch)
        return value * (float("nan") if now == step else 1.0), means

    monkeypatch.setattr(loop, "_part_seed", noticing)
    monkeypatch.setattr(two_processes.Classification, "loss", spoilt)


def test_a_step_without_a_finite_loss_stops_the_run_and_its_images_are_listed(
    tmp_path: Path, whole: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Interrupted):
        run(tmp_path, should_stop=after(3))
    with monkeypatch.context() as patched:
        spoil_step(patched, 6)
        with pytest.raises(NonFiniteLoss, match=rf"step 6; its images are listed in .*{IMAGES_NAME}; try"):
            run(tmp_path)

    (line,) = (tmp_path / IMAGES_NAME).read_text().splitlines()
    assert json.loads(line)["step"] == 6
    assert len(json.loads(line)["images"]) == 16
    assert "image" in json.loads(line)["images"][0]
    assert losses(run(tmp_path)) == losses(whole), "the checkpoint is from before"


def test_steps_without_a_finite_loss_are_left_out_and_counted_by_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil_step(monkeypatch, 6)
    trained = run(tmp_path, execution=Execution(non_finite="skip"))

    assert trained.skipped == 1
    assert [row.get("skipped_steps", 0) for row in trained.history] == [0, 1]
    assert all(weight.isfinite().all() for weight in trained.network.parameters())
    assert json.loads((tmp_path / IMAGES_NAME).read_text())["step"] == 6


def test_a_run_whose_first_step_was_left_out_goes_on_to_the_same_losses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch's way to a state of an optimiser that has none is a step that nobody took."""
    spoil_step(monkeypatch, 0)
    skip = Execution(non_finite="skip")
    without_interruption = run(tmp_path / "whole", execution=skip)
    with pytest.raises(Interrupted):
        run(tmp_path / "stopped", execution=skip, should_stop=after(1))

    assert losses(run(tmp_path / "stopped", execution=skip)) == losses(without_interruption)


def test_a_step_that_is_left_out_leaves_no_trace_in_batch_norms() -> None:
    network = create_model("resnet_test", num_classes=2)
    placement = Placement(network, RANDOM.replace(ema_decay=None), Execution(), torch.device("cpu"), ALONE)
    before = placement.buffers()
    placement(torch.full((2, 3, 32, 32), float("inf")))
    assert not math.isfinite(placement.weight_norm()), "a checkpoint would hold it"
    placement.restore_buffers(before)

    assert math.isfinite(placement.weight_norm())


def test_processes_that_see_different_checkpoints_do_not_train_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Processes, "gather", lambda self, value: [value, (7, "")])

    with pytest.raises(InputError, match=r"not all processes see the same checkpoint in .*; give an --out on a"):
        _read_together(tmp_path, {}, Processes(0, 2))


def test_a_learning_rate_that_is_too_high_is_said_in_one_line(tmp_path: Path) -> None:
    recipe = RANDOM.replace(optimizer="sgd", lr=1e8, clip_grad=None)

    with pytest.raises(NonFiniteLoss, match="try a lower --lr"):
        two_processes.run(tmp_path, recipe, parts=1)


def test_curves_hold_every_epoch_once_after_a_resume(stopped: Path) -> None:
    with (stopped / "metrics.jsonl").open("a") as file:
        file.write('{"step": 900, "loss": 1.0}\n{"step": 3, "lo')
    run(stopped)
    rows = [json.loads(line) for line in (stopped / "metrics.jsonl").read_text().splitlines()]

    assert [row["epoch"] for row in rows] == [1, 2]
    assert [row["step"] for row in rows] == [5, 10]
