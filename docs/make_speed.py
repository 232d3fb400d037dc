"""Write docs/speed.md, the speed table of README.md, and the tables and charts next to the records in
benchmarks/results: `make docs`.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from modernet.machine.instructions import CLASSES
from modernet.machine.timing import speed_ratio
from modernet.records import Record, read_records
from modernet.report import benchmark_markdown, write_benchmark

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results"
NETWORKS = {"resnet50": "ResNet-50", "swin_tiny": "Swin-T", "convnext_tiny": "ConvNeXt-T"}
TRAINED = {"efficientnet_lite0": "EfficientNet-Lite0"}
BATCH = 8
OURS = "modernet.optimize, "
PRECISIONS = {
    "exact": ("float32",),
    "bf16": ("float32", "bf16"),
    "int8": ("float32", "int8"),
    "auto": ("float32", "bf16", "int8"),
}
"""A precision of `optimize` -> those that it may choose, in which the other runtimes compete."""
BEGIN, END = "<!-- speed: made by docs/make_speed.py -->\n", "<!-- end of speed -->"

INTRODUCTION = """# Speed

`make docs` writes this page from the records in `benchmarks/results`, which `modernet benchmark` and
`benchmarks/cpu_precision.py` made. Networks take turns in rounds, after warm-up; `modernet benchmark` cycles through
more batches than fit into the last-level cache. A ratio is taken within
each round, and its interval is a bootstrap over rounds. Compare numbers within a table only: the tables come from
different runs on a shared machine.

**No GPU was available.** So there is no table for one, and every fused kernel is off until `benchmarks/gpu_session.py`
has measured that it is faster: see [the log](log.md).
"""

FOLDERS = """## Optimized networks in a folder

`modernet optimize MODEL --data IMAGES --out fast`, and `fast.save("fast", network=saved)` in Python, write an optimized
network to a new folder:

- `optimized.json`: the way to run it, its precision, the report of the choice, the size of the images, the version of
  PyTorch or of the runtime, the instructions of the processor, a fingerprint of the network, and a sha256 of every
  other file.
- `way/`: for PyTorch a program that was compiled ahead of time (AOTInductor), or the other runtime's files; empty for
  a way without a program.
- `network.json`, `model.safetensors`: the original network as a run leaves it (in Python, with `network=`), so
  that the other verbs take the folder too.

`modernet predict fast`, `modernet evaluate fast --data IMAGES`, `modernet benchmark optimized:./fast` and
`modernet.load_optimized("fast")` load it without choosing or compiling, and it takes any number of images and
threads. The program is compiled when it is saved: its results and its speed are then compared with those that were
measured, and the last line of the report is the ratio. On a processor with other instructions, or with another
version of the runtime, the way to run is chosen again from the original network, and one line says why: up to a minute
each time that it is loaded, in exact precision unless `images=` are given. `modernet optimize ./fast --data IMAGES
--out faster` keeps the new choice.

A program can do anything. So only folders that you have saved yourself are loaded, of which there are notes in the
cache folder (`$MODERNET_CACHE`); others need `trust=True` or `--trust`. A file that was changed is refused in either
case, and no pickle is written or read.
"""

PROCESSORS = """## On a processor

`modernet.optimize(network, images, precision=...)` times PyTorch and the runtimes of the extra `runtimes` in turns, and
keeps the fastest whose answers are right:

- `exact`, the default: float32. Answers change by rounding alone.
- `bf16`: bfloat16 takes part. It is faster on processors that multiply it (AMX, AVX512-BF16); others emulate it.
- `int8`: 8-bit integers take part, except in layers that lose too much. They need images to calibrate and to judge by,
  and nothing was timed with AMX or VNNI yet.
- `auto`: all of them, if you do not know what your processor is good at.

Reduced precision is judged by the exact network, on images that did not calibrate it. The most likely class of 99 % of
them has to stay (`agreement`); with `labels`, that of 90 %, and at most 0.5 points of accuracy may be lost; where a
network returns no scores of classes, the error may be 5 % of how much its numbers vary. What was refused, and why, is
in the report.

How to read the tables: weights are random, except those of EfficientNet-Lite0, which have been trained on ImageNet; its
accuracy is on photos by which nothing was chosen or calibrated. Answers of untrained networks cannot be judged, so
their reduced precision was accepted as it is, and their rows are about speed.

`benchmarks/cpu_precision.py` makes these tables on your machine; `modernet benchmark --traps` measures its traps.

