"""`modernet train`."""

from __future__ import annotations

import ast
import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modernet.cli.explain import as_json, as_table, explain
from modernet.cli.options import RecipeOptions, parse, recipe_from, recipe_options
from modernet.cli.output import print_json, print_table
from modernet.errors import InputError, RunStopped
from modernet.recipes import Execution

if TYPE_CHECKING:
    from modernet.processes import Processes
    from modernet.records import Record

_NOT_THE_USERS = {
    "num_classes": "it is the number of classes of the data",
    "in_chans": "images have three channels",
    "global_pool": "a classifier needs its pool",
    "drop_path_rate": "give --drop-path",
}


@dataclass(frozen=True)
class Options:
    """Train a classifier on your images, from random weights or from published ones.

    Examples:
      modernet train --data my_photos --model convnext_tiny.fb_in22k_ft_in1k
      modernet train --data my_photos --model convnext_tiny --weights convnext_tiny_1k_224_ema.pth
      modernet train --data my_photos --model convnext_test       my_photos/CLASS/*.jpg
      modernet train --data cifar10 --model resnet18 --epochs 10 --lr 2e-3
      modernet train --data my_photos --model convnext_test --resume
      modernet train --recipe convnext --model convnext_small --batch-size 128 --explain

    The folder of the run gets the weights, a record, and while it is unfinished a checkpoint.
    """

    recipe: str
    """Recipe: the options below override its values."""
    settings: RecipeOptions
    execution: Execution
    data: str = "digit_scenes"
    """Images: a folder (class/image, or train and test above it), shards, parquet, URL, hf:org/name, or a name."""
    model: str = "convnext_test"
    """Network: one of `modernet models`; or of `modernet weights`, to start from those, fetched once."""
    weights: Path | None = None
    """File of weights for that network to start from, of its authors, timm, torchvision, transformers or OpenMMLab."""
    model_fields: tuple[str, ...] = ()
    """Fields of the model's config to change, such as stem_stride=2."""
    seed: int = 0
    """Seed of the first weights, the order of the images, and all noise."""
    out: Path | None = None
    """Folder of the run; by default runs/train-MODEL-DATA."""
    resume: bool = False
    """Go on with the unfinished run in that folder."""
    skip_unreadable: bool = False
    """Leave out images that cannot be read, and list them."""
    explain: bool = False
    """Print every value of the run and where it comes from, and train nothing."""
    json: bool = False
    """Print the record, or the explanation, as JSON."""


def main(arguments: Sequence[str]) -> None:
    options = parse(Options, "train", arguments, default=Options(*recipe_options(arguments), Execution()))
    folder = (
        options.out or Path("runs") / f"train-{options.model.replace(':', '-')}-{Path(options.data).resolve().name}"
    )

    from modernet.processes import FailedElsewhere, join_processes, leave_processes

    processes = join_processes()
    if options.explain:
        if processes.main:
            _explain(options, arguments, processes.world)
        leave_processes()
        return
    try:
        with processes.losing_others():
            record = _train(options, folder, processes)
    except RunStopped as stopped:
        if not processes.main:  # all have agreed to stop, and the first one says it
            raise FailedElsewhere("") from stopped
        from modernet.training import Interrupted, has_checkpoint

        if isinstance(stopped, Interrupted | FailedElsewhere) and has_checkpoint(folder):
            raise type(stopped)(f"{stopped}; the same command with --resume goes on") from stopped
        raise
    leave_processes()
    if not processes.main:
        return
    if options.json:
        print_json(asdict(record))
        return
    metrics = record.metrics
    words = [
        f"{options.model} on {record.settings['data']['name']}: "
        f"test top-1 {metrics['test_top1']:.1f} % (n = {metrics['test_n']:.0f})",
        f"validation {metrics['validation_top1']:.1f} % (n = {metrics['validation_n']:.0f})",
    ]
    if "train_images_per_second" in metrics:
        words.append(f"{metrics['train_images_per_second']:.0f} training images/s")
    print(f"{', '.join(words)}\nrun: {folder}")


def _train(options: Options, folder: Path, processes: Processes) -> Record:
    """Open everything and train, in each of the processes."""
    from modernet import progress

    with progress.shown() if processes.main else nullcontext():
        with progress.task("starting", 1):
            from modernet.data import open_dataset
            from modernet.models import get_entry
            from modernet.tasks import train_classifier
            from modernet.training import prepare_folder, stop_requested_by_signal
            from modernet.weights import NetworkSpec, starting_weights

        with processes.first():  # so that a mistake is said once
            fields = _parse_fields(options.model_fields)
            model, _, tag = options.model.partition(".")
            spec = NetworkSpec("model", get_entry(model).name, fields)
            options.execution.parts(options.settings.batch_size, processes.world)
            if processes.main:
                prepare_folder(folder, resume=options.resume, restarted=_restarted())
            start = starting_weights(options.model, options.weights) if tag or options.weights else None
            recipe = recipe_from(options.settings)
            image_size = recipe.images.image_size
            if image_size is None and start is not None:
                image_size = start.image_size
            dataset = open_dataset(
                options.data,
                image_size=image_size,
                skip_unreadable=options.skip_unreadable,
                whole_images=recipe.cuts_images,
                interpolation=recipe.images.interpolation,
            )
        with stop_requested_by_signal() as should_stop:
            return train_classifier(
                spec,
                dataset,
                recipe,
                seed=options.seed,
                start=start,
                folder=folder,
                execution=options.execution,
                processes=processes,
                tell_cost=True,
                should_stop=should_stop,
            )


def _explain(options: Options, arguments: Sequence[str], world: int) -> None:
    """Print what would be run, without opening weights or images."""
    from modernet.models import get_entry

    get_entry(options.model.partition(".")[0])
    _parse_fields(options.model_fields)
    run = {
        "recipe": options.recipe,
        "model": options.model,
        "model_fields": list(options.model_fields),
        "weights": None if options.weights is None else str(options.weights),
        "data": options.data,
        "seed": options.seed,
    }
    values = explain(arguments, run, recipe_from(options.settings), options.execution, world)
    if options.json:
        print_json(as_json(values))
    else:
        print_table(as_table(options.recipe, values))


def _restarted() -> bool:
    """Whether torchrun starts this process again, after another one died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def _parse_fields(fields: Sequence[str]) -> dict[str, Any]:
    """`stem_stride=2` -> a name and a value in Python's syntax; a word is a string."""
    values: dict[str, Any] = {}
    for field in fields:
        name, equals, text = field.partition("=")
        if not equals:
            raise InputError(f"--model-fields got {field!r}; give name=value, such as stem_stride=2")
        if name in _NOT_THE_USERS:
            raise InputError(f"--model-fields cannot set {name}: {_NOT_THE_USERS[name]}")
        try:
            values[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            values[name] = text
    return values
