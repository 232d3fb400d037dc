"""Compare A-SCN with a plain reading of its release on this CPU: time and memory of training.

    uv run python benchmarks/point_attention.py --out benchmarks/results/my-cpu-points

Forward and backward of the classifier of 40 classes, 8 clouds of 1,024 points. The plain reading is what the release
writes, in PyTorch: convolutions of 1 x 1 on (b, c, n, 1), and the weights of all pairs of points in memory. Both have
the same parameters and no dropout. Outputs and gradients are compared first.
"""

from __future__ import annotations

import argparse
import copy
import statistics
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from modernet.data.points.inputs import PointInputs
from modernet.machine.memory import transient_bytes
from modernet.machine.timing import speed_ratio, time_in_turns
from modernet.points.ascn import Stage
from modernet.points.heads import CloudClassifier
from modernet.points.zoo import create_point_model
from modernet.records import RECORD_NAME, Record, environment

BATCH, POINTS, CLASSES = 8, 1024, 40
CPU = torch.device("cpu")
OURS, PLAIN = "modernet", "plain"


def convolution(layers: nn.Sequential, activation: nn.Module | None = None) -> nn.Sequential:
    """Return a dense layer of ours as a convolution of 1 x 1, with parameters of its own. (b, c, n, 1) in and out."""
    linear, norm = layers[0], layers[1].norm
    assert isinstance(linear, nn.Linear)
    assert isinstance(norm, nn.BatchNorm1d)
    made = nn.Conv2d(linear.in_features, linear.out_features, 1)  # its bias is the release's, and BatchNorm removes it
    made.load_state_dict({"weight": linear.weight[..., None, None], "bias": torch.zeros(linear.out_features)})
    batch_norm = nn.BatchNorm2d(norm.num_features, eps=norm.eps)
    batch_norm.load_state_dict(norm.state_dict())
    return nn.Sequential(made, batch_norm, *([] if activation is None else [activation]))


class PlainStage(nn.Module):
    """A stage as the release writes it. (b, c, n, 1) in and out."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.heads = stage.heads
        self.q, self.k, self.v = (convolution(layers) for layers in (stage.q, stage.k, stage.v))  # type: ignore[arg-type]
        self.out, self.transform = convolution(stage.out, nn.ReLU()), convolution(stage.transform, nn.ReLU())
        activations = (nn.ReLU(), nn.ReLU(), nn.Sigmoid())
        self.gate = nn.Sequential(*map(convolution, stage.gate, activations))  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            layers(x)[..., 0].mT.unflatten(-1, (self.heads, -1)).transpose(1, 2) for layers in (self.q, self.k, self.v)
        )  # b h n d
        weights = torch.softmax(q * q.shape[-1] ** -0.5 @ k.mT, -1)
        y, v = ((z.transpose(1, 2).flatten(2).mT[..., None]) for z in (weights @ v, v))  # b c n 1
        y = self.transform(self.out(y) + v)
        gated: Tensor = y * self.gate(y)
        return gated


class PlainClassifier(nn.Module):
    """The classifier as the release writes it. (b, n, 3) -> (b, k)."""

    def __init__(self, network: CloudClassifier) -> None:
        super().__init__()
        self.stages = nn.Sequential(*map(PlainStage, network.encoder.stages))  # type: ignore[arg-type]
        self.head = copy.deepcopy(network.head)

    def forward(self, points: Tensor) -> Tensor:
        logits: Tensor = self.head(self.stages(points.mT[..., None]).amax((2, 3)))
        return logits


def training_step(network: nn.Module, x: Tensor, grad: Tensor) -> Callable[[], Tensor]:
    """Return a call that computes the output and all gradients."""

    def step() -> Tensor:
        network.zero_grad()
        y: Tensor = network(x)
        y.backward(grad)  # type: ignore[no-untyped-call]
        return y.detach()

    return step


def largest_difference(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference, relative to the largest value."""
    return float((found - expected).abs().max() / expected.abs().max())


def layers_of(network: nn.Module) -> list[nn.Module]:
    """Return the layers that have parameters, in the order in which both networks have them."""
    return [layer for layer in network.modules() if next(layer.parameters(recurse=False), None) is not None]


def differences(ours: nn.Module, plain: nn.Module) -> dict[str, float]:
    """Compare outputs and the gradients of all weights, in double precision, on 2 clouds."""
    ours, plain = copy.deepcopy(ours).double(), copy.deepcopy(plain).double()
    x, grad = torch.randn(2, POINTS, 3, dtype=torch.float64), torch.randn(2, CLASSES, dtype=torch.float64)
    output = largest_difference(training_step(ours, x, grad)(), training_step(plain, x, grad)())
    worst = 0.0
    for one, other in zip(layers_of(ours), layers_of(plain), strict=True):
        found, expected = one.weight.grad, other.weight.grad
        assert isinstance(found, Tensor)
        assert isinstance(expected, Tensor)
        worst = max(worst, largest_difference(found, expected.view(found.shape)))
    assert max(output, worst) < 1e-6, f"outputs differ by {output}, gradients by {worst}"
    return {"difference of outputs": output, "difference of gradients": worst}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for the record")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)

    ours = create_point_model("ascn", PointInputs(POINTS), CLASSES)
    assert isinstance(ours, CloudClassifier)
    for module in ours.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0
    plain = PlainClassifier(ours)
    numbers = differences(ours, plain)
    x, grad = torch.randn(BATCH, POINTS, 3), torch.randn(BATCH, CLASSES)
    calls = {OURS: training_step(ours, x, grad), PLAIN: training_step(plain, x, grad)}
    for name, call in calls.items():
        call()  # the allocator's first touch of memory, and gradients
        numbers[f"{name}, bytes"] = float(transient_bytes(call, CPU) or 0)
    numbers["memory ratio"] = numbers[f"{OURS}, bytes"] / max(numbers[f"{PLAIN}, bytes"], 1)
    seconds = time_in_turns(calls, CPU, rounds=options.rounds, turn_s=0, name="measuring")

    ratio = speed_ratio(seconds[OURS], seconds[PLAIN])
    for name, each in seconds.items():
        print(f"{name:40} {1e3 * statistics.median(each):8.2f} ms")
    print(f"{'training':40} {ratio.median:8.2f}x [{ratio.low:.2f}, {ratio.high:.2f}]")
    for name, number in numbers.items():
        print(f"{name:40} {number:.3g}")
    if options.out is None:
        return
    metrics = {f"training, {part}": getattr(ratio, part) for part in ("median", "low", "high")}
    metrics |= numbers | {f"{name}, seconds": statistics.median(each) for name, each in seconds.items()}
    record = Record(
        kind="point_attention",
        name="A-SCN against a plain reading of its release: forward and backward of the classifier",
        settings={"batch": BATCH, "points": POINTS, "classes": CLASSES, "rounds": options.rounds},
        metrics=metrics,
        history=[{name: each[number] for name, each in seconds.items()} for number in range(options.rounds)],
        environment=environment(f"CPU, {options.threads} threads"),
    )
    record.write(options.out / RECORD_NAME)


if __name__ == "__main__":
    main()
