"""`modernet benchmark`."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from modernet.cli.networks import check_model
from modernet.cli.options import parse
from modernet.cli.output import print_json, print_table, simple_table
from modernet.errors import InputError
from modernet.records import OPTIMIZED_PREFIX, is_run_path, read_network

if TYPE_CHECKING:
    from modernet.benchmark import MeasuredPair, Trap
    from modernet.benchmark.targets import Target
    from modernet.records import Record

_DEFAULT_MODELS = ("convnext_tiny", "swin_tiny")
_DEFAULT_TRAPPED = ("convnext_tiny",)


@dataclass(frozen=True)
class Options:
    """Measure networks side by side on this device: speed, latency, memory, and their share of the device's own peak.

    Examples:
      modernet benchmark convnext_tiny swin_tiny timm:convnext_tiny --mode infer,train
      modernet benchmark convnext_tiny optimized:convnext_tiny --batch auto
      modernet benchmark runs/mine optimized:runs/mine      what a run has trained, whatever its task
      modernet benchmark ./fast optimized:./fast            what modernet optimize wrote, next to the original
      modernet benchmark my_file:my_network resnet50 --dtype bfloat16 --compile off,default
      modernet benchmark s4 transformer --length 1024 --mode infer,train      sequences; or point clouds
      modernet benchmark --traps                what costs most on this device, and the fix
      modernet benchmark --table12              ConvNeXt and Swin beside the published table

    All networks are in memory together and take turns; ratios are of images, sequences or clouds a second, to
    the first one. Records, tables and a chart go to a folder.
    """

    models: tyro.conf.Positional[tuple[str, ...]] = ()
    """Networks: of `modernet models`, also with --sequences or --points; timm:NAME, torchvision:NAME,
    module:function (which returns a network), the folder of a finished run or of modernet optimize, or optimized:
    before any of these. By default convnext_tiny and swin_tiny."""
    mode: str = "infer"
    """infer, train, or both with a comma. A training step is forward, cross-entropy, backward, SGD."""
    dtype: str | None = None
    """Of float32, tf32, bfloat16, float16, with commas. Inference casts the network; training keeps float32 weights,
    under autocast. tf32 is float32 on a GPU's TF32 units. By default bfloat16 on a GPU, float32 on a CPU."""
    layout: str | None = None
    """Of networks for images: channels_last, contiguous, or both with a comma. By default channels_last."""
    compile: str = "off"
    """Of off, default, max-autotune, with commas: modes of torch.compile."""
    batch: str | None = None
    """Images, sequences or clouds in a batch, or auto: the fastest for each case. By default 128 on a GPU, 8 on a
    CPU."""
    image_size: int | None = None
    """Side of the square images in pixels, the same for all networks; by default that of the runs given, or 224."""
    length: int | None = None
    """Steps of the sequences or points of the clouds, the same for all networks; by default those of the runs given, or
    1024. Sequences are of random bytes without padding, those of a run of what it has learned."""
    device: str | None = None
    """cpu, cuda or cuda:N; by default the GPU where there is one."""
    threads: int | None = None
    """Threads that the CPU computes with; by default one for each core that this process may use."""
    rounds: int = 10
    """Turns of each case; 5 or more for intervals."""
    turn_s: float = 0.25
    """Length of a turn in seconds."""
    out: Path | None = None
    """Folder for records, tables and chart; by default benchmarks/results/DEVICE-DATE."""
    traps: bool = False
    """Find what costs most on this device with the networks given, by default convnext_tiny: layout, dtype, no compile,
    kernel sizes; on a CPU also threads, single images, matrix products by MKL or oneDNN, OpenVINO's precision."""
    table12: bool = False
    """Measure ConvNeXt and Swin as table 12 of the ConvNeXt paper does, beside its figures; a few networks or one
    --image-size of it if those are given."""
    trust: bool = False
    """Run the program in a folder of modernet optimize that someone else has saved: it can do anything."""
    json: bool = False
    """Print JSON: a list of objects, one a case, with null for what was not measured."""


