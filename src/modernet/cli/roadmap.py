"""`modernet roadmap` and `modernet roadmap show`."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from modernet.cli.options import MachineOptions, parse, recipe_from, recipe_options
from modernet.cli.output import print_json, print_report, print_table, quantity, simple_table
from modernet.errors import InputError
from modernet.files.names import valid_text
from modernet.recipes import Recipe

if TYPE_CHECKING:
    from modernet.records import Record
    from modernet.roadmap import Step

R = TypeVar("R", bound=Recipe)
Size = Literal["nano", "tiny", "base"]
_DEFAULT_STEPS, _DEFAULT_SEEDS = "0-13", {"walk": 3, "factorial": 2}


@dataclass(frozen=True)
class WalkOptions(Generic[R]):
    """Walk the road from ResNet to ConvNeXt: every step trained on the same images under one recipe.

    Examples:
      modernet roadmap                                              embedded digits, minutes on a laptop
      modernet roadmap --data my_photos --epochs 20                 my_photos/CLASS/*.jpg
      modernet roadmap --data cifar10 --size tiny --steps 0,4,13    where there is a GPU
      modernet roadmap --study factorial                            how decisions help or harm each other
      modernet roadmap --cluster auto                               on all machines of a Ray cluster

    After Ctrl-C, the same command continues: finished steps are skipped.
    """

    recipe: str
    """Recipe of every step but 0, which has a recipe of ResNet's time. The options below override its values."""
    settings: R
    data: str = "digit_scenes"
    """Images: a folder (class/image, or train and test above it), shards, parquet, URL, hf:org/name, or a name."""
    size: Size = "nano"
    """nano is small enough for a laptop; tiny is ResNet-50 to ConvNeXt-T, base is ResNet-200 to ConvNeXt-B."""
    study: Literal["walk", "factorial"] = "walk"
    """walk changes one decision at a time; factorial several at once, which shows their interactions."""
    steps: str | None = None
    """For a walk: rows of the road, such as 0-4,8a,13, or all; 8a, 8c and 8d are side steps. By default 0-13."""
    decisions: str | None = None
    """For a factorial: 2 to 12 steps, such as gelu,layer_norm; each is undone in half of the ConvNeXts. By default
    patchify_stem,kernel_7,gelu,fewer_activations,fewer_norms,layer_norm,separate_downsampling."""
    seeds: int | None = None
    """Runs of each network; by default 3 in a walk and 2 in a factorial."""
    out: Path | None = None
    """Folder for records, chart and page; by default runs/roadmap-SIZE-DATA or runs/factorial-SIZE-DATA."""
    stem_stride: int | None = None
    """Stride of every stem; by default 4, or less for images below 128 pixels."""
    skip_unreadable: bool = False
    """Skip images that cannot be read, and list them."""
    machines: MachineOptions = field(default_factory=MachineOptions)
    json: bool = False
    """Print the records as JSON instead of a table, with the effects of a factorial."""


@dataclass(frozen=True)
class ShowOptions:
    """Print the steps of the road: parameters and multiply-accumulates, with the published figures.

    Example: modernet roadmap show --size tiny
    """

    size: Size = "tiny"
    """tiny is ResNet-50 to ConvNeXt-T, base is ResNet-200 to ConvNeXt-B; nano is ours, for laptops."""
    image_size: int = 224
    """Side of the image in pixels."""
    stem_stride: int | None = None
    """Stride of every stem; by default 4, or less for images below 128 pixels."""
    json: bool = False
    """Print JSON: a list of objects with row, step, params, macs, published_gmacs, published_top1, and more."""


def main(arguments: Sequence[str]) -> int:
    if arguments[:1] == ["show"]:
        _show(parse(ShowOptions, "roadmap show", arguments[1:]))
        return 0
    name, recipe = recipe_options("roadmap", arguments)
    kind: Any = WalkOptions
    return _study(parse(kind[type(recipe)], "roadmap", arguments, default=WalkOptions(name, recipe)))


def _study(options: WalkOptions[Recipe]) -> int:
    """Run the study, print its result, and return the exit code: 1 if a run failed."""
    if options.study == "factorial" and options.steps is not None:
        raise InputError("--steps is for a walk; with --study factorial, give --decisions")
    if options.study == "walk" and options.decisions is not None:
        raise InputError("--decisions is for --study factorial; for a walk, give --steps")
    from modernet import progress

    with progress.shown(), progress.bar("starting", 1):
        from modernet.roadmap import DEFAULT_DECISIONS
        from modernet.studies import Machines, run_factorial, walk_road
        from modernet.training import Interrupted

    study = "roadmap" if options.study == "walk" else options.study
    folder = options.out or Path("runs") / f"{study}-{options.size}-{valid_text(Path(options.data).resolve().name)}"
    shared: dict[str, Any] = {
        "size": options.size,
        "seeds": _DEFAULT_SEEDS[options.study] if options.seeds is None else options.seeds,
        "recipe": recipe_from(options.settings),
        "stem_stride": options.stem_stride,
        "skip_unreadable": options.skip_unreadable,
        "machines": Machines(**vars(options.machines)),
        "folder": folder,
    }
    try:
        with progress.shown():
            if options.study == "walk":
                records = walk_road(options.data, steps=options.steps or _DEFAULT_STEPS, **shared)
            else:
                records = run_factorial(options.data, decisions=options.decisions or DEFAULT_DECISIONS, **shared)
    except Interrupted as stopped:
        raise Interrupted(f"{stopped}; the same command continues in {folder}") from stopped
    if options.study == "walk":
        _print_walk(options, records, folder)
    else:
        _print_factorial(options, records, folder)
    return int(any(record.error is not None for record in records))


def _print_walk(options: WalkOptions[Recipe], records: list[Record], folder: Path) -> None:
    from modernet.records import read_records
    from modernet.report import road_table, summarise_road

    if options.json:
        print_json([_as_row(record) for record in records])
        return
    for summary in summarise_road(read_records(folder)):
        print_table(road_table(summary))
    print_report(folder, "road.png")


def _print_factorial(options: WalkOptions[Recipe], records: list[Record], folder: Path) -> None:
    from dataclasses import asdict

    from modernet.report import factorial_table, summarise_factorials

    (summary,) = summarise_factorials(records)
    if options.json:
        networks = [
            {**{key: record.settings[key] for key in ("network", "levels", "seed", "params", "macs")}, **record.metrics}
            | {"error": record.error}
            for record in records
        ]
        print_json({"effects": summary.effects and asdict(summary.effects), "runs": networks})
        return
    print_table(factorial_table(summary))
    print_report(folder, "factorial.png")


def _as_row(record: Record) -> dict[str, object]:
    """Return a run of the walk as one flat object."""
    keys = ("row", "step", "seed", "params", "macs")
    return {**{key: record.settings[key] for key in keys}, **record.metrics, "error": record.error}


def _show(options: ShowOptions) -> None:
    from modernet.roadmap import default_stem_stride, road

    usual = default_stem_stride(options.image_size)
    stride = usual if options.stem_stride is None else options.stem_stride
    rows: list[dict[str, Any]] = []
    steps = road(options.size, stem_stride=stride)
    for step, (params, macs) in zip(steps, _road_counts(options, steps, stride == usual), strict=True):
        rows.append(
            {
                "row": step.row,
                "step": step.name,
                "title": step.title,
                "change": step.change,
                "side_step": step.side_step,
                "params": params,
                "macs": macs,
                "published_gmacs": step.published_gmacs,
                "published_top1": step.published_top1,
            }
        )
    if options.json:
        print_json(rows)
        return
    columns = {"row": True, "step": False, "parameters": True, "MACs": True, "published": True, "top-1 %": True}
    cells = [
        [
            str(row["row"]),
            f"{row['title']} (side step)" if row["side_step"] else str(row["title"]),
            quantity(row["params"]),
            quantity(row["macs"]),
            "" if row["published_gmacs"] is None else f"{row['published_gmacs']:.2f} G",
            "" if row["published_top1"] is None else f"{row['published_top1']:.2f}",
        ]
        for row in rows
    ]
    print_table(simple_table(f"The road, size {options.size}, at {options.image_size} pixels", columns, cells))
    width = shutil.get_terminal_size((120, 24)).columns
    for row in rows:
        print(textwrap.fill(f"{row['row']:>3s}  {row['change']}", width, subsequent_indent=" " * 5))


def _road_counts(options: ShowOptions, steps: Sequence[Step], usual: bool) -> list[tuple[int, int]]:
    """Return parameters and multiply-accumulates of the steps: from the catalogue, or counted, which needs torch."""
    from modernet.catalogue import ROAD_IMAGE_SIZE, road_counts

    if usual and options.image_size == ROAD_IMAGE_SIZE:
        return [road_counts()[options.size][step.row] for step in steps]
    import torch

    from modernet.counting import count
    from modernet.roadmap.network import build

    with torch.device("meta"):
        counts = [count(build(step.design), options.image_size) for step in steps]
    return [(each.params, each.macs) for each in counts]
