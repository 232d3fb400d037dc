"""Test and time everything of modernet that needs a GPU, in one run of eight minutes.

    python benchmarks/gpu_session.py                 from the root of the repository, on the machine with the GPU
    python benchmarks/gpu_session.py --rehearse      the same steps on a CPU: tiny, in Triton's interpreter, no results

1. The tests of the kernels run on the device. Meanwhile timm's networks are compiled into torch's cache.
2. Every kernel takes turns with plain PyTorch, and with plain PyTorch compiled (`gpu_kernels.py`).
3. Networks, with the kernels that won in step 2, take turns with timm's (`gpu_targets.py`).

Results are in benchmarks/results/DEVICE-DATE/: `kernels.json`, a folder of records per comparison, and `targets.md`,
the targets with their measurements. `kernels.json` becomes the package's own table, by which `backend="auto"` decides,
with

    python benchmarks/gpu_session.py --adopt benchmarks/results/DEVICE-DATE/kernels.json
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import gpu_kernels
import gpu_targets
import torch

from modernet import progress
from modernet.benchmark.run import default_folder
from modernet.files.atomic import whole_file
from modernet.kernels.backend import Measured, read_measured, set_measured
from modernet.records import environment

ROOT = Path(__file__).resolve().parents[1]
MEASURED = ROOT / "src/modernet/kernels/measured.json"


@dataclass(frozen=True)
class Session:
    """What one run measures."""

    device: torch.device
    seconds: float
    """For everything; what does not fit is listed as not measured."""
    kernels: gpu_kernels.Plan
    comparisons: tuple[gpu_targets.Comparison, ...]
    tests: tuple[str, ...]
    """Arguments for pytest."""
    ahead: int
    """How many comparisons are compiled while the tests run."""


def full_session(seconds: float) -> Session:
    tests = ("-n", "6", *_kernel_tests())
    return Session(torch.device("cuda:0"), seconds, gpu_kernels.FULL, gpu_targets.FULL, tests, ahead=6)


def rehearsal(seconds: float) -> Session:
    tests = ("-n", "0", _kernel_tests()[0])
    return Session(torch.device("cpu"), seconds, gpu_kernels.REHEARSAL, gpu_targets.REHEARSAL, tests, ahead=0)


def _kernel_tests() -> list[str]:
    return sorted(str(path) for path in (ROOT / "tests/kernels").glob("test_*_kernel.py"))


def run_tests(session: Session, until: float) -> str:
    """Run the tests of the kernels, and compile timm's networks at the same time; return pytest's last line."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "kernel", *session.tests]
    tests = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    ahead = [_compile_in_background(comparison.name) for comparison in session.comparisons[: session.ahead]]
    try:
        output, _ = tests.communicate(timeout=max(until - time.monotonic(), 1))
    except subprocess.TimeoutExpired:
        tests.kill()
        output = "the tests did not finish in time"
    for process in ahead:
        try:
            process.wait(timeout=max(until - time.monotonic(), 1))
        except subprocess.TimeoutExpired:
            process.kill()
    *before, last = output.strip().splitlines() or [""]
    if tests.returncode != 0:
        print("\n".join(before[-60:]))
    return last


def _compile_in_background(comparison: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(Path(__file__)), "--compile-ahead", comparison]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def run(session: Session, folder: Path) -> None:
    start = time.monotonic()
    tests = run_tests(session, start + 0.25 * session.seconds)
    print(f"tests of the kernels: {tests}  ({time.monotonic() - start:.0f} s)", flush=True)

    table, rows = gpu_kernels.time_kernels(session.kernels, session.device, start + 0.55 * session.seconds)
    device = torch.cuda.get_device_name(session.device) if session.device.type == "cuda" else "CPU"
    results = {"environment": environment(device), "tests": tests, "rows": rows}
    results["measured"] = [dataclasses.asdict(entry) for entry in table]
    with whole_file(folder / "kernels.json") as unfinished:
        unfinished.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    wins = sum(entry.ratio_low > 1 for entry in table)
    print(f"kernels: {wins} of {len(table)} win  ({time.monotonic() - start:.0f} s)", flush=True)

    set_measured(table)
    verdicts = [gpu_targets.large_kernel_verdict(rows)]
    for comparison in session.comparisons:
        left = session.seconds - (time.monotonic() - start)
        if left < 0.15 * session.seconds:  # a comparison that starts also finishes, including compilation
            verdicts.append(gpu_targets.Verdict(comparison.name, "", None, None, "no time was left"))
            continue
        verdicts += gpu_targets.compare(comparison, session.device, folder)
        page = gpu_targets.targets_table(verdicts, device, tests)
        with whole_file(folder / "targets.md") as unfinished:
            unfinished.write_text(page, encoding="utf-8")
        print(f"{comparison.name}  ({time.monotonic() - start:.0f} s)", flush=True)
    print(gpu_targets.targets_table(verdicts, device, tests))


def adopt(path: Path) -> None:
    """Write the measurements of a session into the package's table; those of other devices are kept."""
    found = [Measured(**{**row, "shape": tuple(row["shape"])}) for row in json.loads(path.read_text())["measured"]]
    devices = {entry.device for entry in found}
    kept = [entry for entry in read_measured() if entry.device not in devices]
    lines = ",\n".join(f" {json.dumps(dataclasses.asdict(entry))}" for entry in [*kept, *found])
    with whole_file(MEASURED) as unfinished:
        unfinished.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(f"{len(found)} measurements of {', '.join(sorted(devices))} are in {MEASURED.relative_to(ROOT)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for the results")
    parser.add_argument("--seconds", type=float, default=450, help="time limit for everything (450)")
    parser.add_argument("--rehearse", action="store_true", help="run the same steps on a CPU, to see that they work")
    parser.add_argument("--adopt", type=Path, metavar="KERNELS.json", help="make a session's table the package's")
    parser.add_argument("--compile-ahead", metavar="COMPARISON", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.adopt is not None:
        return adopt(options.adopt)
    os.chdir(ROOT)  # where benchmarks.with_kernels is found
    if options.rehearse and os.environ.get("TRITON_INTERPRET") != "1":  # Triton reads it when it is imported
        os.execve(sys.executable, [sys.executable, __file__, *sys.argv[1:]], {**os.environ, "TRITON_INTERPRET": "1"})
    if not (options.rehearse or torch.cuda.is_available()):
        parser.error("there is no CUDA device; --rehearse runs the same steps on a CPU")
    session = (rehearsal if options.rehearse else full_session)(options.seconds)
    if options.compile_ahead is not None:
        (comparison,) = (c for c in session.comparisons if c.name == options.compile_ahead)
        return gpu_targets.compile_theirs(comparison, session.device)
    folder = options.out or default_folder(session.device)
    with progress.shown():
        run(session, folder)
    print(f"results are in {folder}")
    return None


if __name__ == "__main__":
    main()
