"""`modernet robustness`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from modernet.cli.networks import check_named
from modernet.cli.options import parse
from modernet.cli.output import print_json, print_table, simple_table
from modernet.errors import InputError
from modernet.files.names import valid_text
from modernet.records import Record, is_run_path

if TYPE_CHECKING:
    from modernet.studies.robustness import RobustnessRequest


@dataclass(frozen=True)
class Options:
    """Measure how a network answers for images that are corrupted and, a classifier, shifted, resized or moved.

    Examples:
      modernet robustness convnext_tiny.fb_in1k --data imagenet/val                       ImageNet-C, made on the fly
      modernet robustness runs/train-resnet18-my_photos --data my_photos --suite c,cbar,calibration
      modernet robustness resnet50 --data imagenet/val --suite a,r --shifted imagenet-a --shifted imagenet-r
      modernet robustness runs/detection-train-resnet50-street --data street              of a detector or a segmenter

    Each part, such as one severity of one corruption, is kept once it is finished: the same command goes on where it
    was stopped, and another --suite adds to what is in the folder.
    """

    network: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL|RUN")]
    """Network with published weights (downloaded once; see modernet weights) or with those of --weights; or the folder
    of a finished run, with a slash."""
    data: str
    """Images to corrupt, of all or some of the network's classes: a folder (class/image, or test or val above it),
    shards, parquet, URL, hf:org/name, or a name; for a detector or a segmenter, as modernet evaluate takes them."""
    weights: Path | None = None
    """Weights for MODEL: a file or folder of its authors, timm, torchvision, transformers or OpenMMLab."""
    suite: str = ""
    """What to measure, by commas: c (the 15 corruptions of ImageNet-C), extra (its 4 others), cbar (the 10 of
    ImageNet-C-bar), a, r, sketch, v2 (folders of --shifted), calibration, resolution, translation, bias. By default c,
    or only what --corruptions, --shifted or --published give."""
    corruptions: str = ""
    """Corruptions by commas, instead of all of a suite: contrast,fog. With --published and no suite of corruptions, of
    its images alone."""
    severities: str = "1,2,3,4,5"
    """Severities of the corruptions, by commas."""
    frost: Path | None = None
    """Folder with the six photographs of frost of ImageNet-C; without it, frost is synthesised."""
    shifted: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Other images of the same classes, or of some: ImageNet-A, -R, -Sketch, -V2, or any folder. May be repeated."""
    published: Path | None = None
    """Folder of corrupted images as ImageNet-C is published, CORRUPTION/SEVERITY/CLASS/image, to be tested as they
    are."""
    baseline: str | None = None
    """Network whose errors normalise the corruption errors, MODEL or RUN, which is measured first; or the folder of its
    test. By default AlexNet, for ImageNet's classes."""
    class_map: Path | None = None
    """A .csv, .tsv or .json file with classes of the images and, for each, the class of the network by its name, synset
    or index. Other classes are matched as without it."""
    batch_size: int = 32
    """Images per batch; fewer take less memory."""
    seed: int = 0
    """Seed of everything random in the corruptions."""
    out: Path | None = None
    """Folder of the results; by default runs/robustness-NETWORK-DATA."""
    skip_unreadable: bool = False
    """Skip images that cannot be read, and list them."""
    json: bool = False
    """Print the record as JSON."""


def main(arguments: Sequence[str]) -> None:
    options = parse(Options, "robustness", arguments)
    check_named(options.network, options.weights)
    request = _request(options)
    _check_files(options)
    data = valid_text(Path(options.data).resolve().name)
    folder = options.out or Path("runs") / f"robustness-{_short_name(options.network)}-{data}"

    from modernet import progress
    from modernet.studies.robustness import NamedNetwork, measure_baseline, measure_robustness
    from modernet.training import Interrupted, stop_requested_by_signal

    with progress.shown(), stop_requested_by_signal() as should_stop:
        try:
            baseline = None
            if options.baseline is not None:
                beside = folder / f"baseline-{_short_name(options.baseline)}"
                baseline = partial(measure_baseline, options.baseline, request, beside, should_stop=should_stop)
            network = NamedNetwork.load(options.network, options.weights)
            record = measure_robustness(network, request, folder, baseline=baseline, should_stop=should_stop)
        except Interrupted as stopped:
            raise Interrupted(f"{stopped}; the same command continues in {folder}") from stopped
    if options.json:
        print_json(asdict(record))
        return
    _print(record)
    print(f"results: {folder}")


