"""What networks cost, measured side by side: throughput, latency, memory, and the fastest way to run each."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from modernet import progress
from modernet.benchmark.case import CHOSEN, Case
from modernet.benchmark.inputs import Images
from modernet.benchmark.measure import Outcome, measure, measuring
from modernet.benchmark.questions.speed import DEFAULT_DTYPE
from modernet.benchmark.targets import Target
from modernet.errors import InputError, one_line
from modernet.machine.device import describe
from modernet.machine.timing import speed_ratio
from modernet.preparation import Size
from modernet.records import RECORD_NAME, read_record
from modernet.report.compare.compared import Measurement
from modernet.statistics import bootstrap_interval
from modernet.studies.compare.measuring import metrics
from modernet.studies.compare.measuring.kept import keep, read_kept
from modernet.studies.compare.request import CompareRequest
from modernet.tasks import NamedNetwork, OptimizeRequest, fastest_way, load_network
from modernet.training import Interrupted
from modernet.weights import SavedNetwork
from modernet.weights.saved_network import Description, read_description

COSTS_NAME = "costs.json"
_ROUNDS = 10
_TURN_S = 0.1
_BATCH = {"cpu": 8, "cuda": 32}
_SEARCH_S = 30.0
_FASTEST = "fastest way"

_Value = tuple[float, float | None, float | None]
"""A value, and the ends of its interval."""


@dataclass(frozen=True)
class _Here:
    """The circumstances of all measurements."""

    device: torch.device
    threads: int
    batch: int
    dtype: str

    @staticmethod
    def of(device: torch.device) -> _Here:
        return _Here(device, torch.get_num_threads(), _BATCH[device.type], DEFAULT_DTYPE[device.type])

    def case(self, name: str, size: Size, batch: int) -> Case:
        return Case(name, "infer", self.dtype, "channels_last", "off", batch, size, self.threads)

    def measure(
        self, cases: Sequence[Case], targets: Mapping[str, Target], should_stop: Callable[[], bool]
    ) -> list[Outcome]:
        """Measure cases in turns.

        Raises:
            Interrupted: before the last round was finished.
        """
        with measuring(cases, self.device):
            outcomes = measure(cases, targets, self.device, rounds=_ROUNDS, turn_s=_TURN_S, should_stop=should_stop)
        if any(outcome.error is None and len(outcome.seconds) < _ROUNDS for outcome in outcomes):
            raise Interrupted("stopped while speeds were measured")
        return outcomes


def measure_costs(
    runs: Mapping[str, Path],
    folder: Path,
    device: torch.device,
    *,
    request: CompareRequest,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, tuple[Measurement, ...]]:
    """Measure what networks cost on a device, in inference, each on images of the size that it was trained at.

    All are in memory together and take turns, as in `modernet benchmark`: batches of 8 images on a CPU and 32 on a GPU
    for throughput and memory, single ones for latency; in float32 on a CPU and bfloat16 on a GPU, without compilation.
    Values are medians over ten rounds, with their 95 % bootstrap intervals. Parameters and multiply-accumulates are
    those of the records.

    Of classifiers also the throughput in the fastest way that `modernet optimize` finds in about half a minute, in any
    precision that keeps the accuracy on the validation images, without `torch.compile`, which takes longer. It is
    measured in turns with the network as it is; the ratio, with its interval, scales the throughput from before, so
    that it compares among networks.

    What is measured is kept in the folder, in `costs.json`, and not measured again for the same networks, image sizes,
    device and number of threads. With another network all are measured again: speeds compare only within one run.

    Args:
        runs: label -> folder of a finished run of the network.
        folder: of `costs.json`.
        request: has the images by which the fastest way is chosen.
        should_stop: called between networks and between rounds.

    Returns:
        Label -> what was measured: `images_per_second`, `latency_ms`, `peak_memory_mb`, `params`, `macs` and
        `best_images_per_second`. What failed, such as for lack of memory, is missing, and the reason is said.

    Raises:
        InputError: a folder holds no finished run.
        Interrupted: `should_stop` returned True; the same call goes on.
    """
    if device.type not in _BATCH:
        progress.say(f"speeds are those of the CPU: they are not measured on {device.type}")
        device = torch.device("cpu")
    here, file = _Here.of(device), folder / COSTS_NAME
    about = {label: read_description(run) for label, run in runs.items()}
    identity = _identity(about, here)
    found = read_kept(file, identity)
    if found is None:
        found = {**_side_by_side(runs, here, should_stop), "fastest": {}}
        keep(file, identity, found)
    with progress.saying_once():  # all networks have the same images
        for label in runs:
            measured = "images_per_second" in found["costs"][label]
            if measured and about[label].task == "classification" and label not in found["fastest"]:
                if should_stop():
                    raise Interrupted("stopped before the fastest way of each network was found")
                found["fastest"][label] = _fastest(label, runs[label], request, here, should_stop)
                keep(file, identity, found)
    for label in runs:
        for what, why in {**found["failed"][label], **found["fastest"].get(label, {}).get("failed", {})}.items():
            progress.say(f"{label}: no {what}: {why}")
    return {
        label: _measurements(run, found["costs"][label], found["fastest"].get(label), here)
        for label, run in runs.items()
    }


def _identity(about: Mapping[str, Description], here: _Here) -> dict[str, Any]:
    """Return what speeds depend on; JSON-able."""
    return {
        "modernet": metadata.version("modernet"),
        "torch": torch.__version__,
        "device": describe(here.device, here.threads),
        "threads": here.threads,
        "networks": {
            label: [each.task, asdict(each.spec), len(each.classes), each.preparation.size]
            for label, each in about.items()
        },
    }


def _side_by_side(runs: Mapping[str, Path], here: _Here, should_stop: Callable[[], bool]) -> dict[str, Any]:
    """Measure all networks in turns: `costs`, label -> name -> value, and `failed`, label -> what -> why."""
    networks = {label: load_network(run) for label, run in runs.items()}
    cases = [
        here.case(label, saved.preparation.size, batch)
        for label, saved in networks.items()
        for batch in (here.batch, 1)
    ]
    targets = {label: _target(saved) for label, saved in networks.items()}
    outcomes = here.measure(cases, targets, should_stop)
    costs: dict[str, dict[str, _Value]] = {}
    failed: dict[str, dict[str, str]] = {}
    for label, batch, single in zip(networks, outcomes[::2], outcomes[1::2], strict=True):
        found = {"throughput": batch, "latency": single}
        failed[label] = {what: outcome.error for what, outcome in found.items() if outcome.error is not None}
        costs[label] = {}
        if batch.error is None:
            median, low, high = _median(batch.seconds)
            costs[label]["images_per_second"] = here.batch / median, here.batch / high, here.batch / low
            if batch.peak_bytes is not None:
                costs[label]["peak_memory_mb"] = batch.peak_bytes / 1e6, None, None
        if single.error is None:
            median, low, high = _median(single.seconds)
            costs[label]["latency_ms"] = 1e3 * median, 1e3 * low, 1e3 * high
    return {"costs": costs, "failed": failed}


def _fastest(
    label: str, run: Path, request: CompareRequest, here: _Here, should_stop: Callable[[], bool]
) -> dict[str, Any]:
    """Return how many times as fast a network is in its fastest way: `ratio`, or `failed`, what -> why."""
    network = NamedNetwork.of_run(run)
    asked = OptimizeRequest(
        request.data,
        batch_size=here.batch,
        seconds=_SEARCH_S,
        skip_unreadable=request.skip_unreadable,
        compile=False,
    )
    try:
        fast = fastest_way(network, asked, here.device)
    except Exception as error:  # libraries report the end of memory in many ways
        return {"failed": {_FASTEST: one_line(error, with_type=not isinstance(error, InputError))}}
    plain = here.case(label, network.saved.preparation.size, here.batch)
    chosen = replace(plain, model=f"{label}, {_FASTEST}", layout=CHOSEN, compile=CHOSEN)
    own = _target(network.saved)
    targets = {plain.model: own, chosen.model: replace(own, optimized=True, kept=lambda: fast)}
    before, after = here.measure([plain, chosen], targets, should_stop)
    errors = [outcome.error for outcome in (before, after) if outcome.error is not None]
    if errors:
        return {"failed": {_FASTEST: errors[0]}}
    return {"ratio": astuple(speed_ratio(after.seconds, before.seconds))}


def _target(saved: SavedNetwork) -> Target:
    """Return a network for `measure`; its cases share it, as nothing of it is changed but device and dtype."""
    return Target(lambda image_size: saved.network, Images(len(saved.preparation.mean)), task=saved.task)


def _median(seconds: Sequence[float]) -> tuple[float, float, float]:
    interval = bootstrap_interval(seconds)
    return statistics.median(seconds), interval.low, interval.high


def _measurements(
    run: Path, costs: Mapping[str, _Value], fastest: Mapping[str, Any] | None, here: _Here
) -> tuple[Measurement, ...]:
    """Return what is known of a network, with what it means."""
    meanings = (
        metrics.images_per_second(here.batch, here.dtype),
        metrics.latency_ms(here.dtype),
        metrics.peak_memory_mb(here.batch, here.dtype),
    )
    found = [(metric, *costs[metric.name]) for metric in meanings if metric.name in costs]
    if fastest is not None and "ratio" in fastest:
        usual = costs["images_per_second"][0]
        ends = (usual * max(ratio, 1.0) for ratio in fastest["ratio"])  # the usual way is one of them
        found.append((metrics.best_images_per_second(here.batch), *ends))
    settings = read_record(run / RECORD_NAME).settings
    found += [(metric, settings[metric.name], None, None) for metric in (metrics.PARAMS, metrics.MACS)]
    return tuple(Measurement(metric, (value,), low, high) for metric, value, low, high in found)
