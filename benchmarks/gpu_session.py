"""Check and time everything of modernet that asks for a GPU, in one run that is made to fit into eight minutes.

    python benchmarks/gpu_session.py                 from the root of the repository, on the machine with the GPU
    python benchmarks/gpu_session.py --rehearse      the same steps on a CPU: tiny, in Triton's interpreter, no results

1. The kernels' tests run on the device, while what will be compiled later is compiled beside them, into torch's cache.
2. Every kernel takes turns with what it replaces: plain PyTorch, and plain PyTorch compiled.
3. Networks take turns with timm's, under the table of step 2.

What comes out lies in benchmarks/results/DEVICE-DATE/: `kernels.json`, a folder of records for each comparison, and
`targets.md`, the targets beside what was measured. `kernels.json` becomes the package's own table, by which
`backend="auto"` decides, with

    python benchmarks/gpu_session.py --adopt benchmarks/results/DEVICE-DATE/kernels.json
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from modernet import kernels, progress
from modernet.benchmark import benchmark_models
from modernet.benchmark.run import default_folder
from modernet.files.atomic import whole_file
from modernet.kernels.backend import Measured, read_measured, set_measured
from modernet.machine.timing import Ratio, speed_ratio, time_in_turns
from modernet.records import Record, environment

ROOT = Path(__file__).resolve().parents[1]
MEASURED = ROOT / "src/modernet/kernels/measured.json"


@dataclass(frozen=True)
class Plan:
    """How large everything is."""

    device: torch.device
    seconds: float
    """For everything; what does not fit in is named, and not measured."""
    kernel_batch: int
    kernel_rounds: int
    stages: tuple[tuple[int, int], ...]
    """Channels and side of the maps that ConvNeXts have."""
    large_kernels: tuple[tuple[int, int, int], ...]
    """Channels, side and kernel size of the large-kernel networks."""
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True)
class Comparison:
    """Networks side by side, and what is hoped for.

    Attributes:
        ours: the network in question.
        theirs: the network it is held against, under every compile mode and layout named here.
        targets: at least so many times the speed of the fastest of theirs, by compile mode.
        absolute: at least so many images a second.
    """

    name: str
    ours: str
    theirs: str
    mode: str
    targets: dict[str, float]
    batch: int
    compile_ours: bool = False
    layouts: tuple[str, ...] = ("channels_last", "contiguous")
    image_size: int = 224
    dtype: str = "bfloat16"
    absolute: float | None = None


def full_plan(device: torch.device, seconds: float) -> Plan:
    infer = {"off": 3.0, "default": 1.8}
    train = {"default": 1.5}
    return Plan(
        device,
        seconds,
        kernel_batch=128,
        kernel_rounds=7,
        stages=((96, 56), (192, 28), (384, 14), (768, 7), (128, 56), (256, 28), (512, 14), (1024, 7)),
        large_kernels=((128, 56, 31), (256, 28, 29), (512, 14, 27), (1024, 7, 13)),
        comparisons=(
            Comparison(
                "convnext_tiny", "optimized:convnext_tiny", "timm:convnext_tiny", "infer", infer, 256, absolute=30_000
            ),
            Comparison(
                "convnext_tiny-train", "benchmarks.with_kernels:convnext_tiny", "timm:convnext_tiny", "train",
                train, 128, compile_ours=True, layouts=("channels_last",),
            ),
            Comparison(
                "convnextv2_tiny", "optimized:convnextv2_tiny", "timm:convnextv2_tiny", "infer", {"default": 1.5}, 256,
                layouts=("channels_last",),
            ),
            Comparison(
                "swin_tiny", "optimized:swin_tiny", "timm:swin_tiny_patch4_window7_224", "infer", {"default": 1.2}, 256,
                layouts=("contiguous",),
            ),
            Comparison(
                "convnext_base", "optimized:convnext_base", "timm:convnext_base", "infer", infer, 128,
                layouts=("channels_last",),
            ),
            Comparison(
                "convnextv2_tiny-train", "benchmarks.with_kernels:convnextv2_tiny", "timm:convnextv2_tiny", "train",
                train, 128, compile_ours=True, layouts=("channels_last",),
            ),
            Comparison(
                "convnext_base-train", "benchmarks.with_kernels:convnext_base", "timm:convnext_base", "train",
                train, 64, compile_ours=True, layouts=("channels_last",),
            ),
            Comparison(
                "convnext_small", "optimized:convnext_small", "timm:convnext_small", "infer", infer, 256,
                layouts=("channels_last",),
            ),
        ),
    )  # fmt: skip


def rehearsal(device: torch.device, seconds: float) -> Plan:
    ours = Comparison(
        "convnext_test", "optimized:convnext_test", "timm:test_convnext", "infer", {"off": 3.0, "default": 1.8}, 2,
        image_size=64, dtype="float32", layouts=("channels_last",), absolute=30_000,
    )  # fmt: skip
    train = Comparison(
        "convnextv2_test-train", "benchmarks.with_kernels:convnextv2_test", "timm:test_convnext2", "train",
        {"default": 1.5}, 2, image_size=64, dtype="float32", layouts=("channels_last",), compile_ours=True,
    )  # fmt: skip
    return Plan(device, seconds, 1, 2, ((24, 5),), ((16, 5, 31),), (ours, train))


# --- 1: the kernels' tests, and compiling ahead ---------------------------------------------------------------------


def check(plan: Plan, until: float, rehearse: bool) -> str:
    """Run the kernels' tests, and compile timm's networks at the same time; returns the last line of the tests."""
    files = sorted(str(path) for path in (ROOT / "tests/kernels").glob("test_*_kernel.py"))
    selected = files[:1] if rehearse else files
    command = [sys.executable, "-m", "pytest", "-q", "-m", "kernel", "-n", "0" if rehearse else "6", *selected]
    tests = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    ahead = [] if rehearse else [_compile_ahead(comparison) for comparison in plan.comparisons[:6]]
    try:
        printed, _ = tests.communicate(timeout=max(until - time.monotonic(), 1))
    except subprocess.TimeoutExpired:
        tests.kill()
        printed = "the tests did not end in time"
    for process in ahead:
        try:
            process.wait(timeout=max(until - time.monotonic(), 1))
        except subprocess.TimeoutExpired:
            process.kill()
    *before, last = printed.strip().splitlines() or [""]
    if tests.returncode != 0:
        print("\n".join(before[-60:]))
    return last


def _compile_ahead(comparison: Comparison) -> subprocess.Popen[bytes]:
    """A process that leaves a network of timm in torch's cache of compiled code."""
    command = [sys.executable, str(Path(__file__)), "--compile-ahead", comparison.name]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def compile_ahead(comparison: Comparison, device: torch.device) -> None:
    """Compile what the comparison compiles of timm's, and forget the times."""
    benchmark_models(
        [comparison.theirs], modes=[comparison.mode], dtypes=[comparison.dtype], layouts=comparison.layouts,
        compile_modes=["default"], batch=comparison.batch, image_size=comparison.image_size, device=str(device),
        rounds=1, turn_s=0.0,
    )  # fmt: skip


