"""Compare optimized networks on this CPU with other runtimes, in every precision.

    uv run --group neighbours python benchmarks/cpu_precision.py --out benchmarks/results/cpu-mine-precision
    uv run --group neighbours python benchmarks/cpu_precision.py --out benchmarks/results/cpu-mine-precision \\
        --networks efficientnet_lite0 --weights timm_tf_efficientnet_lite0.safetensors --data imagenet_like_400

Parts: `speed`, all ways in turns; `busy`, the same while another process keeps one of the cores busy; `time`, how long
`optimize` takes, and to load what it saved (benchmarks/optimizing.py); `train`, training steps of ConvNeXt-T in
bfloat16. One part of one network at one batch size takes less than ten minutes on two cores. What cannot be measured is
a line of its own, and the rest goes on.

Weights are random, except those of `--weights`. Only a trained network's answers can be right, so accuracy is of that
one, on images of `--data` by which nothing was chosen or calibrated; of the others, reduced precision is accepted as it
is, and its error is stated.
"""

from __future__ import annotations

import argparse
import itertools
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import torch
from cpu_networks import NETWORKS, Photos, Subject, judge, make_noise, make_subject, read_photos, scores_of
from neighbours import NEIGHBOURS, Run, Way
from optimizing import measure_optimizing
from torch import Tensor

from modernet import benchmark_models, optimize, progress
from modernet.deploy.running.optimized import OptimizedNetwork
from modernet.errors import InputError, one_line
from modernet.machine.device import check_threads, describe
from modernet.machine.instructions import processor_class
from modernet.machine.timing import Ratio, rounds_in_turns, speed_ratio
from modernet.records import RECORD_NAME, Record, environment
from modernet.torch_internals import has_bfloat16, with_recompile_limit

CPU = torch.device("cpu")
PARTS = ("speed", "busy", "time", "train")
OURS = "modernet.optimize"
_ANY = 1e-6
"""Share of equal answers that is asked of an untrained network: its answers mean nothing."""
WARM_UP = 3
BUSY = "while busy: "


def ours(precision: str, seconds: float) -> Way:
    """Return `modernet.optimize` in a precision as a way among the others."""

    def prepare(subject: Subject) -> Run:
        photos = subject.photos
        if precision == "exact":
            return optimize(subject.modernet, subject.images, seconds=seconds)
        if precision == "cast":
            return optimize(subject.modernet, subject.images, seconds=seconds, dtype=torch.bfloat16)
        judged = {"labels": photos.tuning_labels} if subject.trained else {"agreement": _ANY}
        return optimize(
            subject.modernet, photos.tuning, batch=subject.batch, seconds=seconds, precision=precision, **judged
        )

    return Way(OURS, precision, prepare)


def prepare(ways: list[Way], subject: Subject) -> tuple[dict[Way, Run], dict[str, float], dict[str, str]]:
    """Return the ways that run, the seconds that each took to prepare, and why the others do not run."""
    running, seconds, skipped = {}, {}, {}
    for way in progress.track(ways, "preparing", len(ways)):
        skipped[str(way)] = way.missing()
        if way.precision in ("bf16", "cast") and not has_bfloat16(CPU):
            skipped[str(way)] = "this processor has no arithmetic for bfloat16"
        if skipped[str(way)]:
            continue
        start = time.perf_counter()
        try:
            run = way.prepare(subject)
            run(subject.images)
        except Exception as error:  # whatever another runtime raises
            skipped[str(way)] = one_line(error, with_type=True)
        else:
            running[way], seconds[str(way)] = run, time.perf_counter() - start
    return running, seconds, {way: why for way, why in skipped.items() if why}


@contextmanager
def busy_core() -> Iterator[Callable[[Callable[[], object]], object]]:
    """Give a function that makes a call while another process keeps one of the cores of this one busy."""
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])

    def while_busy(call: Callable[[], object]) -> object:
        other.send_signal(signal.SIGCONT)
        try:
            return call()
        finally:
            other.send_signal(signal.SIGSTOP)

    try:
        other.send_signal(signal.SIGSTOP)
        os.sched_setaffinity(other.pid, {min(os.sched_getaffinity(0))})
        yield while_busy
    finally:
        other.kill()
        other.wait()


