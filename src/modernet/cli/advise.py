"""`modernet advise`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from modernet.cli.networks import check_candidates
from modernet.cli.options import MachineOptions, parse, recipe_from, recipe_options
from modernet.cli.output import print_json, print_report, print_table, simple_table
from modernet.errors import InputError
from modernet.files.names import valid_text
from modernet.recipes import Recipe

if TYPE_CHECKING:
    from modernet.report.advise.advice import Advice

R = TypeVar("R", bound=Recipe)

_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Options(Generic[R]):
    """Advise which network to use for your images, on this machine, within a time.

    Examples:
      modernet advise --data my_photos                                       my_photos/CLASS/*.jpg, 30 minutes
      modernet advise --data my_photos --budget 2h --max-latency-ms 20       no slower than that here, for one image
      modernet advise --data my_photos --download --licence permissive       from published weights
      modernet advise --data my_photos --weights-dir weights                 weights/resnet18.pth, ...
      modernet advise --data my_photos --candidates convnext_test resnet18:width=16 swin_test
      modernet advise --data /shared/photos --cluster auto --out /shared/advice      on the machines of a Ray cluster

    Speed and memory are measured first. Then all are trained for few epochs, the better ones for more, and the
    finalists by the whole recipe. It tells which one to use, how sure that is, and what it did not try. After Ctrl-C,
    the same command goes on.
    """

    recipe: str
    """Recipe of the final trainings; the options below override its values. By default, one for the data, or finetune
    if networks start from weights. It decides the task."""
    settings: R
    data: str = "digit_scenes"
    """Images, as modernet train takes them: a folder (class/image, or train and test above it), a name, ..."""
    candidates: tuple[str, ...] = ()
    """Networks to choose from, as modernet compare takes them; by default a dozen of different families that suit the
    size of the images and the budget."""
    budget: str = "30min"
    """Time for everything: 90s, 30min, 2h."""
    max_latency_ms: float | None = None
    """Most milliseconds for one image, here."""
    max_memory_mb: float | None = None
    """Most megabytes that one image takes, here."""
    licence: str = "any"
    """Licence of weights to start from: any, permissive, or one such as apache-2.0."""
    weights_dir: Path | None = None
    """Folder of weights to start from: files such as convnext_tiny.safetensors or timm_resnet18.pth."""
    download: bool = False
    """Start from published weights, downloaded once."""
    seed: int = 0
    """Seed of everything."""
    skip_unreadable: bool = False
    """Skip images that cannot be read, and list them."""
    out: Path | None = None
    """Folder for trainings, record and page; by default runs/advise-DATA."""
    machines: MachineOptions = field(default_factory=MachineOptions)
    json: bool = False
    """Print the advice as JSON."""


def main(arguments: Sequence[str]) -> int:
    from_weights = any(each.partition("=")[0] in ("--download", "--weights-dir") for each in arguments)
    name, recipe = recipe_options("advise", arguments, pretrained=from_weights)
    kind: Any = Options
    options: Options[Recipe] = parse(kind[type(recipe)], "advise", arguments, default=Options(name, recipe))
    budget_seconds = read_duration(options.budget)
    check_candidates(options.candidates)
    from modernet import progress

    with progress.shown(), progress.bar("starting", 1):
        from modernet.studies import Machines
        from modernet.studies.advise import AdviseRequest, advise
        from modernet.training import Interrupted

    request = AdviseRequest(
        options.data,
        recipe_from(options.settings),
        options.candidates,
        budget_seconds,
        options.max_latency_ms,
        options.max_memory_mb,
        options.licence,
        options.weights_dir,
        options.download,
        options.seed,
        options.skip_unreadable,
    )
    folder = options.out or Path("runs") / f"advise-{valid_text(Path(options.data).resolve().name)}"
    try:
        with progress.shown():
            advice = advise(request, machines=Machines(**vars(options.machines)), folder=folder)
    except Interrupted as stopped:
        raise Interrupted(f"{stopped}; the same command goes on in {folder}") from stopped
    if options.json:
        print_json(asdict(advice))
    else:
        _print(advice, folder)
    return int(advice.pick is None)


def read_duration(text: str) -> float:
    """Read `--budget` in seconds.

    Raises:
        InputError: it is no number with a unit.

    >>> read_duration("30min"), read_duration("1.5h")
    (1800.0, 5400.0)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(s|min|h)", text.strip())
    if found is None:
        raise InputError(f"--budget is {text!r}; give a time with its unit, such as 90s, 30min or 2h")
    return float(found[1]) * _UNITS[found[2]]


def _print(advice: Advice, folder: Path) -> None:
    """Print what to use, how far every candidate came, what was not tried, and the next command."""
    from modernet.report import advice_table, advice_words
    from modernet.studies.advise import network_folder
    from modernet.tasks import get_task

    metric = get_task(advice.task).metrics[0]
    heading, *rows = advice_table(advice, metric)
    texts = ("Network", "Weights", "Licence", "How far it came")
    print_table(simple_table("candidates", {each: each not in texts for each in heading}, rows))
    print(advice_words(advice, metric))
    for name, why in advice.not_tried.items():
        print(f"not tried: {name}: {why}")
    network = network_folder(folder, advice)
    if network is not None:
        print(f"use it: modernet predict {shlex.quote(f'{network}/')} PHOTO.jpg")
    print_report(folder, "advice.png")