"""


class Measured(NamedTuple):
    """The speed of `optimize` in one precision next to that of the fastest other in it."""

    device: str
    processor: str
    precision: str
    network: str
    speed: str
    accuracy: str = ""


def comparison_table(folder: Path) -> str:
    """Return a table with a row per network: images/s of all runtimes, measured in turns, and the ratios of ours."""
    lines = [
        "| | timm | timm, compiled | ONNX Runtime | OpenVINO | `modernet.optimize` | vs. the best other | vs. timm |",
        "|---|---:|---:|---:|---:|---:|---|---|",
    ]
    for name, title in NETWORKS.items():
        *others, ours = read_records(folder / name)
        best = max(others, key=_speed)
        fastest = max(_speed(best), _speed(ours))
        speeds = [_speed(record) for record in (*others, ours)]
        cells = [title, *(f"**{speed:.1f}**" if speed == fastest else f"{speed:.1f}" for speed in speeds)]
        cells += [_ratio(ours, best), _ratio(ours, others[0])]
        lines.append(f"| {' | '.join(cells)} |")
    environment = ours.environment
    versions = ", ".join(f"{package} {environment['versions'][package]}" for package in ("torch", "timm"))
    settings = ours.settings
    lines += [
        "",
        f"Images/s for inference in {settings['dtype']}, batch {settings['batch']}, "
        f"{settings['image_size']} pixels, on {environment['device']}; {versions}; {environment['created'][:10]}. "
        f"Medians over {settings['rounds']} rounds, the fastest in bold; ratios with their 95 % interval.",
    ]
    return "\n".join(lines) + "\n"


def speed_page() -> str:
    """Return docs/speed.md."""
    records = precision_records("cpu precision")
    parts = [INTRODUCTION, PROCESSORS + precision_table(records), waiting_table(precision_records("optimizing"))]
    parts += [ways_table(record) for record in records]
    parts += ["## Optimized networks on a CPU\n", comparison_table(RESULTS / "cpu-amd-epyc")]
    for name, title in NETWORKS.items():
        parts += [f"### {title}\n", benchmark_markdown(read_records(RESULTS / "cpu-amd-epyc" / name))]
    parts += [FOLDERS, "## The zoo on a CPU\n", benchmark_markdown(read_records(RESULTS / "cpu-amd-epyc-zoo"))]
    parts.append("![accuracy against speed](../benchmarks/results/cpu-amd-epyc-zoo/speed.png)\n")
    return "\n".join(filter(None, parts))


def precision_records(kind: str) -> list[Record]:
    """Return the records of one kind that benchmarks/cpu_precision.py has written."""
    return [
        record
        for folder in sorted(RESULTS.glob("cpu-*-precision"))
        for record in read_records(folder)
        if record.kind == kind
    ]


def precision_table(records: Sequence[Record]) -> str:
    """Return a table with a row for each processor and precision: networks in batches of `BATCH`, and accuracy."""
    titles = {**NETWORKS, **TRAINED}
    rows: dict[tuple[str, str, str], dict[str, Measured]] = {}
    for one in (*measured_before(), *(each for record in records for each in measured(record))):
        rows.setdefault((one.device, one.processor, one.precision), {})[one.network] = one
    lines = [
        f"| processor | precision | {' | '.join(titles.values())} | its top-1 |",
        f"|---|---|{'---|' * (len(titles) + 1)}",
    ]
    for (device, processor, precision), row in rows.items():
        cells = [row[name].speed if name in row else "–" for name in titles]
        (accuracy,) = (row[name].accuracy if name in row else "" for name in TRAINED)
        lines.append(f"| {device}, {processor} | `{precision}` | {' | '.join(cells)} | {accuracy or '–'} |")
    lines += [
        "",
        f"Images/s of `modernet.optimize` for inference, batch {BATCH}, 224 pixels, and how many times as fast that is "
        "as the fastest of compiled timm, OpenVINO and ONNX Runtime in the precisions that the row allows, with the "
        "95 % interval; medians over rounds in turns. The row of 2026-11-24 is of before other runtimes took part in "
        "`optimize`; the class of its processor is from the log.",
    ]
    measured_here = {record.settings["processor"] for record in records}
    others = [name for name in CLASSES.values() if name not in measured_here]
    if not measured_here:
        lines.append("**No processor has records of reduced precision.**")
    elif others:
        lines.append(f"**Reduced precision was not measured** on processors with {', '.join(others)}.")
    return "\n".join(lines) + "\n"


def measured_before() -> Iterator[Measured]:
    """Yield what benchmarks of float32 alone have measured, on a processor with AVX-512."""
    for name in NETWORKS:
        _, *others, ours = read_records(RESULTS / "cpu-amd-epyc" / name)
        speed = f"{_speed(ours):.1f}, {_ratio(ours, max(others, key=_speed))}"
        yield Measured(ours.environment["device"].removeprefix("CPU "), "AVX-512 (2026-11-24)", "exact", name, speed)


def measured(record: Record) -> Iterator[Measured]:
    """Yield the precisions of a record of batches of `BATCH`."""
    if record.settings["batch"] != BATCH or (record.settings["network"] in TRAINED and not record.settings["trained"]):
        return
    device = record.environment["device"].removeprefix("CPU ")
    for precision, theirs in PRECISIONS.items():
        way = f"{OURS}{precision}"
        if f"images/s: {way}" not in record.metrics:
            continue
        speed = f"{record.metrics[f'images/s: {way}']:.1f}"
        times = {key: [row[key] for row in record.history] for key in _ways(record)}
        others = [key for key in times if not key.startswith(OURS) and key.rpartition(", ")[2] in theirs]
        if others:
            best = min(others, key=lambda key: statistics.median(times[key]))
            speed += f", {_words(times[way], times[best])}"
        yield Measured(
            device, record.settings["processor"], precision, record.settings["network"], speed, _accuracy(record, way)
        )


def ways_table(record: Record) -> str:
    """Return a table of all ways of a record."""
    lines = [
        f"### {record.name}, {record.settings['processor']}\n",
        "| | images/s | share of it while a core is busy | relative error | top-1 |",
        "|---|---:|---:|---:|---|",
    ]
    for way in sorted(_ways(record), key=lambda way: -record.metrics[f"images/s: {way}"]):
        chosen = record.settings["chosen"].get(way)
        share = record.metrics.get(f"share while busy: {way}")
        cells = [
            f"{way}{f' ({chosen})' if chosen else ''}",
            f"{record.metrics[f'images/s: {way}']:.1f}",
            "–" if share is None else f"{share:.2f}",
            f"{record.metrics[f'relative error: {way}']:.1e}",
            _accuracy(record, way) or "–",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    skipped = [f"{way} ({why})" for way, why in record.settings["skipped"].items()]
    versions = ", ".join(f"{package} {version}" for package, version in record.environment["versions"].items())
    lines += ["", f"{record.environment['device']}; {record.environment['created'][:10]}; {versions}."]
    lines += [f"Not measured: {', '.join(skipped)}."] if skipped else []
    return "\n".join(lines) + "\n"


def waiting_table(records: Sequence[Record]) -> str:
    """Return a table of how long choosing takes, and loading what was saved; empty without records."""
    if not records:
        return ""
    lines = [
        '| | `optimize` | `precision="auto"` | `load_optimized`, relative to `import torch` |',
        "|---|---:|---:|---|",
    ]
    for record in records:
        exact, auto = (f"{record.metrics[f'seconds of optimize: {each}']:.0f} s" for each in ("exact", "auto"))
        load = "times import torch: load: exact"
        ends = f"[{record.metrics[f'{load}, low']:.2f}, {record.metrics[f'{load}, high']:.2f}]"
        lines.append(f"| {record.name} | {exact} | {auto} | {record.metrics[load]:.2f}x {ends} |")
    return "\n".join(lines) + "\n"


def with_speed(readme: str) -> str:
    """Return the README with its table replaced."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{precision_table(precision_records('cpu precision'))}{END}{after}"