def measure_network(name: str, subject: Subject, *, rounds: int, busy: bool, seconds: float) -> Record:
    """Time all ways to run a network in turns, and judge their answers by those of timm's network."""
    ways = [*(ours(each, seconds) for each in ("exact", "bf16", "int8", "auto", "cast")), *NEIGHBOURS]
    running, prepared_s, skipped = prepare(ways, subject)
    batches = itertools.cycle(subject.calibration)

    def step(run: Run) -> Tensor:
        with torch.no_grad():
            return run(next(batches))

    calls: dict[str, Callable[[], object]] = {str(way): partial(step, run) for way, run in running.items()}
    with ExitStack() as stack:
        if busy:
            while_busy = stack.enter_context(busy_core())
            calls |= {BUSY + key: partial(while_busy, call) for key, call in calls.items()}
        turns = rounds_in_turns(calls, CPU, rounds=rounds, turn_s=1.0, warm_up=WARM_UP, name=name)
        history = list(turns)
    times = {key: [row[key] for row in history] for key in calls}
    metrics = {f"images/s: {key}": subject.batch / statistics.median(values) for key, values in times.items()}
    metrics |= {f"seconds to prepare: {key}": value for key, value in prepared_s.items()}
    exact = scores_of(subject.timm, subject)
    for way, run in running.items():
        metrics |= {f"{what}: {way}": value for what, value in judge(scores_of(run, subject), exact, subject).items()}
        if busy:
            metrics |= _with_ends(f"share while busy: {way}", speed_ratio(times[f"{BUSY}{way}"], times[str(way)]))
    pairs = compared({way: statistics.median(times[str(way)]) for way in running})
    for key, (one, other) in pairs.items():
        metrics |= _with_ends(f"ratio: {key}", speed_ratio(times[str(one)], times[str(other)]))
    return Record(
        kind="cpu precision",
        name=f"{NETWORKS[name].title}, batch {subject.batch}",
        settings={
            "network": name,
            "batch": subject.batch,
            "image_size": subject.images.shape[-1],
            "rounds": rounds,
            "seconds": seconds,
            "processor": processor_class(),
            "images": {"tuning": len(subject.photos.tuning), "test": len(subject.photos.test)},
            "trained": subject.trained,
            "chosen": {
                str(way): str(run.report.chosen) for way, run in running.items() if isinstance(run, OptimizedNetwork)
            },
            "compared": {key: [str(one), str(other)] for key, (one, other) in pairs.items()},
            "skipped": skipped,
        },
        metrics=metrics,
        history=history,
        environment=environment(describe(CPU, torch.get_num_threads())),
    )


def compared(seconds: Mapping[Way, float]) -> dict[str, tuple[Way, Way]]:
    """Return the two ways that each comparison is of: one of ours, and the fastest of those that it competes with."""

    def fastest(precisions: tuple[str, ...], *, of_ours: bool) -> list[Way]:
        found = [way for way in seconds if way.precision in precisions and (way.runtime == OURS) == of_ours]
        return sorted(found, key=seconds.__getitem__)[:1]

    exact, auto, cast = (fastest((each,), of_ours=True) for each in ("exact", "auto", "cast"))
    int8, float32 = fastest(("int8",), of_ours=True), fastest(("float32",), of_ours=False)
    others = fastest(("float32", "bf16", "int8"), of_ours=False)
    pairs = {
        "float32 against the best other": (exact, float32),
        "any precision against the best other in any": (auto, others),
        "reduced against float32": (auto, exact),
        "reduced against a cast to bfloat16": (auto, cast),
        "int8 against the best float32": (int8, sorted([*exact, *float32], key=seconds.__getitem__)[:1]),
    }
    return {key: (*one, *other) for key, (one, other) in pairs.items() if one and other}


