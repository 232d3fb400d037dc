"""From the finished runs of a candidate to its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from modernet.records import RECORD_NAME, Metric, Record, read_record
from modernet.report.compare.compared import Compared, Measurement
from modernet.studies.compare.budgets import Share
from modernet.studies.compare.candidates import Candidate
from modernet.studies.compare.measuring import RunOutcomes
from modernet.studies.compare.plan import Plan
from modernet.studies.compare.runs import TrainingRun
from modernet.studies.compare.tuning import Tuned

_TRAIN_SPEED = Metric("train_images_per_second", "training speed", "images/s", 1, limits=(0.0, None))


def record_of(run: TrainingRun) -> Record:
    """Return the record of a run, finished or failed."""
    return read_record(run.folder / RECORD_NAME)


def collect(
    plan: Plan,
    candidate: Candidate,
    share: Share | None,
    tuned: Tuned,
    runs: Sequence[TrainingRun],
    outcomes: Mapping[Path, RunOutcomes],
    costs: Sequence[Measurement],
    failed: Mapping[str, str],
) -> Compared:
    """Put together what is known of a candidate.

    Args:
        share: its epochs; None if it was not trained.
        runs: its finished final trainings.
        outcomes: by the folder of the run. What was not measured of every run is left out.
        costs: of the network.
        failed: why runs failed, by what failed.
    """
    request, label = plan.request, candidate.label
    records = [record_of(run) for run in runs]
    settings = plan.settings.get(label) or plan.settings[plan.trainable[0].label]
    found = [outcomes[run.folder] for run in runs if run.folder in outcomes]
    complete = len(found) == len(runs)
    speeds = [record.metrics.get(_TRAIN_SPEED.name) for record in records]
    known_speeds = tuple(speed for speed in speeds if speed is not None)
    measured = [*costs]
    if records and len(known_speeds) == len(records):
        measured.append(Measurement(_TRAIN_SPEED, known_speeds))
    if complete and found:
        for name, (metric, _) in found[0].measured.items():
            if all(name in each.measured for each in found):
                measured.append(Measurement(metric, tuple(each.measured[name][1] for each in found)))
    return Compared(
        comparison=plan.digest,
        order=plan.candidates.index(candidate),
        candidate=label,
        model=candidate.model,
        task=request.recipe.task,
        data=settings["data"],
        recipe=request.recipe.name,
        budget=request.budget,
        epochs=request.recipe.schedule.epochs if share is None else share.epochs,
        seconds=None if share is None else share.seconds,
        tuned=tuned.setting,
        trials=tuned.trials,
        weights=candidate.starts_from,
        licence=candidate.licence,
        seeds=tuple(run.seed for run in runs),
        score=_scores(records, "test"),
        validation=_scores(records, "validation"),
        n_test=int(records[0].metrics["test_n"]) if records else settings["data"]["n_test"],
        right=tuple(each.right for each in found) if complete and all(each.right for each in found) else (),
        measured=tuple(measured),
        failed=failed,
    )


def _scores(records: Sequence[Record], split: str) -> tuple[float, ...]:
    """Return the primary metric of each run; nothing if one has none, as detectors where there is nothing to find."""
    scores = [record.score(split) for record in records]
    known = tuple(score for score in scores if score is not None)
    return known if len(known) == len(scores) else ()
