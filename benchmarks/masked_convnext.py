"""Compare FCMAE on visible cells with FCMAE on masked maps, and with whole images, on this CPU.

    uv run python benchmarks/masked_convnext.py --out benchmarks/results/my-cpu-pretraining

A training step of FCMAE (forward, loss, backward, AdamW) on 16 images of 224 pixels with 30 of 49 cells hidden, a
decoder of one block with 512 channels. Ours computes hidden cells in the depthwise convolutions and the decoder only.
Dense masking is the usual way without a library for sparse convolutions: all layers run on whole maps, which are
multiplied by the mask wherever hidden positions could reach visible ones. The third way is the same network on whole
images, nothing masked. Predictions and gradients of the first two are compared first.
"""

from __future__ import annotations

import argparse
import copy
import statistics
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from modernet.machine.memory import transient_bytes
from modernet.machine.timing import speed_ratio, time_in_turns
from modernet.models import create_model
from modernet.models.convnext import GRN, Block, ConvNeXt
from modernet.pretraining.fcmae import MaskedConvNeXt
from modernet.pretraining.masked import masked_loss, random_cells
from modernet.records import RECORD_NAME, Record, environment

CPU = torch.device("cpu")
SHARE = 0.6
OURS, DENSE, WHOLE = "visible cells", "dense masking", "whole images"

Predict = Callable[[MaskedConvNeXt, Tensor, Tensor], Tensor]


def visible_cells(model: MaskedConvNeXt, images: Tensor, hidden: Tensor) -> Tensor:
    """Predict as modernet does."""
    predictions: Tensor = model(images, hidden)
    return predictions


def dense_masking(model: MaskedConvNeXt, images: Tensor, hidden: Tensor) -> Tensor:
    """Predict from whole maps, multiplied by the mask."""
    grid = [side // model.cell for side in images.shape[2:]]
    visible = hidden.logical_not().view(-1, 1, *grid).to(images.dtype)
    x = images
    for downsample, blocks in zip(model.encoder.downsample_layers, model.encoder.stages, strict=True):
        x = downsample(x)
        side = x.shape[-1] // grid[1]
        mask = visible.repeat_interleave(side, 2).repeat_interleave(side, 3)
        x = x * mask
        for block in blocks.children():
            x = masked_block(block, x, mask)
    x = model.proj(x) * visible + model.mask_token * (1 - visible)
    return model.pred(model.decoder(x)).flatten(2).transpose(1, 2)


def masked_block(block: Block, x: Tensor, mask: Tensor) -> Tensor:
    """Run a block on maps (b, c, h, w) that are zero where the mask (b, 1, h, w) is; so is what it returns."""
    y = block.mix(x).permute(0, 2, 3, 1)  # b c h w -> b h w c
    y = block.act(block.pwconv1(block.norm(y)))
    if isinstance(block.grn, GRN):
        y = block.grn(y * mask.permute(0, 2, 3, 1))
    y = block.pwconv2(y)
    y = y if block.gamma is None else block.gamma * y
    return (x + y.permute(0, 3, 1, 2)) * mask


def whole_images(model: MaskedConvNeXt, images: Tensor, hidden: Tensor) -> Tensor:
    """Predict with nothing hidden from the network."""
    x = model.proj(model.encoder.forward_features(images))
    return model.pred(model.decoder(x)).flatten(2).transpose(1, 2)


WAYS: dict[str, Predict] = {OURS: visible_cells, DENSE: dense_masking, WHOLE: whole_images}


def gradients(predict: Predict, model: MaskedConvNeXt, images: Tensor, hidden: Tensor) -> Tensor:
    """Predict, and leave the gradients of the loss in the model. Returns the predictions."""
    model.zero_grad()
    predictions = predict(model, images, hidden)
    masked_loss(predictions, images, hidden, model.cell, norm_pixels=True).backward()
    return predictions.detach()


def training_step(predict: Predict, model: MaskedConvNeXt, images: Tensor, hidden: Tensor) -> Callable[[], None]:
    """Return a call that trains a model on a batch."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        gradients(predict, model, images, hidden)
        optimizer.step()

    return step


def largest_difference(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference, relative to the largest value."""
    return float((found - expected).abs().max() / expected.abs().max())


def differences(model: MaskedConvNeXt, images: Tensor, hidden: Tensor) -> dict[str, float]:
    """Return how far predictions and gradients on visible cells are from those of dense masking."""
    dense = copy.deepcopy(model)
    ours = gradients(visible_cells, model, images, hidden)
    theirs = gradients(dense_masking, dense, images, hidden)
    of_gradients = [
        largest_difference(one.grad, other.grad)
        for one, other in zip(model.parameters(), dense.parameters(), strict=True)
        if one.grad is not None and other.grad is not None
    ]
    return {"difference of predictions": largest_difference(ours, theirs), "difference of gradients": max(of_gradients)}


def measure(name: str, batch: int, size: int, rounds: int) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Return seconds of a step by round of each way, and ratios, memory and differences."""
    torch.manual_seed(0)
    encoder = create_model(name)
    assert isinstance(encoder, ConvNeXt)
    model = MaskedConvNeXt(encoder).to(memory_format=torch.channels_last)
    for module in model.modules():
        if isinstance(module, GRN):  # starts at zero, as if it were not there
            nn.init.normal_(module.gamma, std=0.5)
    images = torch.randn(batch, 3, size, size).to(memory_format=torch.channels_last)
    hidden = random_cells(torch.rand(batch, (size // model.cell) ** 2), SHARE)
    numbers = differences(model, images, hidden)
    calls = {way: training_step(predict, copy.deepcopy(model), images, hidden) for way, predict in WAYS.items()}
    seconds = time_in_turns(calls, CPU, rounds=rounds, turn_s=0, name=name)
    for way, call in calls.items():
        numbers[f"{way}, images/s"] = batch / statistics.median(seconds[way])
        numbers[f"{way}, bytes"] = float(transient_bytes(call, CPU) or 0)
    for way in (DENSE, WHOLE):
        ratio = speed_ratio(seconds[OURS], seconds[way])
        numbers |= {f"speed over {way}, {part}": getattr(ratio, part) for part in ("median", "low", "high")}
        numbers[f"memory over {way}"] = numbers[f"{OURS}, bytes"] / max(numbers[f"{way}, bytes"], 1)
    return seconds, numbers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for the record")
    parser.add_argument("--models", nargs="+", default=["convnextv2_atto", "convnextv2_nano"])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    metrics: dict[str, float] = {}
    history: list[dict[str, float]] = [{} for _ in range(options.rounds)]
    for name in options.models:
        seconds, numbers = measure(name, options.batch, options.size, options.rounds)
        for key, number in numbers.items():
            print(f"{f'{name}, {key}':60} {number:.4g}")
        metrics |= {f"{name}, {key}": number for key, number in numbers.items()}
        for way, each in seconds.items():
            for row, value in zip(history, each, strict=True):
                row[f"{name}, {way}, seconds"] = value
    if options.out is None:
        return
    record = Record(
        kind="masked_convnext",
        name="FCMAE on visible cells against dense masking and whole images",
        settings={
            "models": options.models,
            "batch": options.batch,
            "size": options.size,
            "hidden": SHARE,
            "rounds": options.rounds,
        },
        metrics=metrics,
        history=history,
        environment=environment(f"CPU, {options.threads} threads"),
    )
    record.write(options.out / RECORD_NAME)


if __name__ == "__main__":
    main()
