"""Compare the S4D layer with a plain reading of its published code, and its two forms with each other, on this CPU.

    uv run python benchmarks/s4d_layer.py --out benchmarks/results/my-cpu-sequences

Training: forward and backward of one layer, 8 sequences of 4,096 steps and 256 channels, with the minimal layer of the
paper: a diagonal A for each channel, kernel, GELU, gated linear layer. The plain reading writes the Vandermonde matrix
out and transforms all sequences at once. Each side has its own layout, (b, c, n) or (b, n, c). Outputs and
gradients are compared first. Inference: one more step of a sequence, by the recurrence, against the convolution of all
1,024 steps.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.data.sequences.inputs import SequenceInputs
from modernet.machine.memory import transient_bytes
from modernet.machine.timing import Ratio, rounds_in_turns, speed_ratio
from modernet.records import RECORD_NAME, Record, environment
from modernet.sequences.s4 import S4DConfig, StateSpaceMixer

BATCH, LENGTH, WIDTH, STATE, STEPS = 8, 4096, 256, 64, 1024
CPU = torch.device("cpu")
OURS, PLAIN = "modernet", "plain"
STEP, AGAIN = "a step", "the convolution again"


class PlainS4D(nn.Module):
    """S4D as its paper writes it, with the parameters of one of ours. (b, c, n) in and out."""

    def __init__(self, layer: StateSpaceMixer) -> None:
        super().__init__()
        kernel = layer.kernel
        self.log_dt, self.log_decay, self.frequency = (
            nn.Parameter(x.detach().clone()) for x in (kernel.log_dt, kernel.log_decay, kernel.frequency)
        )
        self.c = nn.Parameter(kernel.c.detach()[0].unflatten(-1, (-1, 2)).clone())
        self.d = nn.Parameter(layer.d.detach().clone())
        self.output = nn.Conv1d(WIDTH, 2 * WIDTH, 1)
        self.output.load_state_dict({"weight": layer.output.weight[..., None], "bias": layer.output.bias})

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[-1]
        a = torch.complex(-self.log_decay.exp(), self.frequency)
        dt_a = a * self.log_dt.exp()[:, None]
        vandermonde = (dt_a[..., None] * torch.arange(length)).exp()  # c n l
        weights = torch.view_as_complex(self.c) * (dt_a.exp() - 1) / a
        kernel = 2 * torch.einsum("cn,cnl->cl", weights, vandermonde).real
        spectrum = torch.fft.rfft(x, n=2 * length) * torch.fft.rfft(kernel, n=2 * length)
        y = torch.fft.irfft(spectrum, n=2 * length)[..., :length] + self.d[:, None] * x
        return F.glu(self.output(F.gelu(y)), dim=1)


def training_step(layer: nn.Module, x: Tensor, grad: Tensor, *mask: None) -> Callable[[], Tensor]:
    """Return a call that computes the output and all gradients."""

    def step() -> Tensor:
        layer.zero_grad()
        x.grad = None
        y: Tensor = layer(x, *mask)
        y.backward(grad)
        return y.detach()

    return step


def compare(calls: dict[str, Callable[[], object]], rounds: int, turn_s: float) -> dict[str, list[float]]:
    """Return the seconds of a call in each round."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in rounds_in_turns(calls, CPU, rounds=rounds, turn_s=turn_s, name="measuring"):
        for name, each in round_.items():
            seconds[name].append(each)
    return seconds


def largest_difference(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference, relative to the largest value."""
    return float((found - expected).abs().max() / expected.abs().max())


def training(rounds: int) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Return seconds by round, and memory and differences."""
    config = S4DConfig(width=WIDTH, state=STATE, start="lin", systems=None, learn_b=False, causal=True)
    layer = config.mixer(SequenceInputs(LENGTH), 0)
    plain = PlainS4D(layer)
    x, grad = torch.randn(2, BATCH, LENGTH, WIDTH)
    x_plain = x.transpose(1, 2).contiguous().requires_grad_()
    grad_plain = grad.transpose(1, 2).contiguous()
    calls = {
        OURS: training_step(layer, x.requires_grad_(), grad, None),
        PLAIN: training_step(plain, x_plain, grad_plain),
    }
    numbers = {"difference of outputs": largest_difference(calls[OURS](), calls[PLAIN]().transpose(1, 2))}
    assert x.grad is not None
    assert x_plain.grad is not None
    assert layer.kernel.frequency.grad is not None
    assert plain.frequency.grad is not None
    numbers["difference of gradients of x"] = largest_difference(x.grad, x_plain.grad.transpose(1, 2))
    numbers["difference of gradients of A"] = largest_difference(layer.kernel.frequency.grad, plain.frequency.grad)
    for name, call in calls.items():
        layer.zero_grad()
        plain.zero_grad()
        x.grad = x_plain.grad = None
        numbers[f"{name}, bytes"] = float(transient_bytes(call, CPU) or 0)
    return compare(calls, rounds, 0), numbers


@torch.inference_mode()
def inference(rounds: int) -> dict[str, list[float]]:
    """Return seconds by round of one more step of a single sequence."""
    layer = S4DConfig(width=WIDTH, state=STATE, causal=True).mixer(SequenceInputs(STEPS), 0).eval()
    x, state = torch.randn(1, STEPS, WIDTH), layer.initial_state(1)
    for t in range(STEPS):
        y, after = layer.step(x[:, t], state)
        state = after if t + 1 < STEPS else state
    difference = largest_difference(y, layer(x, None)[:, -1])
    assert difference < 1e-3, f"the two forms differ by {difference}"
    return compare({STEP: lambda: layer.step(x[:, -1], state), AGAIN: lambda: layer(x, None)[:, -1]}, rounds, 0.25)


def text(name: str, ratio: Ratio) -> str:
    """Return a line of the table."""
    return f"{name:40} {ratio.median:8.2f}x [{ratio.low:.2f}, {ratio.high:.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for the record")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)

    seconds, numbers = training(options.rounds)
    seconds |= inference(options.rounds)
    ratios = {
        "training": speed_ratio(seconds[OURS], seconds[PLAIN]),
        "inference": speed_ratio(seconds[STEP], seconds[AGAIN]),
    }
    numbers["memory ratio"] = numbers[f"{OURS}, bytes"] / max(numbers[f"{PLAIN}, bytes"], 1)
    for name, each in seconds.items():
        print(f"{name:40} {1e3 * statistics.median(each):8.2f} ms")
    for name, ratio in ratios.items():
        print(text(name, ratio))
    for name, number in numbers.items():
        print(f"{name:40} {number:.3g}")
    if options.out is None:
        return
    metrics = {
        f"{name}, {part}": getattr(ratio, part) for name, ratio in ratios.items() for part in ("median", "low", "high")
    }
    metrics |= numbers | {f"{name}, seconds": statistics.median(each) for name, each in seconds.items()}
    record = Record(
        kind="s4d_layer",
        name="the S4D layer against a plain reading of its code, and a step against the convolution",
        settings={
            "batch": BATCH,
            "length": LENGTH,
            "width": WIDTH,
            "state": STATE,
            "steps": STEPS,
            "rounds": options.rounds,
        },
        metrics=metrics,
        history=[{name: each[number] for name, each in seconds.items()} for number in range(options.rounds)],
        environment=environment(f"CPU, {options.threads} threads"),
    )
    record.write(options.out / RECORD_NAME)


if __name__ == "__main__":
    main()
