"""What is known of candidates before any is trained: cost on paper and here, and what their features are worth."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from modernet import progress
from modernet.benchmark.case import Case
from modernet.benchmark.measure import measuring
from modernet.benchmark.targets import Target
from modernet.benchmark.workload import Workload, prepare
from modernet.data import open_prepared
from modernet.errors import InputError, one_line
from modernet.evaluation.judging import Judged
from modernet.evaluation.probing import fit_linear, frozen_features, neighbour_scores
from modernet.files.survival import surviving
from modernet.machine.memory import is_out_of_memory, release, transient_bytes
from modernet.machine.timing import rounds_in_turns
from modernet.models import create_model, get_entry
from modernet.preparation import ImageSize
from modernet.report.notation import plural
from modernet.studies.advise.allowance import Allowance
from modernet.studies.advise.request import AdviseRequest
from modernet.studies.compare.candidates import Candidate
from modernet.training import Interrupted
from modernet.weights import NetworkSpec, SavedNetwork, class_names, starting_weights

_ROUNDS, _TURN_S, _WARM_UP = 5, 0.05, 2
_BATCH = {"cpu": 8}
_MOST_BATCH = 32
_STRENGTHS = (1e-1, 1e-2, 1e-3)


@dataclass(frozen=True)
class Evidence:
    """What is known of a candidate.

    Attributes:
        latency_ms: of one image, the median.
        memory_mb: peak memory of one image; None where the system does not tell.
        images_per_second: in batches of 8 on a CPU, else 32.
        probes: as in `Considered`.
        error: why it could not be measured.
    """

    latency_ms: float | None = None
    memory_mb: float | None = None
    images_per_second: float | None = None
    probes: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None


def measure_costs(
    candidates: Sequence[Candidate],
    image_size: ImageSize,
    num_classes: int,
    device: torch.device,
    folder: Path,
    allowance: Allowance,
) -> dict[str, Evidence]:
    """Measure candidates as classifiers in inference, in float32 and in turns, all at the same image size.

    Of each the fastest turn counts, since other processes can only slow it down. In a hurry, each has one turn.

    Args:
        folder: of the study.

    Raises:
        Interrupted: before each had a turn, by request or since the time is over.
    """
    threads, batch = torch.get_num_threads(), _BATCH.get(device.type, _MOST_BATCH)
    cases = {
        (each.label, size): Case(each.label, "infer", "float32", "channels_last", "off", size, image_size, threads)
        for each in candidates
        for size in (1, batch)
    }
    targets = {each.label: _target(each, num_classes) for each in candidates}
    markers = {each.label: folder / f".{each.folder}.attempts" for each in candidates}
    workloads: dict[tuple[str, int], Workload] = {}
    memory: dict[str, float | None] = {}
    errors: dict[str, str] = {}
    with measuring(list(cases.values()), device):
        for (label, size), case in progress.track(cases.items(), "preparing", len(cases)):
            _check(allowance)
            if label in errors:
                continue
            try:
                with surviving(markers[label]):
                    workload = workloads[label, size] = prepare(case, targets[label], device)
                    for _ in range(_WARM_UP):
                        workload.step()
                    if size == 1:
                        transient = transient_bytes(workload.step, device)
                        memory[label] = None if transient is None else (workload.held_bytes + transient) / 1e6
                        allowance.count()
            except Exception as error:  # whatever a network raises that does not take these images
                errors[label] = "out of memory" if is_out_of_memory(error) else one_line(error, with_type=True)
                release(device)
        calls = {
            f"{label}, {plural(size, 'image')}": _checked(each.step, allowance)
            for (label, size), each in workloads.items()
            if label not in errors
        }
        seconds: dict[str, list[float]] = {name: [] for name in calls}
        for turn in rounds_in_turns(calls, device, rounds=_ROUNDS, turn_s=_TURN_S, warm_up=0, name="taking turns"):
            for name, value in turn.items():
                seconds[name].append(value)
            if allowance.hurry():
                break
    found = {label: Evidence(error=error) for label, error in errors.items()}
    for label, peak in memory.items():
        if label not in errors:
            single, many = (min(seconds[f"{label}, {plural(n, 'image')}"]) for n in (1, batch))
            found[label] = Evidence(1e3 * single, peak, batch / many)
    return found


def _check(allowance: Allowance) -> None:
    if allowance.stop():
        raise Interrupted("stopped while speeds were measured")


def _checked(step: Callable[[], object], allowance: Allowance) -> Callable[[], object]:
    """Return a step that is not taken when it is time to stop: with large networks, a round takes minutes."""

    def checked() -> object:
        _check(allowance)
        return step()

    return checked


def _target(candidate: Candidate, num_classes: int) -> Target:
    network = candidate.model.partition(".")[0]
    return Target(lambda size: create_model(network, num_classes=num_classes, **candidate.fields))


def beyond_limits(evidence: Mapping[str, Evidence], request: AdviseRequest) -> dict[str, str]:
    """Return which candidates are beyond the limits of a request, and by how much.

    Raises:
        InputError: all are; the message names the one that comes nearest.
    """
    reasons: dict[str, str] = {}
    excess: dict[str, float] = {}
    for name, found in evidence.items():
        for value, most, unit in (
            (found.latency_ms, request.max_latency_ms, "ms for one image"),
            (found.memory_mb, request.max_memory_mb, "MB for one image"),
        ):
            if value is not None and most is not None and value > most:
                reasons.setdefault(name, f"{value:.3g} {unit}, and the limit is {most:g}")
                excess[name] = max(excess.get(name, 0.0), value / most)
    if reasons and len(reasons) == sum(found.error is None for found in evidence.values()):
        nearest = min(excess, key=lambda name: excess[name])
        raise InputError(
            f"no candidate is within the limits; {nearest} comes nearest: {reasons[nearest]}; give a higher limit, a "
            "smaller --image-size, or smaller --candidates"
        )
    return reasons


def probe_features(
    candidate: Candidate, request: AdviseRequest, image_size: ImageSize, device: torch.device
) -> dict[str, float]:
    """Return accuracies of simple classifiers on the features that a candidate's weights give, on validation.

    `linear`, the best of three strengths, and `knn` with 20 neighbours; they know the training images.

    Raises:
        InputError: the weights do not fit.
    """
    model = get_entry(candidate.model.partition(".")[0]).name
    start = starting_weights(candidate.model, candidate.weights)
    spec = NetworkSpec("model", model, dict(candidate.fields))
    network = spec.build(1)
    start.load_into(network)
    preparation = replace(start.preparation, image_size=image_size)
    saved = SavedNetwork(network.eval(), spec, class_names(1), preparation)
    dataset = open_prepared(request.data, preparation, skip_unreadable=request.skip_unreadable)
    features = frozen_features(saved, dataset, ("train", "validation"), device=device)
    train, validation = features["train"], features["validation"]
    classes = len(dataset.classes)
    linear = max(
        Judged.of(fit_linear(train, classes, each).scores(validation.vectors), validation.labels).accuracy().top1
        for each in _STRENGTHS
    )
    votes = neighbour_scores(train, validation.vectors, classes, (min(20, len(train)),))
    knn = max(Judged.of(each, validation.labels).accuracy().top1 for each in votes.values())
    return {"linear": linear, "knn": knn}


def with_probes(
    candidates: Sequence[Candidate],
    evidence: Mapping[str, Evidence],
    request: AdviseRequest,
    image_size: ImageSize,
    device: torch.device,
    n_images: int,
    folder: Path,
    allowance: Allowance,
) -> dict[str, Evidence]:
    """Return the evidence with the probes of those candidates that start from weights, as far as there is time.

    Args:
        n_images: training and validation images, whose features are computed.
        folder: of the study.

    Raises:
        Interrupted: by request, or since the time is over.
    """
    found = dict(evidence)
    with_weights = [each for each in candidates if each.starts_from is not None]
    for candidate in progress.track(with_weights, "probing features", len(with_weights)):
        _check(allowance)
        if not allowance.allows(n_images / (evidence[candidate.label].images_per_second or math.inf)):
            progress.say(f"the features of {candidate.label} were not probed: there is no time for it")
            continue
        try:
            with surviving(folder / f".{candidate.folder}.attempts"):
                probes = probe_features(candidate, request, image_size, device)
        except (InputError, RuntimeError) as error:
            progress.say(f"the features of {candidate.label} were not probed: {one_line(error)}")
            continue
        found[candidate.label] = replace(found[candidate.label], probes=probes)
    return found