def main(arguments: Sequence[str]) -> int:
    options = parse(Options, "benchmark", arguments)
    if options.traps and options.table12:
        raise InputError("--traps and --table12 are two questions; ask one at a time")
    for name in options.models:
        _check_name(name)

    from modernet import progress

    with progress.shown(), progress.bar("starting", 1):
        from modernet.benchmark import default_folder
        from modernet.machine.device import choose_device

    device = choose_device(options.device)
    folder = options.out or default_folder(device)
    common: dict[str, Any] = {
        "batch": _batch(options.batch),
        "device": str(device),
        "threads": options.threads,
        "rounds": options.rounds,
        "turn_s": options.turn_s,
        "folder": folder,
    }
    run = _traps if options.traps else _table12 if options.table12 else _models
    failed = run(options, common)
    if not options.json:
        print(f"results: {folder}")
    return int(failed)


def _models(options: Options, common: dict[str, Any]) -> bool:
    """The ordinary benchmark; whether a case failed."""
    from modernet import progress
    from modernet.benchmark import benchmark_models
    from modernet.report import benchmark_rows, benchmark_table

    models = options.models or _DEFAULT_MODELS
    with progress.shown():
        records = benchmark_models(
            models,
            **_sizes(options, models),
            find=partial(find_target, trust=options.trust),
            modes=options.mode.split(","),
            dtypes=None if options.dtype is None else options.dtype.split(","),
            layouts=None if options.layout is None else options.layout.split(","),
            compile_modes=options.compile.split(","),
            **common,
        )
    if options.json:
        print_json(benchmark_rows(records))
    else:
        print_table(benchmark_table(records))
    return any(record.error is not None for record in records)


def find_target(name: str, *, trust: bool = False) -> Target:
    """As `find_network`, for the folder of a run too, and of `modernet optimize`.

    Args:
        trust: let the program of an optimized network run whoever has saved it.
    """
    from modernet.benchmark.inputs import inputs_of
    from modernet.benchmark.targets import Target, find_network, optimized_first
    from modernet.deploy import is_optimized, load_optimized
    from modernet.deploy.running.manifest import read_manifest
    from modernet.tasks import load_network
    from modernet.weights.saved_network import check_answers

    folder = _folder_of(name)
    if folder is None:
        return find_network(name)
    optimized = name.startswith(OPTIMIZED_PREFIX)
    kept = read_manifest(folder).dtype if optimized and is_optimized(folder) else ""
    saved = load_network(folder)
    check_answers(saved.task)
    target = Target(
        lambda size: copy.deepcopy(saved.network),
        inputs_of(saved),
        kept=partial(load_optimized, folder, trust=trust) if kept else None,
        kept_dtype=kept,
        task=saved.task,
        classes_last=saved.task == "point_segmentation",
    )
    return optimized_first(target, name) if optimized else target


def _sizes(options: Options, models: Sequence[str]) -> dict[str, Any]:
    """Return `image_size` and `length` as they are given, or the one that the runs among the networks see.

    Raises:
        InputError: none is given, and the runs see images of several sizes, or sequences or clouds of several lengths.
    """
    from modernet.data.points.inputs import PointInputs
    from modernet.data.sequences.encoding import Encoding
    from modernet.preparation import Preparation
    from modernet.weights.saved_network import read_description

    if options.image_size is not None or options.length is not None:
        return {"image_size": options.image_size, "length": options.length}
    folders = filter(None, map(_folder_of, models))
    seen = {folder: read_description(folder).inputs for folder in folders}
    images = {folder: inputs.size for folder, inputs in seen.items() if isinstance(inputs, Preparation)}
    lengths = {folder: inputs.inputs.max_length for folder, inputs in seen.items() if isinstance(inputs, Encoding)}
    lengths |= {folder: inputs.points for folder, inputs in seen.items() if isinstance(inputs, PointInputs)}
    if len(set(images.values())) > 1:
        listed = ", ".join(f"{name} {height}x{width}" for name, (height, width) in images.items())
        raise InputError(f"the runs see images of several sizes ({listed}); give one for all with --image-size")
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise InputError(f"the runs see several lengths ({listed}); give one for all with --length")
    return {"image_size": next(iter(images.values()), None), "length": next(iter(lengths.values()), None)}


def _check_name(name: str) -> None:
    """Check a network of the zoo, or the folder of one, at first without torch; others are asked for later."""
    folder, plain = _folder_of(name), name.removeprefix(OPTIMIZED_PREFIX)
    if folder is not None:
        read_network(folder)
    elif ":" not in plain:
        check_model(plain, for_images=False)


def _folder_of(name: str) -> Path | None:
    """Return the folder of a run that stands for a network, optimized or not; None for other names."""
    folder = name.removeprefix(OPTIMIZED_PREFIX)
    return Path(folder) if is_run_path(folder) else None