def lines_of(record: Record) -> list[str]:
    """Return what a record of `measure_network` says."""
    metrics, lines = record.metrics, [record.name]
    ways = [key.removeprefix("seconds to prepare: ") for key in metrics if key.startswith("seconds to prepare: ")]
    forms = {"% top-1": ".1f", "points lost": "+.1f", "relative error": ".1e", "share while busy": ".2f"}
    for way in sorted(ways, key=lambda way: -metrics[f"images/s: {way}"]):
        known = [
            f"{what} {metrics[f'{what}: {way}']:{form}}" for what, form in forms.items() if f"{what}: {way}" in metrics
        ]
        lines.append(f"{metrics[f'images/s: {way}']:8.1f} images/s  {way:28s} {', '.join(known)}")
    for key, (one, other) in record.settings["compared"].items():
        ratio, low, high = (metrics[f"ratio: {key}{end}"] for end in ("", ", low", ", high"))
        lines.append(f"{ratio:.2f}x [{low:.2f}, {high:.2f}]  {key}: {one} against {other}")
    return [*lines, *(f"not measured: {way}: {why}" for way, why in record.settings["skipped"].items())]


def _with_ends(name: str, ratio: Ratio) -> dict[str, float]:
    return {name: ratio.median, f"{name}, low": ratio.low, f"{name}, high": ratio.high}


def measure_training(folder: Path, batch: int, rounds: int) -> list[str]:
    """Time training steps of ConvNeXt-T in bfloat16, compiled, against float32 and against timm's."""
    models, dtypes = ("convnext_tiny", "timm:convnext_tiny"), ("bfloat16", "float32")
    records = benchmark_models(
        models, modes=("train",), dtypes=dtypes, compile_modes=("default",), batch=batch, device="cpu",
        rounds=rounds, turn_s=1.0, folder=folder,
    )  # fmt: skip
    times = [[row["seconds"] for row in record.history] for record in records]
    names = [f"{record.name} {record.settings['dtype']}" for record in records]
    lines = [
        f"not measured: {name}: {record.error}" for name, record in zip(names, records, strict=True) if record.error
    ]
    for name, values, record in zip(names[1:], times[1:], records[1:], strict=True):
        if records[0].error is None and record.error is None:
            ratio = speed_ratio(times[0], values)
            lines.append(
                f"{ratio.median:.2f}x [{ratio.low:.2f}, {ratio.high:.2f}]  training, {names[0]} against {name}"
            )
    return lines


def measure(options: argparse.Namespace, photos: Photos) -> Iterator[str]:
    """Carry out the parts, write their records, and yield what they say."""
    for name, batch in itertools.product(options.networks, options.batch):
        folder = options.out / f"{name}-{batch}"
        if {"speed", "busy"} & set(options.parts):
            subject = make_subject(name, batch, photos, options.weights)
            busy = "busy" in options.parts
            record = measure_network(name, subject, rounds=options.rounds, busy=busy, seconds=options.seconds)
            record.write(folder / "speed" / RECORD_NAME)
            yield from lines_of(record)
        if "time" in options.parts:
            record = measure_optimizing(NETWORKS[name].modernet, batch)
            record.write(folder / "time" / RECORD_NAME)
            yield from (f"{value:8.2f}  {key}" for key, value in record.metrics.items())
    if "train" in options.parts:
        if not has_bfloat16(CPU):
            yield "not measured: training in bfloat16: this processor has no arithmetic for it"
        else:
            yield from measure_training(options.out / "train", max(options.batch), options.rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the records")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--batch", type=int, nargs="+", default=[8, 1])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--weights", type=Path, help="trained weights of efficientnet_lite0, with timm's names")
    parser.add_argument("--data", help="photos by class of ImageNet")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=60.0, help="that each call of optimize gets")
    options = parser.parse_args()
    if (options.weights is None) != (options.data is None):
        parser.error("--weights and --data belong together: give both or none")
    torch.set_num_threads(check_threads(None))
    with progress.shown(), with_recompile_limit(1000):
        try:
            photos = make_noise() if options.data is None else read_photos(options.data, options.weights)
        except InputError as error:
            parser.error(str(error))
        for line in measure(options, photos):
            print(line, flush=True)


if __name__ == "__main__":
    main()
