"""Records: what was run and what came out, as JSON. Reports read nothing else."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from modernet.errors import InputError, one_line
from modernet.files.atomic import whole_file

RECORD_NAME = "record.json"
NETWORK_NAME = "network.json"
OPTIMIZED_NAME = "optimized.json"
OPTIMIZED_PREFIX = "optimized:"
"""Prefix of names of networks that are optimized by `modernet.deploy.optimize` before they are measured."""
SCHEMA = 1
_VERSIONED = (
    *("modernet", "torch", "torchvision", "timm", "triton", "accelerate", "numpy"),
    *("onnxruntime", "openvino", "nncf"),
)


@dataclass(frozen=True)
class Metric:
    """What a metric of a task means. Records store its values as `{split}_{name}`, such as `test_top1`.

    Attributes:
        name: in code: `"top1"`, `"miou"`.
        title: for people: `"top-1"`, `"mIoU"`.
        unit: `"%"`, `"ms"`; empty if it has none.
        digits: decimals of its values; None derives them from the number of samples, see `digits_for`.
        higher_is_better: the direction of progress.
        limits: the smallest and the largest possible value; None where there is no bound.
    """

    name: str
    title: str
    unit: str = "%"
    digits: int | None = None
    higher_is_better: bool = True
    limits: tuple[float | None, float | None] = (0.0, 100.0)

    def digits_for(self, n: float | None) -> int:
        """Return the decimals of a value over `n` samples.

        By default 2 from 10,000 samples on, where one sample changes a percentage by 0.01 points, and 1 for fewer.
        """
        if self.digits is not None:
            return self.digits
        return 2 if n is not None and n >= 10_000 else 1


CLASSIFICATION = (Metric("top1", "top-1"), Metric("top5", "top-5"))
"""The metrics of records that do not describe theirs: all of them are of classifiers."""


@dataclass(frozen=True)
class Record:
    """One finished run.

    Attributes:
        kind: the command that wrote it: `"train"`, `"evaluate"`, ...
        name: a short label, for a row of a table.
        settings: everything needed to repeat the run: model, data, recipe, seed; for a study, its place in the study.
        metrics: results, by name with unit (`test_top1` in per cent, `train_images_per_second`). The number of samples
            behind the metrics of a split is a metric itself (`test_n`).
        history: one row of metrics per epoch, in order.
        environment: date, versions, device and commit, as `environment()` returns them.
        error: why the run failed, in one line; None if it finished.
        task_metrics: what the task's metrics mean, the primary one first.
        details: what the test split showed besides numbers, each part optional: `confusion`, with `classes` and
            `counts` (true class by predicted class), and for objects `missed` and `false_alarms` (by class) and the
            `score` and `iou` from which on they count; `precision_recall`, a list of curves, with
            `class` (None for the mean, which has the number of `classes`), `iou` and `precision` (in [0, 1]) at recalls
            in even steps from 0 to 1; `misses`, a list of the images with the worst results, with `image` (its name),
            `why` and `jpeg` (a small drawing, base64); `clouds`, with `pictures` of the first point clouds of each
            class in the form of `misses` and, where points have classes, `colours`, pairs of a class and its `#rrggbb`;
            `per_class`, metrics by class, perhaps with their `n`, and `class_metric`, the `name` and `title` of the one
            that tells which is worst; `reconstructions` of a pre-training, with the `split` of the `images`, each of
            them as in `misses`, and its `mask_ratio` and `norm_pixels`; `probes`, how the probes of features were
            chosen, as `modernet.evaluation.probing.results` describes it. Of a test
            of robustness: `corruptions`, `corruption_means`, `calibration`, `resolution`, `translation` and `bias` as
            `modernet.evaluation.robustness` describes them, and unless it is of a classifier, `measure`: the `name` and
            `title` of the metric that the rows of `corruptions` and `corruption_means` have instead of `error`.
    """

    kind: str
    name: str
    settings: dict[str, Any]
    metrics: dict[str, float]
    history: list[dict[str, float]] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    schema: int = SCHEMA
    task_metrics: tuple[Metric, ...] = CLASSIFICATION
    details: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.task_metrics:
            raise ValueError("a record needs at least one task metric, its primary one")

    @property
    def primary(self) -> Metric:
        """The metric that reports compare runs by."""
        return self.task_metrics[0]

    def score(self, split: str, metric: Metric | None = None) -> float | None:
        """Return a metric (default: the primary one) on `"test"` or `"validation"`; None if it was not measured."""
        return self.metrics.get(f"{split}_{(metric or self.primary).name}")

    def stored(self, names: Iterable[str], what: str, remedy: str) -> dict[str, Any]:
        """Return settings and details by name.

        Args:
            what: the record is of, for a message.
            remedy: what writes a whole one.

        Raises:
            InputError: one of them is missing.
        """
        known = {**self.settings, **self.details}
        found = {}
        for name in names:
            if name not in known:
                raise InputError(f"the record {self.name!r} of {what} has no {name!r}; {remedy}")
            found[name] = known[name]
        return found

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the record as JSON, atomically; its details, which are long, in one line.

        Raises:
            ValueError: a number is not finite; JSON has no NaN.
        """
        fields = asdict(self)
        details = fields.pop("details")
        text = json.dumps(fields, indent=1, allow_nan=False)
        if details:
            line = json.dumps(details, separators=(",", ":"), allow_nan=False)
            text = text.removesuffix("\n}") + f',\n "details": {line}\n}}'
        with whole_file(path) as unfinished:
            unfinished.write_text(text + "\n", encoding="utf-8")


