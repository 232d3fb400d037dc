"""`modernet train`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from modernet.catalogue.fields import parse_fields
from modernet.cli.explain import as_json, as_table, explain
from modernet.cli.options import architecture, parse, recipe_from, recipe_options
from modernet.cli.output import print_json, print_table, results
from modernet.errors import RunStopped
from modernet.files.names import valid_text
from modernet.recipes import Execution, Recipe, get_named
from modernet.records import is_run_path

if TYPE_CHECKING:
    from modernet.processes import Processes
    from modernet.records import Record

R = TypeVar("R", bound=Recipe)

_DEFAULTS = {
    "sequences": ("listops-nano", "transformer"),
    "sequence_pretraining": ("listops-nano", "transformer"),
    "points": ("solids", "ascn_nano"),
    "point_segmentation": ("solids-parts", "ascn_nano"),
}
"""Tasks with other defaults of data and model than those on images."""


@dataclass(frozen=True)
class Options(Generic[R]):
    """Train a network on your images, sequences or point clouds: from random weights, published ones, or those of a
    finished run. The recipe decides the task.

    Examples:
      modernet train --data my_photos --model convnext_tiny.fb_in22k_ft_in1k
      modernet train --data my_photos --model convnext_tiny --weights convnext_tiny_1k_224_ema.pth
      modernet train --data my_photos --model convnext_test       my_photos/CLASS/*.jpg
      modernet train --data cifar10 --model resnet18 --epochs 10 --lr 2e-3
      modernet train --data my_photos --model convnext_test --resume
      modernet train --data my_photos --model runs/first --epochs 5          the network of that run, trained on
      modernet train --recipe mae --data any_photos               without labels, for a start: then --model of that run
      modernet train --recipe sequences --data my_texts.tsv --model s4d_lin        text, sound, pixels: as sequences
      modernet train --recipe points --data my_scans --model ascn                  my_scans/CLASS/*.ply
      modernet train --recipe convnext --model convnext_small --batch-size 128 --explain

    The folder of the run receives the weights, a record and, until the run is finished, a checkpoint.
    """

    recipe: str
    """Recipe (see modernet recipes); options below override it. By default, one for the data or the weights."""
    settings: R
    execution: Execution
    data: str = "digit_scenes"
    """Images: a folder (class/image, or train and test above it), shards, parquet, URL, hf:org/name, or a name; for
    pre-training any folder of images; for segmentation a folder with label maps; for detection a folder with COCO,
    Pascal VOC or YOLO annotations, a COCO json or a data.yaml; for sequences a table (.tsv), a folder of .wav files, or
    a name such as listops or pathfinder32; for point clouds a folder (class/cloud), the HDF5 files of ModelNet40,
    ShapeNet-part or S3DIS, an .npz, or solids."""
    model: str = "convnext_test"
    """Network: one of `modernet models`; of `modernet weights`, to start from those, downloaded once; or the folder of
    a finished run, with a slash, to train its network on. Its classifier is kept where the classes are the same. For
    sequences and point clouds: one of `modernet models --sequences` and `--points`, or such a run."""
    weights: Path | None = None
    """Weights for that network to start from: a file of its authors, timm, torchvision, transformers or OpenMMLab; or a
    finished run, its folder or its model.safetensors."""
    model_fields: tuple[str, ...] = ()
    """Fields of the model's config to change, such as stem_stride=2."""
    seed: int = 0
    """Seed of the initial weights, the order of the images, and all noise."""
    out: Path | None = None
    """Folder of the run; by default runs/train-MODEL-DATA, or runs/TASK-train-MODEL-DATA if not a classifier."""
    resume: bool = False
    """Resume the unfinished run in that folder, or begin it, or print the result if it is finished: a scheduler can
    always pass this."""
    skip_unreadable: bool = False
    """Skip what cannot be read, and list it."""
    explain: bool = False
    """Print every value of the run and where it comes from, and train nothing."""
    json: bool = False
    """Print the record, or the explanation, as JSON."""


def main(arguments: Sequence[str]) -> None:
    name, recipe = recipe_options("train", arguments)
    kind: Any = Options
    default = _default_options(name, recipe)
    options: Options[Recipe] = parse(kind[type(recipe)], "train", arguments, default=default)
    folder = options.out or Path("runs") / _default_name(options)

    from modernet.processes import FailedElsewhere, join_processes, leave_processes

    processes = join_processes()
    if options.explain:
        if processes.main:
            _explain(options, processes.world)
        leave_processes()
        return
    try:
        with processes.losing_others():
            record = _train(options, folder, processes)
    except RunStopped as stopped:
        if not processes.main:  # all have agreed to stop, and the first one reports it
            raise FailedElsewhere("") from stopped
        from modernet.training import Interrupted, has_checkpoint

        if isinstance(stopped, Interrupted | FailedElsewhere) and has_checkpoint(folder):
            raise type(stopped)(f"{stopped}; the same command with --resume continues") from stopped
        raise
    leave_processes()
    if not processes.main:
        return
    if options.json:
        print_json(asdict(replace(record, details={})))  # those are long, and in record.json
        return
    _print_summary(options.model, record)
    print(f"run: {folder}")


def _default_options(name: str, recipe: Recipe) -> Options[Recipe]:
    if recipe.task in _DEFAULTS:
        data, model = _DEFAULTS[recipe.task]
        return Options(name, recipe, Execution(), data=data, model=get_named(name).model or model)
    return Options(name, recipe, Execution(), model=get_named(name).model or Options.model)


def _default_name(options: Options[Recipe]) -> str:
    task = options.settings.task
    model = Path(options.model).resolve().name if is_run_path(options.model) else options.model.replace(":", "-")
    name = f"train-{valid_text(model.removeprefix('train-'))}-{valid_text(Path(options.data).resolve().name)}"
    return name if task == "classification" else f"{task}-{name}"


def _train(options: Options[Recipe], folder: Path, processes: Processes) -> Record:
    """Open everything and train, in each of the processes."""
    from modernet import progress

    with progress.shown() if processes.main else nullcontext():
        with progress.bar("starting", 1):
            from modernet.tasks import TrainRequest, get_task
            from modernet.training import prepare_folder, stop_requested_by_signal

        with processes.first():  # so that a mistake is reported once
            fields = parse_fields(options.model_fields)
            options.execution.micro_batches(options.settings.batch_size, processes.world)
            if processes.main:
                prepare_folder(folder, resume=options.resume, restarted=_restarted())
            recipe = recipe_from(options.settings)
            request = TrainRequest(
                recipe, options.model, fields, options.weights, options.data, options.seed, options.skip_unreadable
            )
            run = get_task(recipe.task).prepare(request)
        with stop_requested_by_signal() as should_stop:
            return run(
                folder=folder,
                execution=options.execution,
                processes=processes,
                show_cost=True,
                should_stop=should_stop,
            )


def _print_summary(model: str, record: Record) -> None:
    """Print the primary metric on test and validation, that over the last epochs, and the throughput."""
    notes = [
        f"{split} {results(record.task_metrics[:1], record.metrics, split)}"
        for split in ("test", "validation")
        if record.score(split) is not None
    ]
    mean, spread = (record.metrics.get(f"test_{record.primary.name}_{name}") for name in ("mean", "spread"))
    if mean is not None and spread is not None:
        digits = record.primary.digits_for(record.metrics.get("test_n"))
        notes.insert(1, f"over the last epochs {mean:.{digits}f} ± {spread:.{digits}f}")
    notes += [
        f"{value:.0f} training {name.removeprefix('train_').removesuffix('_per_second')}/s"
        for name, value in record.metrics.items()
        if name.startswith("train_") and name.endswith("_per_second")
    ]
    print(f"{model} on {record.settings['data']['name']}: {', '.join(notes)}")


def _explain(options: Options[Recipe], world: int) -> None:
    """Print what would run, without opening weights or images."""
    fields = parse_fields(options.model_fields)
    if not is_run_path(options.model):
        _check_model(options, fields)
    run, defaults = (
        {
            "recipe": each.recipe,
            "model": each.model,
            "model_fields": list(each.model_fields),
            "weights": None if each.weights is None else str(each.weights),
            "data": each.data,
            "seed": each.seed,
        }
        for each in (options, _default_options(options.recipe, options.settings))
    )
    values = explain(run, defaults, recipe_from(options.settings), options.execution, world)
    if options.json:
        print_json(as_json(values))
    else:
        print_table(as_table(options.recipe, values))


def _check_model(options: Options[Recipe], fields: Mapping[str, Any]) -> None:
    if options.settings.task in ("sequences", "sequence_pretraining"):
        from modernet.sequences.zoo import sequence_config

        sequence_config(options.model, **fields)
    elif options.settings.task in ("points", "point_segmentation"):
        from modernet.points.zoo import point_config

        point_config(options.model, **fields)
    else:
        from modernet.models import get_entry

        get_entry(architecture(options.model))


def _restarted() -> bool:
    """Whether torchrun restarts this process after another one died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0
