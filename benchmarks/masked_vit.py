"""Compare training steps of MAE with steps of the same encoder on whole images, on this CPU.

    uv run python benchmarks/masked_vit.py --out benchmarks/results/my-cpu-pretraining/mae

ViT-S/16 at 224 pixels, 75 % of the patches hidden; a step is forward pass, loss, backward pass and AdamW's update, in
float32. "Whole images" means that the encoder sees all patches: once with the same decoder, as the paper compares
(table 1c, "encoder with [M]"), and once as a classifier without decoder. Decoders: the published one, 8 blocks of 512
channels, which is made for ViT-L and has as many weights as ViT-S itself; and 2 blocks of 256, which are to ViT-S what
the published one is to ViT-L, a twelfth of the encoder's weights.
"""

from __future__ import annotations

import argparse
import gc
import statistics
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.machine.memory import transient_bytes
from modernet.machine.timing import speed_ratio, time_in_turns
from modernet.models import create_model
from modernet.models.vit import VisionTransformer
from modernet.pretraining.mae import MaskedViT
from modernet.pretraining.masked import masked_loss, random_cells
from modernet.records import RECORD_NAME, Record, environment

MODEL, SIZE, CELLS, SHARE, CLASSES = "vit_small_patch16", 224, 196, 0.75, 1000
DECODERS = ((8, 512), (2, 256))
CLASSIFIER = "whole images, a classifier"
CPU = torch.device("cpu")


def decoder(depth: int, dim: int) -> str:
    """Return the name of a decoder."""
    return f"decoder of {depth} x {dim}"


def training_step(network: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], None]:
    """Return a call that updates a network once."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, 1e-6, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def masked_steps(images: Tensor, depth: int, dim: int) -> dict[str, Callable[[], None]]:
    """Return the steps of MAE on a batch with a decoder: with hidden patches, and with none."""
    encoder = create_model(MODEL)
    assert isinstance(encoder, VisionTransformer)
    network = MaskedViT(encoder, decoder_dim=dim, decoder_depth=depth)
    hidden = random_cells(torch.rand(len(images), CELLS), SHARE)
    none, every = torch.zeros_like(hidden), torch.ones_like(hidden)

    def loss(hides: Tensor, counts: Tensor) -> Tensor:
        return masked_loss(network(images, hides), images, counts, network.cell, norm_pixels=True)

    return {
        f"75 % hidden, {decoder(depth, dim)}": training_step(network, lambda: loss(hidden, hidden)),
        f"whole images, {decoder(depth, dim)}": training_step(network, lambda: loss(none, every)),
    }


def measure(batch: int, rounds: int, threads: int) -> Record:
    """Measure all steps in turns, and print them."""
    images, classes = torch.randn(batch, 3, SIZE, SIZE), torch.randint(CLASSES, (batch,))
    classifier = create_model(MODEL, num_classes=CLASSES)
    steps = {CLASSIFIER: training_step(classifier, lambda: F.cross_entropy(classifier(images), classes))}
    for depth, dim in DECODERS:
        steps |= masked_steps(images, depth, dim)
    memory = {}
    for name, step in steps.items():
        step()  # so that the optimizer's state is not counted
        gc.collect()
        memory[name] = float(transient_bytes(step, CPU) or 0)
    seconds = time_in_turns(steps, CPU, rounds=rounds, turn_s=0, warm_up=1, name="measuring")

    metrics: dict[str, float] = {}
    for name, each in seconds.items():
        metrics |= {f"{name}, images/s": batch / statistics.median(each), f"{name}, bytes": memory[name]}
        print(f"{name:44} {metrics[f'{name}, images/s']:8.2f} images/s {memory[name] / 2**20:8.0f} MiB")
    for depth, dim in DECODERS:
        masked, whole = f"75 % hidden, {decoder(depth, dim)}", f"whole images, {decoder(depth, dim)}"
        for what, other in (("the same decoder", whole), ("a classifier", CLASSIFIER)):
            name, ratio = f"{decoder(depth, dim)}, against {what}", speed_ratio(seconds[masked], seconds[other])
            metrics |= {f"{name}, {part}": getattr(ratio, part) for part in ("median", "low", "high")}
            metrics[f"{name}, memory ratio"] = memory[masked] / max(memory[other], 1.0)
            print(f"{name:44} {ratio.median:8.2f}x [{ratio.low:.2f}, {ratio.high:.2f}]")
    return Record(
        kind="masked_vit",
        name="MAE with hidden patches against the same encoder on whole images",
        settings={"model": MODEL, "size": SIZE, "mask_ratio": SHARE, "batch": batch, "rounds": rounds},
        metrics=metrics,
        history=[{name: each[number] for name, each in seconds.items()} for number in range(rounds)],
        environment=environment(f"CPU, {threads} threads"),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for the record")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    record = measure(options.batch, options.rounds, options.threads)
    if options.out is not None:
        record.write(options.out / RECORD_NAME)


if __name__ == "__main__":
    main()