def _request(options: Options) -> RobustnessRequest:
    """Return what the options ask for.

    Raises:
        InputError: a suite, corruption, severity or folder does not exist.
    """
    from modernet.studies.robustness import RobustnessRequest

    suites, corruptions = _listed(options.suite), _listed(options.corruptions)
    if not (suites or corruptions or options.shifted or options.published):
        suites = ("c",)
    severities = []
    for severity in _listed(options.severities):
        if not severity.isdecimal():
            raise InputError(f"--severities has {severity!r}; give 1 to 5, by commas")
        severities.append(int(severity))
    return RobustnessRequest(
        options.data,
        suites,
        corruptions,
        tuple(severities),
        options.frost,
        options.shifted,
        options.published,
        options.class_map,
        options.batch_size,
        options.seed,
        options.skip_unreadable,
    )


def _check_files(options: Options) -> None:
    """Check that data and class map are there, before weights are fetched.

    Raises:
        InputError: one is not.
    """
    from modernet.data import check_source
    from modernet.evaluation.class_map import read_class_map

    for data in (options.data, *options.shifted):
        check_source(data)
    if options.class_map is not None:
        read_class_map(options.class_map)


def _listed(text: str) -> tuple[str, ...]:
    """Return what is between commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _short_name(network: str) -> str:
    """Return the name of a model or a run in names of folders."""
    return valid_text(Path(network).resolve().name if is_run_path(network) else network.replace(":", "-"))


def _print(record: Record) -> None:
    """Print a table of what was measured on corrupted images, and the metrics with their intervals."""
    settings, metrics = record.settings, record.metrics
    measure = record.details.get("measure", {"name": "error", "title": "top-1 error"})
    key = measure["name"]
    cells = {(row["suite"], row["corruption"], row["severity"]): row[key] for row in _rows(record, "corruptions")}
    means = _rows(record, "corruption_means")
    if means:
        severities = sorted({severity for _, _, severity in cells})
        with_ce = any("ce" in row for row in means)
        rows = []
        for row in means:
            suite, name = row["suite"], row["corruption"]
            values = [cells.get((suite, name, severity)) for severity in severities]
            numbers = [*values, row[key], *([row.get("ce")] if with_ce else [])]
            rows.append([suite, name, *("" if number is None else f"{number:.1f}" for number in numbers)])
        columns = {"suite": False, "corruption": False, **{f"{severity}": True for severity in severities}}
        columns |= {"mean": True} | ({"CE": True} if with_ce else {})
        print_table(simple_table(f"{measure['title']} in % by severity", columns, rows))
        for part, words in settings["protocol"].items():
            print(f"{part}: {words}")
        if "frost" in settings:
            print(f"frost: {settings['frost']}")
    for row in _rows(record, "shifted"):
        n = metrics[f"{row['name']}_n"]
        print(f"{row['title']}: {row['classes']} classes, the best of {row['chosen_among']} (n = {n:.0f})")
    for metric in record.task_metrics:
        value, low, high = (metrics.get(metric.name + end) for end in ("", "_low", "_high"))
        if value is None:
            continue
        of_own = f"{metric.name.removesuffix('_top1')}_n"  # of ImageNet-A, ...
        digits = metric.digits_for(metrics.get(of_own, metrics.get("n")))
        interval = "" if low is None or high is None else f" [{low:.{digits}f}, {high:.{digits}f}]"
        print(f"{metric.title}: {value:.{digits}f} {metric.unit}{interval}")
    if means and key == "error":
        _explain_ce(settings["baseline"], means, cells)


def _explain_ce(baseline: str | None, means: Sequence[dict[str, Any]], cells: Collection[tuple[str, str, int]]) -> None:
    """Print what CE is relative to, and why corruptions have none.

    Args:
        means: rows of corruptions.
        cells: suite, corruption and severity of what was measured.
    """
    from modernet.data.transforms.corruptions import SEVERITIES

    if baseline is None:
        print("not normalised: there are no errors of AlexNet on these classes; --baseline names another network")
        return
    without = [(row["suite"], row["corruption"]) for row in means if "ce" not in row]
    if len(without) < len(means):
        print(f"CE and mCE: relative to the errors of {baseline}")
    short = [pair for pair in without if sum(cell[:2] == pair for cell in cells) < len(SEVERITIES)]
    if short:
        print(f"no CE of {', '.join(name for _, name in short)}: it takes all five severities")
    others = [name for suite, name in without if (suite, name) not in short]
    if others:
        print(f"no CE of {', '.join(others)}: the baseline has no errors for it")


def _rows(record: Record, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = record.details.get(name, [])
    return rows
