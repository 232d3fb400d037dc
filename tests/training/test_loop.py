from __future__ import annotations

import copy
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from conftest import striped
from modernet.data import ImageDataset, make_loader
from modernet.errors import InputError
from modernet.models import create_model
from modernet.recipes import Recipe, get_recipe, leaves
from modernet.tasks.classification import Classification
from modernet.training import Interrupted, NonFiniteLoss, Trained, read_checkpoint, train
from modernet.training.state.checkpoint import CHECKPOINT_NAME

CPU = torch.device("cpu")
RECIPE = get_recipe("quick").replace(
    epochs=3, batch_size=16, warmup_epochs=1.0, drop_path=0.2, erasing=0.3, ema_decay=0.9, clip_grad=1.0
)


def new_task(data: ImageDataset, recipe: Recipe = RECIPE) -> Classification:
    torch.manual_seed(0)
    rate = recipe.regularization.drop_path
    network = create_model("convnext_test", num_classes=2, drop_path_rate=rate, stem_stride=1, layer_scale_init=0.1)
    train_loader = make_loader(
        data, data.train, batch_size=recipe.batch_size, device=CPU, augmentation=recipe.augmentation
    )
    validation = make_loader(data, data.validation, batch_size=16, device=CPU, augmentation=None)
    return Classification(network, data, train_loader, validation, recipe)


def run(
    data: ImageDataset,
    folder: Path,
    recipe: Recipe = RECIPE,
    should_stop: Callable[[], bool] = lambda: False,
) -> Trained:
    return train(
        new_task(data, recipe),
        recipe,
        seed=5,
        device=CPU,
        folder=folder,
        identity=leaves(recipe),
        checkpoint=read_checkpoint(folder, leaves(recipe)),
        should_stop=should_stop,
    )


def after(steps: int) -> Callable[[], bool]:
    """Ask to stop after some steps."""
    asked = itertools.count(1)
    return lambda: next(asked) >= steps


def losses(trained: Trained) -> list[tuple[float, float]]:
    return [(row["train_loss"], row["validation_loss"]) for row in trained.history]


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(left, right) for left, right in pairs)


def test_a_small_network_learns_the_training_images(stripes: ImageDataset, tmp_path: Path) -> None:
    recipe = get_recipe("quick").replace(epochs=6, batch_size=16, label_smoothing=0.0, shift=0.0)
    trained = run(stripes, tmp_path, recipe)

    assert trained.history[0]["train_loss"] > 2 * trained.history[-1]["train_loss"]
    assert trained.history[-1]["validation_top1"] == 100.0
    assert trained.images_per_second is not None
    assert trained.images_per_second > 0


def test_the_same_seed_gives_the_same_losses(stripes: ImageDataset, tmp_path: Path) -> None:
    one, other = run(stripes, tmp_path / "one"), run(stripes, tmp_path / "other")

    assert losses(one) == losses(other)
    assert same_weights(one.network, other.network)


@pytest.mark.medium
@pytest.mark.parametrize("steps", [1, 4, 6, 11], ids=lambda steps: f"after_{steps}_steps")
def test_a_stopped_run_goes_on_to_the_same_losses(stripes: ImageDataset, tmp_path: Path, steps: int) -> None:
    whole = run(stripes, tmp_path / "whole")
    with pytest.raises(Interrupted):
        run(stripes, tmp_path / "stopped", should_stop=after(steps))
    assert (tmp_path / "stopped" / CHECKPOINT_NAME).exists()
    resumed = run(stripes, tmp_path / "stopped")

    assert losses(resumed) == losses(whole)
    assert same_weights(resumed.network, whole.network)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kills a process by a signal")
def test_a_killed_run_goes_on_to_the_same_losses(tmp_path: Path) -> None:
    """`kill -9` in the middle of a run, in a process of its own that writes a checkpoint at every step."""
    program = f"""
import sys
sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parents[1])!r}]
from pathlib import Path
from modernet.training import loop
from modernet.training.watching import pace
from test_loop import train_on_stripes
loop._CHECKPOINT_INTERVAL_S, loop._CHECKPOINT_SHARE, pace.READ_INTERVAL_S = 0.0, 1e9, 0.0
train_on_stripes(Path({str(tmp_path / "killed")!r}))
"""
    killed = subprocess.Popen([sys.executable, "-c", program])
    checkpoint = tmp_path / "killed" / CHECKPOINT_NAME
    deadline = time.monotonic() + 120
    while not checkpoint.exists():
        assert killed.poll() is None, "the run ended before its first checkpoint"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert checkpoint.exists(), "the run ended before it was killed"

    assert train_on_stripes(tmp_path / "killed") == train_on_stripes(tmp_path / "whole")