def _speed(record: Record) -> float:
    return record.metrics["images_per_second"]


def _ratio(ours: Record, theirs: Record) -> str:
    return _words(*([row["seconds"] for row in record.history] for record in (ours, theirs)))


def _words(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Return how many times as fast ours is, from the seconds of both by round."""
    ratio = speed_ratio(ours, theirs)
    return f"{ratio.median:.2f}x [{ratio.low:.2f}, {ratio.high:.2f}]"


def _ways(record: Record) -> list[str]:
    return [key.partition(": ")[2] for key in record.metrics if key.startswith("seconds to prepare: ")]


def _accuracy(record: Record, way: str) -> str:
    """Return the accuracy of a way and what was lost of the exact network's; empty if it was not measured."""
    metrics = record.metrics
    if f"% top-1: {way}" not in metrics:
        return ""
    lost, low, high = (metrics[f"points lost{end}: {way}"] for end in ("", ", low", ", high"))
    return f"{metrics[f'% top-1: {way}']:.1f} %, {lost:.1f} points lost [{low:.1f}, {high:.1f}]"


def main() -> None:
    for folder in (*(RESULTS / "cpu-amd-epyc" / name for name in NETWORKS), RESULTS / "cpu-amd-epyc-zoo"):
        write_benchmark(read_records(folder), folder)
    (ROOT / "docs/speed.md").write_text(speed_page(), encoding="utf-8")
    readme = ROOT / "README.md"
    readme.write_text(with_speed(readme.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
