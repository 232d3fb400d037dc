from __future__ import annotations

import copy
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from modernet.data import Batch
from modernet.errors import InputError
from modernet.recipes import for_classification, get_recipe, leaves
from modernet.tasks.classification import Classification
from modernet.training import Interrupted, NonFiniteLoss, read_checkpoint, train
from modernet.training.state.checkpoint import CHECKPOINT_NAME
from modernet.training.task import HeldOut
from small_runs import (
    EVERY_STEP,
    QUICK,
    RANDOM,
    RESNET,
    after,
    context_of,
    losses,
    nan_at,
    new_task,
    run,
    same_weights,
)


def test_a_small_network_learns_the_training_images(tmp_path: Path) -> None:
    trained = run(tmp_path, QUICK.replace(epochs=6, batch_size=16, label_smoothing=0.0, shift=0.0))

    assert trained.history[0]["train_loss"] > 2 * trained.history[-1]["train_loss"]
    assert trained.history[-1]["validation_top1"] == 100.0
    assert trained.samples_per_second is not None
    assert trained.samples_per_second > 0


def test_the_same_seed_gives_the_same_losses(tmp_path: Path) -> None:
    one, other = run(tmp_path / "one"), run(tmp_path / "other")

    assert losses(one) == losses(other)
    assert same_weights(one.network, other.network)


@pytest.mark.medium
@pytest.mark.parametrize("steps", [1, 5, 7, 9], ids=lambda steps: f"after_{steps}_steps")
def test_a_stopped_run_resumes_to_the_same_losses(tmp_path: Path, steps: int) -> None:
    whole = run(tmp_path / "whole")
    with pytest.raises(Interrupted):
        run(tmp_path / "stopped", should_stop=after(steps))
    assert (tmp_path / "stopped" / CHECKPOINT_NAME).exists()
    resumed = run(tmp_path / "stopped")

    assert losses(resumed) == losses(whole)
    assert same_weights(resumed.network, whole.network)


KILLED = QUICK.replace(epochs=8, batch_size=16, drop_path=0.2)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kills a process with a signal")
def test_a_killed_run_resumes_to_the_same_losses(tmp_path: Path) -> None:
    """`kill -9` in the middle of a run, in a process that writes a checkpoint after every step."""
    program = f"""
import sys
sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parents[1])!r}]
from pathlib import Path
from small_runs import EVERY_STEP, run
from test_loop import KILLED
run(Path({str(tmp_path / "killed")!r}), KILLED, intervals=EVERY_STEP)
"""
    killed = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "OMP_NUM_THREADS": "1"})
    checkpoint = tmp_path / "killed" / CHECKPOINT_NAME
    deadline = time.monotonic() + 120
    while not checkpoint.exists():
        assert killed.poll() is None, "the run ended before its first checkpoint"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    found = read_checkpoint(tmp_path / "killed", leaves(KILLED))
    assert found is not None
    assert found.step < 40, "the run ended before it was killed"

    assert losses(run(tmp_path / "killed", KILLED)) == losses(run(tmp_path / "whole", KILLED))


@pytest.mark.medium
def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        run(tmp_path, should_stop=after(2))
    other = context_of()
    with pytest.raises(InputError, match=r"belongs to a run with lr 0\.006, not 0\.1; give another --out, or remove"):
        train(
            new_task(RANDOM, other),
            RANDOM,
            other,
            seed=5,
            folder=tmp_path,
            identity={},
            checkpoint=read_checkpoint(tmp_path, leaves(RANDOM.replace(lr=0.1))),
        )


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT_NAME).write_bytes(b"PK\x03\x04 cut short")

    with pytest.raises(InputError, match=r"checkpoint\.pt cannot be read; remove it to start over"):
        run(tmp_path)


def test_a_loss_that_is_not_finite_stops_the_run_before_its_first_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteLoss, match="try a lower --lr"):
        run(tmp_path, kind=nan_at(0))

    assert not (tmp_path / CHECKPOINT_NAME).exists()


