"""`modernet compare`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import tyro

from modernet.catalogue import TIMM_PREFIX, all_networks, zoo_name
from modernet.catalogue.fields import check_several, parse_candidate
from modernet.cli.networks import check_candidates
from modernet.cli.options import MachineOptions, parse, recipe_from, recipe_options
from modernet.cli.output import print_json, print_report, print_table
from modernet.files.names import valid_text
from modernet.recipes import Recipe

R = TypeVar("R", bound=Recipe)


@dataclass(frozen=True)
class Options(Generic[R]):
    """Compare networks on your images: all trained alike, several times, and measured side by side.

    Examples:
      modernet compare convnext_test resnet18:width=16 --data my_photos          my_photos/CLASS/*.jpg
      modernet compare convnext_tiny.fb_in1k timm:resnet50.a1_in1k --data my_photos      from published weights
      modernet compare convnext_tiny resnet50 --data my_photos --weights-dir weights     weights/resnet50.pth, ...
      modernet compare convnext_nano swin_test timm:resnet18 --data my_photos --budget equal-seconds --tune 3
      modernet compare convnext_test resnet18 --data my_photos --seeds 5 --explain       what it would take
      modernet compare convnext_test resnet18 --recipe quick_detection --data my_boxes   as backbones of a detector

    It tells accuracy with its spread over seeds, calibration, accuracy on corrupted images, speed and memory here, and
    which differences are more than chance. After Ctrl-C, the same command continues; more seeds or networks add to it.
    """

    candidates: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="NETWORK NETWORK...")]
    """Networks of modernet models; timm:NAME; or model.tag of modernet weights, to start from those, downloaded once.
    Fields of a config after a colon: resnet18:width=16,depths=(1,1,1,1)."""
    recipe: str
    """Recipe of all trainings; the options below override its values. By default, one for the data, or finetune if a
    network starts from weights. It decides the task."""
    settings: R
    data: str = "digit_scenes"
    """Images, as modernet train takes them: a folder (class/image, or train and test above it), a name, ..."""
    budget: Literal["equal-epochs", "equal-seconds", "equal-macs"] = "equal-epochs"
    """What every network gets the same of. Seconds are by training speeds that are measured first, in turns: as many as
    the median network needs for the epochs of the recipe."""
    seeds: int = 3
    """Trainings of each network, with seeds 0, 1, ..."""
    tune: int = 0
    """Settings of the learning rate, from the fourth on also of the weight decay, that are tried for each network in
    trainings of a fifth of the epochs, and chosen by validation."""
    weights_dir: Path | None = None
    """Folder of weights to start from: files such as convnext_tiny.safetensors or timm_resnet18.pth."""
    robustness: bool = True
    """Do not measure how the networks answer for corrupted test images."""
    skip_unreadable: bool = False
    """Skip images that cannot be read, and list them."""
    out: Path | None = None
    """Folder for records, chart and page; by default runs/compare-DATA."""
    machines: MachineOptions = field(default_factory=MachineOptions)
    explain: bool = False
    """Print what would be trained and for how long, from the first steps of each network, and train nothing."""
    json: bool = False
    """Print JSON instead of a table; with --explain, an object with the networks and their sum."""


def main(arguments: Sequence[str]) -> int:
    name, recipe = recipe_options("compare", arguments, pretrained=_start_from_weights(arguments))
    kind: Any = Options
    options: Options[Recipe] = parse(kind[type(recipe)], "compare", arguments, default=Options((), name, recipe))
    check_several(options.candidates)
    check_candidates(options.candidates)
    from modernet import progress

    with progress.shown(), progress.bar("starting", 1):
        from modernet.studies import Machines
        from modernet.studies.compare import CompareRequest, compare, estimate_comparison
        from modernet.training import Interrupted

    request = CompareRequest(
        options.candidates,
        options.data,
        recipe_from(options.settings),
        options.budget,
        options.seeds,
        options.tune,
        options.weights_dir,
        options.robustness,
        options.skip_unreadable,
    )
    machines = Machines(**vars(options.machines))
    if options.explain:
        with progress.shown():
            estimate = estimate_comparison(request, machines=machines)
        if options.json:
            print_json(estimate.as_json())
        else:
            print("\n".join(estimate.lines()))
        return 0
    folder = options.out or Path("runs") / f"compare-{valid_text(Path(options.data).resolve().name)}"
    try:
        with progress.shown():
            records = compare(request, machines=machines, folder=folder)
    except (Interrupted, KeyboardInterrupt) as stopped:  # the latter between two parts of the work
        raise Interrupted(f"{str(stopped) or 'stopped'}; the same command continues in {folder}") from stopped
    _print(options, records[0].settings["comparison"], folder)
    return int(any(record.error is not None for record in records))


def _print(options: Options[Recipe], digest: str, folder: Path) -> None:
    """Print the comparison as the page has it, with the networks of earlier calls."""
    from modernet.records import read_records
    from modernet.report import compare_json, compare_table, summarise_comparisons

    comparison = next(each for each in summarise_comparisons(read_records(folder)) if each.digest == digest)
    if options.json:
        print_json(compare_json(comparison))
        return
    print_table(compare_table(comparison))
    print_report(folder, "compare.png")


def _start_from_weights(arguments: Sequence[str]) -> bool:
    """Return whether a network that the arguments name starts from weights."""
    tagged = (parse_candidate(each)[0].partition(".") for each in arguments if not each.startswith("-"))
    return any(each.startswith("--weights-dir") for each in arguments) or any(
        dot and "/" not in model and (model.startswith(TIMM_PREFIX) or zoo_name(model) in all_networks())
        for model, dot, _ in tagged
    )
