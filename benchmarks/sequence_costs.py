"""Measure time and memory of one layer of every sequence model over the length, next to softmax attention.

    uv run python benchmarks/sequence_costs.py --out benchmarks/results/my-cpu-sequences

A layer is an encoder of one block: mixing, MLP and norms, 128 channels, 4 heads, with the published knobs of the model
(rank, features, landmarks, ...), on sequences without padding. At each length all layers take turns, in training
(forward and backward, gradients of input and parameters) and in inference; peak memory is what one step needs above
what was there before. Softmax attention runs through `scaled_dot_product_attention`, which does not store its weights.

Attention alone, from given queries, keys and values, is timed for Linear, Performer and Nystromformer against softmax
attention, also on short sequences: their ratios, and where they cross.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from modernet import progress
from modernet.data.sequences.inputs import SequenceInputs
from modernet.machine.device import check_threads, choose_device, describe
from modernet.machine.memory import is_out_of_memory, memory_limit, release, transient_bytes
from modernet.machine.timing import rounds_in_turns, speed_ratio
from modernet.records import RECORD_NAME, Record, environment
from modernet.sequences.attention import HeadMixer
from modernet.sequences.config import SEQUENCE_MODELS
from modernet.sequences.zoo import sequence_config

SOFTMAX = "transformer"
RIVALS = ("linear", "performer", "nystromformer")
LENGTHS = (1024, 2048, 4096, 8192)
SHORT = (128, 256, 512)
SIZES = {"width": 128, "heads": 4, "mlp_width": 256}
PASSES = {"training": True, "inference": False}
LONGEST_S = 20.0  # a step that took longer is not measured on longer sequences

Call = Callable[[], object]


def step(function: Callable[..., Tensor], tensors: Sequence[Tensor], weights: Sequence[Tensor], training: bool) -> Call:
    """Return a call that runs a function of tensors once, with its backward pass in training."""
    if not training:
        return torch.no_grad()(lambda: function(*tensors))
    leaves = [tensor.detach().requires_grad_() for tensor in tensors]
    gradient = torch.randn_like(tensors[0])

    def run() -> None:
        y = function(*leaves)
        torch.autograd.grad(y, [*leaves, *weights], gradient.to(y.dtype))

    return run


def layer_calls(name: str, n: int, batch: int, device: torch.device) -> dict[str, Call]:
    """Return the two passes of a layer, by name."""
    config = sequence_config(name, **SIZES, depth=1)
    with device:
        layer = config.encoder(SequenceInputs(n, vocabulary=2))
        x = torch.randn(batch, n, config.width)
    calls = {}
    for way, training in PASSES.items():
        calls[f"{way}: {name}"] = step(_in_mode(layer, training), [x], list(layer.parameters()), training)
    return calls


def _in_mode(layer: nn.Module, training: bool) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        y: Tensor = layer.train(training)(x, None)
        return y

    return run


def attention_calls(name: str, n: int, batch: int, device: torch.device) -> dict[str, Call]:
    """Return the two passes of attention alone, by name."""
    config = sequence_config(name, **SIZES, depth=1)
    with device:
        mixer = config.mixer(SequenceInputs(n, vocabulary=2), 0)
        tensors = [torch.randn(batch, config.heads, n, config.width // config.heads) for _ in range(3)]
    assert isinstance(mixer, HeadMixer)
    own = [weight for key, weight in mixer.named_parameters() if key.split(".")[0] not in ("qkv", "out")]

    def mix(training: bool) -> Callable[..., Tensor]:
        def run(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            mixer.train(training)
            return mixer.mix(q, k, v, None)

        return run

    return {
        f"{way}, attention alone: {name}": step(mix(training), tensors, own, training)
        for way, training in PASSES.items()
    }


def possible(make: Callable[[], dict[str, Call]], skipped: dict[str, str], name: str) -> dict[str, Call]:
    """Return calls that have run once; none, and why, if memory ran out."""
    try:
        calls = make()
        for call in calls.values():
            call()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        skipped[name] = "out of memory"
        return {}
    return calls


def crossing(lengths: Sequence[int], ratios: Sequence[float]) -> float | None:
    """Return the length from which on a ratio stays above 1, between two measured ones by their logarithms; 0 if it is
    above 1 at every length, None if it is below 1 at the longest.
    """
    slower = [index for index, ratio in enumerate(ratios) if ratio < 1]
    if not slower:
        return 0.0
    last = slower[-1]
    if last == len(ratios) - 1:
        return None
    below, above = math.log(ratios[last]), math.log(ratios[last + 1])
    share = below / (below - above)
    return float(lengths[last] * (lengths[last + 1] / lengths[last]) ** share)


def measure(
    names: Sequence[str], lengths: Sequence[int], batch: int, rounds: int, turn_s: float, device: torch.device
) -> tuple[list[dict[str, float]], dict[str, float], dict[str, str]]:
    """Return the rounds of all lengths, metrics, and what was skipped and why."""
    history: list[dict[str, float]] = []
    metrics: dict[str, float] = {}
    skipped: dict[str, str] = {}
    slow: set[str] = set()
    rivals = [name for name in (SOFTMAX, *RIVALS) if name in names]
    for n in sorted({*SHORT, *lengths}):
        calls: dict[str, Call] = {}
        with memory_limit(device):
            for name in names if n in lengths else ():
                if name in slow:
                    skipped[f"{name}, {n}"] = "too slow"
                    continue
                calls |= possible(partial(layer_calls, name, n, batch, device), skipped, f"{name}, {n}")
            for name in rivals:
                calls |= attention_calls(name, n, batch, device)
            found = list(rounds_in_turns(calls, device, rounds=rounds, turn_s=turn_s, warm_up=1, name=f"{n} steps"))
            history += [{"length": n, **row} for row in found]
            for key, call in calls.items():
                seconds = statistics.median(row[key] for row in found)
                metrics[f"seconds, {key}, {n}"] = seconds
                memory = transient_bytes(call, device)
                if memory is not None:
                    metrics[f"MB, {key}, {n}"] = memory / 1e6
                if seconds > LONGEST_S:
                    slow.add(key.rpartition(": ")[2])
        del calls
        release(device)
    return history, metrics, skipped


def ratios(history: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the speed relative to softmax attention at each length, and the length from which on it is higher."""
    metrics: dict[str, float] = {}
    for way in (*PASSES, *(f"{each}, attention alone" for each in PASSES)):
        for name in RIVALS:
            medians: dict[int, float] = {}
            for n in sorted({int(row["length"]) for row in history}):
                rows = [row for row in history if row["length"] == n]
                if f"{way}: {name}" not in rows[0] or f"{way}: {SOFTMAX}" not in rows[0]:
                    continue
                ours, theirs = ([row[f"{way}: {each}"] for row in rows] for each in (name, SOFTMAX))
                ratio = speed_ratio(ours, theirs)
                medians[n] = ratio.median
                for end, value in (("", ratio.median), (" low", ratio.low), (" high", ratio.high)):
                    metrics[f"ratio{end}, {way}: {name}, {n}"] = value
            crossed = crossing(list(medians), list(medians.values())) if medians else None
            if crossed is not None:
                metrics[f"crossing, {way}: {name}"] = crossed
    return metrics


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the record")
    parser.add_argument("--models", nargs="+", default=list(SEQUENCE_MODELS), help="default: all")
    parser.add_argument("--lengths", nargs="+", type=int, default=list(LENGTHS))
    parser.add_argument("--batch", type=int, default=1, help="sequences of a batch")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--turn-s", type=float, default=0.2, help="seconds of a turn")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="bf16: by autocast")
    parser.add_argument("--device", help="cpu or cuda; default: the GPU if there is one")
    options = parser.parse_args()
    device, threads = choose_device(options.device), check_threads(None)
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    names = [SEQUENCE_MODELS[name].name for name in options.models]
    cast: Any = torch.autocast(device.type, torch.bfloat16) if options.precision == "bf16" else nullcontext()
    with progress.shown(), cast:
        history, metrics, skipped = measure(
            names, options.lengths, options.batch, options.rounds, options.turn_s, device
        )
    metrics |= ratios(history)
    for key, value in metrics.items():
        if key.startswith(("ratio, ", "crossing, ")):
            print(f"{key}: {value:.3g}")
    Record(
        kind="sequence costs",
        name=f"one layer, {options.precision}",
        settings={
            **SIZES, "models": names, "lengths": options.lengths, "short": SHORT, "batch": options.batch,
            "rounds": options.rounds, "precision": options.precision, "skipped": skipped,
        },
        metrics=metrics,
        history=history,
        environment=environment(describe(device, threads)),
    ).write(options.out / RECORD_NAME)  # fmt: skip


if __name__ == "__main__":
    main()