def test_the_exponential_moving_average_of_the_weights_is_kept(tmp_path: Path) -> None:
    """Computed by hand: it begins as the weights after the first step, and includes the statistics of batch norms."""
    recipe = QUICK.replace(epochs=1, batch_size=16, ema_decay=0.7)
    context = context_of()
    task = new_task(recipe, context, RESNET)
    states: list[dict[str, Tensor]] = []

    def record() -> bool:
        states.append({name: value.double() for name, value in task.network.state_dict().items()})
        return False

    averaged = train(task, recipe, context, seed=5, folder=tmp_path, identity={}, should_stop=record).network

    assert len(states[:-1]) == 5, "after the fifth step, it is called once more, after the epoch"
    for name, value in averaged.state_dict().items():
        if value.is_floating_point():
            expected = states[0][name]
            for state in states[1:5]:
                expected = 0.7 * expected + 0.3 * state[name]
            torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-7)
    assert not torch.equal(averaged.get_buffer("bn1.running_mean"), task.network.get_buffer("bn1.running_mean"))


def test_runs_of_one_process_may_differ_in_precision(tmp_path: Path) -> None:
    recipe = RANDOM.replace(epochs=1, ema_decay=None)
    full = run(tmp_path / "fp32", recipe)
    half = run(tmp_path / "bf16", recipe.replace(precision="bf16"))

    assert losses(full) != losses(half)
    assert half.history[0]["train_loss"] == pytest.approx(full.history[0]["train_loss"], rel=0.05)
    assert all(parameter.dtype == torch.float32 for parameter in half.network.parameters())


def test_clipping_bounds_the_step(tmp_path: Path) -> None:
    """Plain SGD with a gradient of norm 1e-3 moves all weights by at most lr times that in a step."""
    recipe = for_classification(get_recipe("classic")).replace(
        epochs=1, batch_size=70, lr=1.0, weight_decay=0.0, beta1=0.0, clip_grad=1e-3
    )
    context = context_of()
    task = new_task(recipe, context)
    before = copy.deepcopy(task.network)
    train(task, recipe, context, seed=0, folder=tmp_path, identity={})
    moved = [new - old for new, old in zip(task.network.parameters(), before.parameters(), strict=True)]

    assert 0.0 < nn.utils.get_total_norm(moved) <= 1.001e-3


def test_a_finished_run_with_a_checkpoint_is_not_trained_again(tmp_path: Path) -> None:
    """Whatever follows the last step (testing, writing) may fail; the training itself is kept."""

    class Finished(Classification):
        def loss(self, network: Callable[..., Any], batch: Batch) -> Any:
            raise AssertionError("no step is left to train")

    first, again = run(tmp_path, intervals=EVERY_STEP), run(tmp_path, kind=Finished)

    assert losses(again) == losses(first)
    assert same_weights(again.network, first.network)


def test_a_run_that_is_too_short_to_time_has_no_throughput(tmp_path: Path) -> None:
    trained = run(tmp_path, RANDOM.replace(epochs=1, batch_size=70))

    assert trained.samples_per_second is None
    assert "images_per_second" not in trained.history[0]


@pytest.mark.medium
def test_accuracy_is_the_mean_over_the_images_that_were_not_mixed(tmp_path: Path) -> None:
    recipe = QUICK.replace(epochs=8, batch_size=8, mixup=1.0, mix_prob=0.5)
    trained = run(tmp_path, recipe)

    assert trained.history[-1]["train_top1"] > 90


def test_an_evaluation_that_is_not_finite_stops_the_run_before_its_checkpoint(tmp_path: Path) -> None:
    class Diverged(Classification):
        def evaluate(self, network: nn.Module, split: HeldOut) -> dict[str, float]:
            return {"loss": math.inf}

    with pytest.raises(NonFiniteLoss, match="the validation_loss is inf after epoch 1"):
        run(tmp_path, kind=Diverged)

    assert not (tmp_path / CHECKPOINT_NAME).exists()


@pytest.mark.medium
def test_a_checkpoint_is_due_by_the_intervals(tmp_path: Path) -> None:
    """None while the run is shorter than the interval; after every step with an interval of 0."""
    run(tmp_path / "rarely")
    assert not list((tmp_path / "rarely").glob("*.pt"))
    steps: list[int] = []

    def look() -> bool:
        found = read_checkpoint(tmp_path / "often", leaves(RANDOM))
        steps.append(0 if found is None else found.step)
        return False

    run(tmp_path / "often", intervals=EVERY_STEP, should_stop=look)
    assert sorted(set(steps)) == list(range(10))