# --- 2: kernels -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Problem:
    """A kernel on tensors of one shape.

    Attributes:
        call: the operation, given a backend and the tensors.
        shape: the numbers that `use_triton` looks it up by.
        about: in words, for people.
    """

    kernel: str
    shape: tuple[int, ...]
    about: str
    tensors: tuple[Tensor, ...]
    call: Callable[..., Tensor] = field(repr=False)

    @property
    def positions(self) -> int:
        return self.tensors[0].numel() // self.shape[0]


def problems(plan: Plan, dtype: torch.dtype) -> Iterator[Problem]:
    """Every kernel on every shape of the plan; the largest maps first, where most is to be gained."""
    device, b = plan.device, plan.kernel_batch

    def random(*shape: int, std: float = 1.0) -> Tensor:
        return (torch.randn(shape, device=device) * std).to(dtype)

    def channels_last(c: int, side: int) -> Tensor:
        return random(b, c, side, side).contiguous(memory_format=torch.channels_last)

    def block(c: int, side: int, k: int) -> Iterator[Problem]:
        depthwise = (channels_last(c, side), random(c, 1, k, k, std=1 / k), random(c))
        yield Problem("depthwise_conv", (c, k), f"{c} x {side}, {k}x{k}", depthwise, _depthwise_conv)
        norm = (*depthwise, random(c), random(c))
        yield Problem("depthwise_layer_norm", (c, k), f"{c} x {side}, {k}x{k}", norm, _depthwise_layer_norm)

    for c, side in plan.stages:
        yield from block(c, side, 7)
        mlp = (
            random(b, side, side, c), channels_last(c, side), random(4 * c, c, std=c**-0.5), random(4 * c),
            random(c, 4 * c, std=(4 * c) ** -0.5), random(c), random(c),
        )  # fmt: skip
        yield Problem("mlp_residual", (c, 4 * c), f"{c} x {side}", mlp, _mlp_residual)
        grn = (random(b, side, side, 4 * c), random(1, 1, 1, 4 * c), random(1, 1, 1, 4 * c))
        yield Problem("gelu_grn", (4 * c,), f"{4 * c} x {side}", grn, _gelu_grn)
        maps = channels_last(c, side), random(b, c, side, side)
        for x in maps:
            last = int(x.is_contiguous(memory_format=torch.channels_last))
            words = f"{c} x {side}, {'channels last' if last else 'contiguous'}"
            yield Problem("layer_norm", (c, last), words, (x, random(c), random(c)), _layer_norm)
    for c, side, k in plan.large_kernels:
        yield from block(c, side, k)
    for k in (3, 5, 9, 11, 13):
        yield from block(*plan.stages[0], k)


