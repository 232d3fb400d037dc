"""Write docs/speed.md, the speed table of README.md, and the tables and charts next to the records in
benchmarks/results: `make docs`.
"""

from __future__ import annotations

from pathlib import Path

from modernet.machine.timing import speed_ratio
from modernet.records import Record, read_records
from modernet.report import benchmark_markdown, write_benchmark

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results"
NETWORKS = {"resnet50": "ResNet-50", "swin_tiny": "Swin-T", "convnext_tiny": "ConvNeXt-T"}
BEGIN, END = "<!-- speed: made by docs/make_speed.py -->\n", "<!-- end of speed -->"

INTRODUCTION = """# Speed

`make docs` writes this page from the records in `benchmarks/results`, which `modernet benchmark` made. Networks take
turns in rounds, after warm-up, cycling through more batches than fit into the last-level cache. A ratio is taken within
each round, and its interval is a bootstrap over rounds. Compare numbers within a table only: the tables come from
different runs on a shared machine.

**No GPU was available.** So there is no table for one, and every fused kernel is off until `benchmarks/gpu_session.py`
has measured that it is faster: see [the log](log.md).
"""

FOLDERS = """## Optimized networks in a folder

`modernet optimize MODEL --data IMAGES --out fast`, and `fast.save("fast")` in Python, write an optimized network to a
new folder:

- `optimized.json`: the way to run it, its precision, the report of the choice, the size of the images, the version of
  PyTorch or of the runtime, the instructions of the processor, a fingerprint of the network, and a sha256 of every
  other file.
- `way/`: for PyTorch a program that was compiled ahead of time (AOTInductor), or the other runtime's files; empty for
  a way without a program.
- `network.json`, `model.safetensors`: the original network as a run leaves it (in Python, with `network=`), so that
  the other verbs take the folder too.

`modernet predict fast`, `modernet evaluate fast --data IMAGES`, `modernet benchmark optimized:./fast` and
`modernet.load_optimized("fast")` load it without choosing or compiling, and it takes any number of images and
threads. The program is compiled when it is saved: its results and its speed are then compared with those that were
measured, and the last line of the report is the ratio. On a processor with other instructions, or with another
version of the runtime, the way to run is chosen again from the original network, and one line says why.

A program can do anything. So only folders that you have saved yourself are loaded, of which there are notes in the
cache folder (`$MODERNET_CACHE`); others need `trust=True` or `--trust`. A file that was changed is refused in either
case, and no pickle is written or read.
"""


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
    parts = [INTRODUCTION, "## Optimized networks on a CPU\n", comparison_table(RESULTS / "cpu-amd-epyc")]
    for name, title in NETWORKS.items():
        parts += [f"### {title}\n", benchmark_markdown(read_records(RESULTS / "cpu-amd-epyc" / name))]
    parts += [FOLDERS, "## The zoo on a CPU\n", benchmark_markdown(read_records(RESULTS / "cpu-amd-epyc-zoo"))]
    parts.append("![accuracy against speed](../benchmarks/results/cpu-amd-epyc-zoo/speed.png)\n")
    return "\n".join(parts)


def with_speed(readme: str) -> str:
    """Return the README with its table replaced."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{comparison_table(RESULTS / 'cpu-amd-epyc')}{END}{after}"


def _speed(record: Record) -> float:
    return record.metrics["images_per_second"]


def _ratio(ours: Record, theirs: Record) -> str:
    ratio = speed_ratio(*([row["seconds"] for row in record.history] for record in (ours, theirs)))
    return f"{ratio.median:.2f}x [{ratio.low:.2f}, {ratio.high:.2f}]"


def main() -> None:
    for folder in (*(RESULTS / "cpu-amd-epyc" / name for name in NETWORKS), RESULTS / "cpu-amd-epyc-zoo"):
        write_benchmark(read_records(folder), folder)
    (ROOT / "docs/speed.md").write_text(speed_page(), encoding="utf-8")
    readme = ROOT / "README.md"
    readme.write_text(with_speed(readme.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