def _traps(options: Options, common: dict[str, Any]) -> bool:
    """The choices that cost speed; whether a case failed."""
    from dataclasses import asdict

    from modernet import progress
    from modernet.benchmark import find_traps

    if common["batch"] == "auto":
        raise InputError("--traps compares cases of one batch; give a number for --batch")
    models = options.models or _DEFAULT_TRAPPED
    with progress.shown():
        traps, records = find_traps(
            models,
            image_size=_sizes(options, models).get("image_size") or 224,
            find=partial(find_target, trust=options.trust),
            **common,
        )
    if options.json:
        print_json(
            [{**asdict(trap), "is_trap": trap.is_trap, "device": records[0].environment["device"]} for trap in traps]
        )
    else:
        _print_traps(traps, records)
    return any(record.error is not None for record in records)


def _print_traps(traps: Sequence[Trap], records: Sequence[Record]) -> None:
    settings = records[0].settings
    circumstances = f"{settings['dtype']}, batch {settings['batch']}, {settings['image_size']} pixels"
    columns = {"costs": True, "[95 %]": True, "choice": False, "instead": False}
    rows = [
        [f"{trap.cost.median:.2f}x", f"[{trap.cost.low:.2f}, {trap.cost.high:.2f}]", trap.choice, trap.fix]
        for trap in traps
        if trap.cost is not None and trap.is_trap
    ]
    title = f"Traps on {records[0].environment['device']}: {circumstances}"
    harmless = sum(trap.cost is not None and not trap.is_trap for trap in traps)
    if rows:
        print_table(simple_table(title, columns, rows))
    else:
        print(f"{title}: nothing {'is a trap here' if harmless else 'was measured'}")
    if harmless:
        print(f"{harmless} {'more ' if rows else ''}choices cost nothing beyond the noise; --json lists them")
    for trap in traps:
        if trap.cost is None:
            print(f"{trap.choice}: {trap.note}{trap.fix and f'; instead: {trap.fix}'}")
    for record in records:
        if record.error is not None:
            print(f"not measured: {record.name} {record.settings['dtype']}: {record.error}")


def _table12(options: Options, common: dict[str, Any]) -> bool:
    """Table 12 of the paper on this device; whether a case failed."""
    from modernet import progress
    from modernet.benchmark import measure_table12
    from modernet.report import benchmark_rows

    with progress.shown():
        pairs = measure_table12(options.models, image_size=options.image_size, **common)
    records = [record for measured in pairs for record in measured.records]
    if options.json:
        published = [speed for measured in pairs for speed in measured.pair.published.values()]
        rows = zip(benchmark_rows(records), published, strict=True)
        print_json([{**row, "published_images_per_second": speed} for row, speed in rows])
    else:
        _print_table12(pairs)
    return any(record.error is not None for record in records)


def _print_table12(pairs: Sequence[MeasuredPair]) -> None:
    from modernet.benchmark.questions.table12 import SOURCE

    columns = {"model": False, "size": True, "paper": True, "here": True, "paper's ratio": True, "ratio here": True}
    rows = []
    for measured in pairs:
        pair = measured.pair
        for record, (name, speed) in zip(measured.records, pair.published.items(), strict=True):
            row = [name, str(pair.image_size), f"{speed:.1f}", _number(record, "images_per_second"), "", ""]
            if pair.published_ratio is not None and name == pair.convnext[0]:
                interval = f"[{_number(record, 'ratio_low')}, {_number(record, 'ratio_high')}]"
                row[4:] = [f"{pair.published_ratio:.2f}", f"{_number(record, 'ratio')} {interval}"]
            rows.append(row)
    first = pairs[0].records[0]
    here = f"{first.environment['device']}, {first.settings['dtype']}, batch {first.settings['batch']}"
    print_table(simple_table(f"Images/s, and ConvNeXt's to Swin's.\nPaper: {SOURCE}.\nHere: {here}", columns, rows))
    for measured in pairs:
        for record in measured.records:
            if record.error is not None:
                print(f"not measured: {record.name} at {measured.pair.image_size}: {record.error}")


def _number(record: Record, metric: str) -> str:
    value = record.metrics.get(metric)
    return "-" if value is None else f"{value:.4g}"


def _batch(text: str | None) -> int | Literal["auto"] | None:
    if text is None:
        return None
    if text == "auto":
        return "auto"
    if not text.isdecimal():
        raise InputError(f"--batch is {text!r}; give a number of images, or auto")
    return int(text)