def _depthwise_conv(backend: kernels.Backend, *tensors: Tensor) -> Tensor:
    return kernels.depthwise_conv(*tensors, backend=backend)


def _depthwise_layer_norm(backend: kernels.Backend, *tensors: Tensor) -> Tensor:
    return kernels.depthwise_layer_norm(*tensors, backend=backend)


def _mlp_residual(backend: kernels.Backend, *tensors: Tensor) -> Tensor:
    return kernels.mlp_residual(*tensors, backend=backend)


def _gelu_grn(backend: kernels.Backend, *tensors: Tensor) -> Tensor:
    return kernels.gelu_grn(*tensors, backend=backend)


def _layer_norm(backend: kernels.Backend, *tensors: Tensor) -> Tensor:
    return kernels.layer_norm(*tensors, channels_dim=1, backend=backend)


def time_kernels(plan: Plan, until: float) -> tuple[list[Measured], list[dict[str, Any]]]:
    """Every problem forward, and forward and backward, as long as there is time.

    Returns:
        The table for the package, whose ratio is against the faster of plain PyTorch and the same compiled; and rows
        with all times.
    """
    table: list[Measured] = []
    rows: list[dict[str, Any]] = []
    device_name = torch.cuda.get_device_name(plan.device) if plan.device.type == "cuda" else "cpu"
    every = list(itertools.product(problems(plan, torch.bfloat16), (False, True)))
    for problem, training in progress.track(every, "kernels", len(every)):
        row: dict[str, Any] = {
            "kernel": problem.kernel, "about": problem.about, "shape": problem.shape, "training": training
        }  # fmt: skip
        rows.append(row)
        if time.monotonic() > until:
            row["error"] = "no time was left"
            continue
        try:
            times = _time_problem(problem, training, plan)
        except Exception as error:  # a kernel that fails loses, and says why
            row["error"] = f"{type(error).__name__}: {error}".splitlines()[0][:300]
            continue
        ratios = {name: speed_ratio(times["triton"], times[name]) for name in ("pytorch", "compiled")}
        row["microseconds"] = {
            name: round(1e6 * sorted(seconds)[len(seconds) // 2], 2) for name, seconds in times.items()
        }
        row["ratios"] = {name: dataclasses.asdict(ratio) for name, ratio in ratios.items()}
        low = min(ratio.low for ratio in ratios.values())
        table.append(
            Measured(problem.kernel, device_name, "bfloat16", problem.shape, problem.positions, training, round(low, 3))
        )
    return table, rows


def _time_problem(problem: Problem, training: bool, plan: Plan) -> dict[str, list[float]]:
    def step(operation: Callable[..., Tensor], backend: kernels.Backend) -> Callable[[], None]:
        leaves = [tensor.detach().clone().requires_grad_(training) for tensor in problem.tensors]
        gradient = torch.randn_like(problem.call("reference", *problem.tensors))

        def run() -> None:
            y = operation(backend, *leaves)
            if training:
                torch.autograd.grad(y, leaves, gradient)

        return run

    torch._dynamo.reset()
    calls = {
        "triton": step(problem.call, "triton"),
        "pytorch": step(problem.call, "reference"),
        "compiled": step(torch.compile(problem.call, dynamic=False), "reference"),
    }
    with torch.set_grad_enabled(training):
        return time_in_turns(calls, plan.device, rounds=plan.kernel_rounds, turn_s=0.02, warm_up=3)


# --- 3: networks ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """A target and what was measured of it; `measured` is None where it was not."""

    name: str
    wanted: str
    measured: Ratio | float | None
    reached: bool | None
    note: str = ""


def compare(plan: Plan, comparison: Comparison, folder: Path) -> list[Verdict]:
    """Both networks in turns, and the targets of the comparison."""
    modes = list(comparison.targets)
    compile_modes = sorted({*modes, *(["default"] if comparison.compile_ours else [])}, reverse=True)
    records = benchmark_models(
        [comparison.theirs, comparison.ours], modes=[comparison.mode], dtypes=[comparison.dtype],
        layouts=comparison.layouts, compile_modes=compile_modes, batch=comparison.batch,
        image_size=comparison.image_size, device=str(plan.device), rounds=8, turn_s=0.15,
        folder=folder / comparison.name,
    )  # fmt: skip
    ours = _fastest(record for record in records if record.name == comparison.ours)
    verdicts = []
    for mode, target in comparison.targets.items():
        theirs = _fastest(r for r in records if r.name == comparison.theirs and r.settings["compile"] == mode)
        words = "eager" if mode == "off" else "compiled"
        name = f"{comparison.name}: {comparison.ours} against {comparison.theirs} {words}"
        if ours is None or theirs is None:
            errors = "; ".join(sorted({f"{r.name}: {r.error}" for r in records if r.error}))
            verdicts.append(Verdict(name, f"{target:g}x", None, None, errors))
            continue
        ratio = speed_ratio(_seconds(ours), _seconds(theirs))
        verdicts.append(Verdict(name, f"{target:g}x", ratio, ratio.low >= target, theirs.settings["layout"]))
    if comparison.absolute is not None:
        speed = None if ours is None else ours.metrics["images_per_second"]
        reached = None if speed is None else speed >= comparison.absolute
        verdicts.append(Verdict(f"{comparison.name}: images/s", f"{comparison.absolute:,.0f}", speed, reached))
    return verdicts


def _fastest(records: Iterator[Record]) -> Record | None:
    finished = [record for record in records if record.error is None]
    return max(finished, key=lambda record: record.metrics["images_per_second"], default=None)


def _seconds(record: Record) -> list[float]:
    return [row["seconds"] for row in record.history]


def large_kernel_verdict(rows: Sequence[dict[str, Any]]) -> Verdict:
    """31x31 depthwise, forward, against torch's own."""
    for row in rows:
        if row["kernel"] == "depthwise_conv" and row["shape"][-1] == 31 and not row["training"] and "ratios" in row:
            ratio = Ratio(**row["ratios"]["pytorch"])
            return Verdict(f"31x31 depthwise against torch's own, {row['about']}", "5x", ratio, ratio.low >= 5)
    return Verdict("31x31 depthwise against torch's own", "5x", None, None)


def targets_table(verdicts: Sequence[Verdict], device: str, tests: str) -> str:
    """The targets as a page of markdown."""
    lines = [
        f"# Targets on {device}", "", f"Tests of the kernels: {tests}", "",
        "| what | target | measured | 95 % interval | reached | |", "|---|---:|---:|---:|---|---|",
    ]  # fmt: skip
    for verdict in verdicts:
        measured, interval = "not measured", ""
        if isinstance(verdict.measured, Ratio):
            measured = f"{verdict.measured.median:.2f}x"
            interval = f"{verdict.measured.low:.2f} to {verdict.measured.high:.2f}"
        elif verdict.measured is not None:
            measured = f"{verdict.measured:,.0f}"
        reached = {True: "yes", False: "no", None: ""}[verdict.reached]
        lines.append(f"| {verdict.name} | {verdict.wanted} | {measured} | {interval} | {reached} | {verdict.note} |")
    return "\n".join(lines) + "\n"


# --- all of it ------------------------------------------------------------------------------------------------------


def run(plan: Plan, folder: Path, rehearse: bool) -> None:
    start = time.monotonic()
    tests = check(plan, start + 0.25 * plan.seconds, rehearse)
    print(f"tests of the kernels: {tests}  ({time.monotonic() - start:.0f} s)", flush=True)

    table, rows = time_kernels(plan, start + 0.55 * plan.seconds)
    device = torch.cuda.get_device_name(plan.device) if plan.device.type == "cuda" else "CPU"
    session = {"environment": environment(device), "tests": tests, "rows": rows}
    session["measured"] = [dataclasses.asdict(entry) for entry in table]
    with whole_file(folder / "kernels.json") as unfinished:
        unfinished.write_text(json.dumps(session, indent=1) + "\n", encoding="utf-8")
    wins = sum(entry.ratio_low > 1 for entry in table)
    print(f"kernels: {wins} of {len(table)} win  ({time.monotonic() - start:.0f} s)", flush=True)

    set_measured(table)
    verdicts = [large_kernel_verdict(rows)]
    for comparison in plan.comparisons:
        left = plan.seconds - (time.monotonic() - start)
        if left < 0.15 * plan.seconds:  # what is begun is ended, compiling included
            verdicts.append(Verdict(comparison.name, "", None, None, "no time was left"))
            continue
        verdicts += compare(plan, comparison, folder)
        page = targets_table(verdicts, device, tests)
        with whole_file(folder / "targets.md") as unfinished:
            unfinished.write_text(page, encoding="utf-8")
        print(f"{comparison.name}  ({time.monotonic() - start:.0f} s)", flush=True)
    print(targets_table(verdicts, device, tests))


def adopt(path: Path) -> None:
    """Put the measurements of a session into the package's table; those of other devices stay."""
    found = [Measured(**{**row, "shape": tuple(row["shape"])}) for row in json.loads(path.read_text())["measured"]]
    devices = {entry.device for entry in found}
    kept = [entry for entry in read_measured() if entry.device not in devices]
    lines = ",\n".join(f" {json.dumps(dataclasses.asdict(entry))}" for entry in [*kept, *found])
    with whole_file(MEASURED) as unfinished:
        unfinished.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(f"{len(found)} measurements of {', '.join(sorted(devices))} are in {MEASURED.relative_to(ROOT)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for what comes out")
    parser.add_argument("--seconds", type=float, default=450, help="for everything (450)")
    parser.add_argument("--rehearse", action="store_true", help="on a CPU, to see that the steps work")
    parser.add_argument("--adopt", type=Path, metavar="KERNELS.json", help="make a session's table the package's")
    parser.add_argument("--compile-ahead", metavar="COMPARISON", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.adopt is not None:
        return adopt(options.adopt)
    os.chdir(ROOT)  # where benchmarks.with_kernels is found
    if options.rehearse and os.environ.get("TRITON_INTERPRET") != "1":  # which Triton reads when it is imported
        os.execve(sys.executable, [sys.executable, __file__, *sys.argv[1:]], {**os.environ, "TRITON_INTERPRET": "1"})
    if not (options.rehearse or torch.cuda.is_available()):
        parser.error("there is no CUDA device; --rehearse goes through the same steps on a CPU")
    device = torch.device("cpu" if options.rehearse else "cuda:0")
    plan = (rehearsal if options.rehearse else full_plan)(device, options.seconds)
    if options.compile_ahead is not None:
        (comparison,) = (c for c in plan.comparisons if c.name == options.compile_ahead)
        return compile_ahead(comparison, device)
    folder = options.out or default_folder(device)
    with progress.shown():
        run(plan, folder, options.rehearse)
    print(f"written to {folder}")
    return None


if __name__ == "__main__":
    main()