def train_on_stripes(folder: Path) -> list[tuple[float, float]]:
    """Losses of a run of 8 epochs; in other processes too."""
    torch.set_num_threads(1)
    parts = {name: striped(64, seed) for seed, name in enumerate(("train", "validation", "test"))}
    data = ImageDataset("stripes", ("h", "v"), 16, (0.5,) * 3, (0.3,) * 3, **parts)
    recipe = get_recipe("quick").replace(epochs=8, batch_size=16, drop_path=0.2)
    return losses(run(data, folder, recipe))


def test_a_checkpoint_of_another_run_is_refused(stripes: ImageDataset, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        run(stripes, tmp_path, should_stop=after(2))

    with pytest.raises(InputError, match=r"belongs to a run with lr 0\.006, not 0\.1; give another folder"):
        run(stripes, tmp_path, RECIPE.replace(lr=0.1))


def test_a_damaged_checkpoint_is_named(stripes: ImageDataset, tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT_NAME).write_bytes(b"PK\x03\x04 cut short")

    with pytest.raises(InputError, match=r"checkpoint\.pt cannot be read; remove it to start anew"):
        run(stripes, tmp_path)


def test_a_loss_that_is_no_number_stops_the_run(stripes: ImageDataset, tmp_path: Path) -> None:
    task = new_task(stripes)
    with torch.no_grad():
        next(task.network.parameters()).fill_(float("nan"))

    with pytest.raises(NonFiniteLoss, match="try a lower --lr"):
        train(task, RECIPE, seed=0, device=CPU, folder=tmp_path, identity={})

    assert not (tmp_path / CHECKPOINT_NAME).exists()


def test_the_average_of_the_weights_is_what_is_kept(stripes: ImageDataset, tmp_path: Path) -> None:
    task = new_task(stripes)
    averaged = train(task, RECIPE, seed=5, device=CPU, folder=tmp_path, identity={})

    assert averaged.network is not task.network
    assert not same_weights(averaged.network, task.network)


def test_runs_of_one_process_may_differ_in_precision(stripes: ImageDataset, tmp_path: Path) -> None:
    recipe = RECIPE.replace(epochs=1, ema_decay=None)
    full = run(stripes, tmp_path / "fp32", recipe)
    half = run(stripes, tmp_path / "bf16", recipe.replace(precision="bf16"))

    assert losses(full) != losses(half)
    assert half.history[0]["train_loss"] == pytest.approx(full.history[0]["train_loss"], rel=0.05)
    assert all(parameter.dtype == torch.float32 for parameter in half.network.parameters())


def test_clipping_bounds_the_step(stripes: ImageDataset, tmp_path: Path) -> None:
    """Plain SGD with a gradient of norm 1e-3 moves all weights by at most lr times that in a step."""
    recipe = get_recipe("classic").replace(epochs=1, batch_size=64, lr=1.0, weight_decay=0.0, beta1=0.0, clip_grad=1e-3)
    task = new_task(stripes, recipe)
    before = copy.deepcopy(task.network)
    train(task, recipe, seed=0, device=CPU, folder=tmp_path, identity={})
    moved = [new - old for new, old in zip(task.network.parameters(), before.parameters(), strict=True)]

    assert 0.0 < nn.utils.get_total_norm(moved) <= 1.001e-3


def test_a_finished_run_is_not_trained_again_while_its_checkpoint_stands(stripes: ImageDataset, tmp_path: Path) -> None:
    """What comes after the last step (testing, writing) may fail; the training itself is kept."""
    first = run(stripes, tmp_path)
    task = new_task(stripes)
    task.loss = None  # type: ignore[assignment,method-assign]
    identity = leaves(RECIPE)
    found = read_checkpoint(tmp_path, identity)
    again = train(task, RECIPE, seed=5, device=CPU, folder=tmp_path, identity=identity, checkpoint=found)

    assert losses(again) == losses(first)
    assert same_weights(again.network, first.network)


def test_a_run_that_is_too_short_to_time_has_no_throughput(stripes: ImageDataset, tmp_path: Path) -> None:
    trained = run(stripes, tmp_path, RECIPE.replace(epochs=1, batch_size=64))

    assert trained.images_per_second is None
    assert "images_per_second" not in trained.history[0]


def test_accuracy_is_the_mean_over_the_images_that_were_not_mixed(stripes: ImageDataset, tmp_path: Path) -> None:
    recipe = RECIPE.replace(epochs=8, batch_size=8, mixup=1.0, mix_prob=0.5, drop_path=0.0, erasing=0.0)
    trained = run(stripes, tmp_path, recipe)

    assert trained.history[-1]["train_top1"] > 90


def test_an_evaluation_that_is_no_number_stops_the_run_before_its_checkpoint(
    stripes: ImageDataset, tmp_path: Path
) -> None:
    task = new_task(stripes)
    task.evaluate = lambda network: {"validation_loss": float("inf")}  # type: ignore[method-assign]

    with pytest.raises(NonFiniteLoss, match="the validation_loss is inf after epoch 1"):
        train(task, RECIPE, seed=0, device=CPU, folder=tmp_path, identity={})

    assert not (tmp_path / CHECKPOINT_NAME).exists()