def read_record(path: str | os.PathLike[str]) -> Record:
    """Read one record. Without `task_metrics`, as in records of early versions, its metrics are `CLASSIFICATION`.

    Raises:
        InputError: the file is missing, is not a record, or was written by a newer modernet.
    """
    try:
        fields = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the record {path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path} is not a record: {error}") from error
    if not isinstance(fields, dict) or "schema" not in fields:
        raise InputError(f"{path} is not a record: it has no field 'schema'")
    if fields["schema"] != SCHEMA:
        raise InputError(f"{path} has schema {fields['schema']}; this modernet reads schema {SCHEMA}: upgrade modernet")
    try:
        if "task_metrics" in fields:
            fields["task_metrics"] = tuple(map(_read_metric, fields["task_metrics"]))
        return Record(**fields)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path} is not a record: {error}") from error


def _read_metric(fields: dict[str, Any]) -> Metric:
    metric = Metric(**fields)
    low, high = metric.limits  # a list in JSON
    return replace(metric, limits=(low, high))


def read_records(folder: str | os.PathLike[str]) -> list[Record]:
    """Read every `record.json` in a folder and its subfolders, in the order of their paths.

    Raises:
        InputError: the folder does not exist, or contains no record.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"there is no folder {folder}; give the folder that a run wrote, such as runs/roadmap")
    paths = sorted(root.rglob(RECORD_NAME))
    if not paths:
        raise InputError(f"no {RECORD_NAME} in {folder} or below it; give the folder that a run wrote")
    return [read_record(path) for path in paths]


def worst_classes(
    per_class: Mapping[str, Mapping[str, float]], name: str, most: int
) -> list[tuple[str, Mapping[str, float]]]:
    """Return the classes with the lowest metric, of those below 100 %, with their rows; the largest first where equal.

    Args:
        per_class: as in `Record.details`.
        name: of the metric; classes without it are left out.
        most: how many classes.
    """
    wrong = [(label, row) for label, row in per_class.items() if row.get(name, 100) < 100]
    return sorted(wrong, key=lambda each: (each[1][name], -each[1].get("n", 0)))[:most]


def is_run_path(model: str) -> bool:
    """Return whether what stands for a network is the path of a run: names of networks have no slash.

    >>> is_run_path("runs/first"), is_run_path("./first"), is_run_path("resnet18"), is_run_path("timm:hf-hub:timm/vit")
    (True, True, False, False)
    """
    return ("/" in model or os.sep in model) and ":" not in model


def check_no_folder(name: str) -> None:
    """Check that a name that no network has is not that of a folder, which was meant then.

    Raises:
        InputError: it is.
    """
    if Path(name).is_dir():
        raise InputError(f"no model is called {name!r}; for the folder of that name, give ./{name}")


def read_network(folder: Path) -> dict[str, Any]:
    """Read what a finished run says of its network: how to build it, under `spec`, and how to use it.

    Raises:
        InputError: the folder contains no network, or the file is damaged.
    """
    if not (folder / NETWORK_NAME).is_file():
        if (folder / OPTIMIZED_NAME).is_file():
            raise InputError(
                f"{folder} has only the optimized network; save it with network=, or use modernet.load_optimized"
            )
        raise InputError(f"no trained network in {folder}: it has no {NETWORK_NAME}; give the folder of a finished run")
    try:
        description: dict[str, Any] = json.loads((folder / NETWORK_NAME).read_text(encoding="utf-8"))
        _ = description["spec"]["name"]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise damaged_network(folder, error) from error
    return description


def damaged_network(folder: Path, error: Exception) -> InputError:
    """Make the error for a finished run whose network cannot be read."""
    return InputError(f"the trained network in {folder} cannot be read ({one_line(error)}); train it again")


def environment(device: str) -> dict[str, Any]:
    """Return date, versions, machine and commit of this process.

    Args:
        device: its name for people: `"NVIDIA H200"`, `"CPU, 2 threads"`.
    """
    versions = {"python": platform.python_version()}
    for package in _VERSIONED:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": device,
        "platform": f"{platform.system()} {platform.machine()}",
        "versions": versions,
        "commit": _commit(),
    }


def _commit() -> str | None:
    """Return the commit of the checkout that this package runs from; None for an installed package."""
    here = Path(__file__).parent
    if not (here.parents[1] / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=here, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
