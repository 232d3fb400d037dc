"""How a run uses the machine changes its speed and memory, not what it computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from modernet.data import ImageDataset
from modernet.errors import InputError
from modernet.models import create_model
from modernet.pretraining.build import masked_autoencoder
from modernet.pretraining.mae import MaskedViT
from modernet.processes import ALONE, Processes
from modernet.recipes import Execution, get_recipe
from modernet.records import read_record
from modernet.tasks import train_classifier
from modernet.torch_internals import has_forward_hooks
from modernet.training import Interrupted
from modernet.training.placement.placement import Placement
from modernet.training.placement.sharding import blocks_of
from modernet.training.run import divide_batch
from modernet.training.state.checkpoint import CHECKPOINT_NAME, Checkpoint
from modernet.weights import NetworkSpec
from small_runs import EVERY_STEP, RANDOM, losses, run

CPU = torch.device("cpu")
SPEC = NetworkSpec("model", "convnext_test", {"stem_stride": 1})
RECIPE = get_recipe("quick").replace(epochs=1, batch_size=16)


def test_checkpointing_gives_the_same_losses(tmp_path: Path) -> None:
    plain = run(tmp_path / "plain", RANDOM)
    checkpointed = run(tmp_path / "checkpointed", RANDOM, execution=Execution(checkpointing=True))

    assert losses(checkpointed) == losses(plain)


@pytest.mark.medium
def test_a_compiled_network_gives_the_same_losses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    compile_module = nn.Module.compile

    def by_dynamo_alone(self: nn.Module) -> None:
        compiled.append(self)
        compile_module(self, backend="eager")

    monkeypatch.setattr(nn.Module, "compile", by_dynamo_alone)
    recipe = RANDOM.replace(epochs=1)
    plain = run(tmp_path / "plain", recipe)
    fast = run(tmp_path / "compiled", recipe, execution=Execution(compile=True))

    assert len(compiled) == 1
    assert losses(fast) == losses(plain)


@pytest.mark.parametrize(("width", "contiguous"), [(8, {"layer2.0.downsample.0"}), (16, set())])
def test_narrow_strided_convolutions_are_trained_in_contiguous_memory(width: int, contiguous: set[str]) -> None:
    network = create_model("resnet18", depths=(1, 1), width=width)
    placement = Placement(network, RANDOM, Execution(), CPU, ALONE)

    assert {name for name, each in placement.network.named_modules() if has_forward_hooks(each)} == contiguous
    assert not any(map(has_forward_hooks, placement.result().modules()))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_scores_are_in_float32_whatever_the_network_computes_in(precision: str) -> None:
    network = create_model("convnext_test", num_classes=2)
    placement = Placement(network, RANDOM.replace(precision=precision), Execution(), CPU, ALONE)

    assert placement(torch.randn(2, 3, 32, 32)).dtype == torch.float32
    assert {weight.dtype for weight in placement.network.parameters()} == {torch.float32}


@pytest.mark.medium
def test_fp16_trains_as_float32_does_with_a_scaled_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scaler = torch.amp.GradScaler  # its default scale overflows in the first step, which is then skipped
    monkeypatch.setattr(
        torch.amp, "GradScaler", lambda device, enabled: scaler(device, enabled=enabled, init_scale=1024.0)
    )
    half = run(tmp_path / "fp16", RANDOM.replace(precision="fp16"), intervals=EVERY_STEP)
    plain = run(tmp_path / "fp32", RANDOM)
    state = torch.load(tmp_path / "fp16" / CHECKPOINT_NAME, weights_only=True)["state"]

    assert losses(half) == [pytest.approx(row, rel=2e-3) for row in losses(plain)]
    assert losses(half) != losses(plain)
    assert state["scaler"]["scale"] == 1024.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"precision": "fp16"}, "sharded weights do not support fp16; give --precision bf16"),
        ({"clip_grad": 0.01, "clip_mode": "agc"}, "agc needs full weights on each device; leave out --shard"),
    ],
)
def test_what_does_not_go_with_sharded_weights_is_refused(changes: dict[str, Any], message: str) -> None:
    network = create_model("convnext_test")

    with pytest.raises(InputError, match=message):
        Placement(network, RANDOM.replace(**changes), Execution(shard=True), CPU, Processes(0, 2))


def test_a_network_without_blocks_cannot_be_checkpointed() -> None:
    with pytest.raises(InputError, match="has no blocks to checkpoint"):
        Placement(create_model("lenet1989"), RANDOM, Execution(checkpointing=True), CPU, ALONE)


def test_a_masked_autoencoder_is_checkpointed() -> None:
    network = masked_autoencoder(create_model("vit_test"), decoder_dim=32, decoder_depth=1)
    assert isinstance(network, MaskedViT)
    placement = Placement(network, RANDOM, Execution(checkpointing=True), CPU, ALONE)
    runs: list[int] = []
    for block in (network.encoder.blocks[0], network.decoder_blocks[0]):
        block.register_forward_pre_hook(lambda *_: runs.append(1))
    placement(torch.randn(2, 3, 64, 64), torch.arange(32).view(2, 16) % 2 == 0).sum().backward()
    assert len(runs) == 4


def test_weights_are_sharded_block_by_block() -> None:
    network = create_model("convnext_test")
    blocks = [block for stage in network.stages for block in stage]  # type: ignore[union-attr]

    assert blocks_of(network) == blocks


def train_on(data: ImageDataset, folder: Path, **options: Any) -> None:
    train_classifier(SPEC, data, RECIPE, folder=folder, device=CPU, **options)


def test_a_batch_that_a_device_cannot_take_at_once_is_accumulated(stripes: ImageDataset, tmp_path: Path) -> None:
    train_on(stripes, tmp_path, execution=Execution(device_batch=4))
    record = read_record(tmp_path / "record.json")

    assert record.environment["execution"]["micro_batches"] == 4
    assert record.settings["recipe"]["batch_size"] == 16


@pytest.mark.parametrize(
    ("device_batch", "message"),
    [(3, "not a multiple"), (4, "began with 2 micro-batches per step, not 4; leave out --device-batch")],
)
def test_micro_batches_that_do_not_fit_are_refused_in_one_line(
    stripes: ImageDataset, tmp_path: Path, device_batch: int, message: str
) -> None:
    with pytest.raises(Interrupted):
        train_on(stripes, tmp_path, execution=Execution(device_batch=8), should_stop=lambda: True)

    with pytest.raises(InputError, match=message):
        train_on(stripes, tmp_path, execution=Execution(device_batch=device_batch))


def test_a_run_resumes_with_the_micro_batches_that_it_began_with(stripes: ImageDataset, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train_on(stripes, tmp_path, execution=Execution(device_batch=8), should_stop=lambda: True)
    found = Checkpoint(**torch.load(tmp_path / CHECKPOINT_NAME, weights_only=True))
    with pytest.raises(InputError, match="began with 2 micro-batches per step, which 3 processes cannot share evenly"):
        divide_batch(RECIPE, Execution(), Processes(0, 3), found)
    train_on(stripes, tmp_path)

    assert read_record(tmp_path / "record.json").environment["execution"]["micro_batches"] == 2
