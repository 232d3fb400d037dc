"""What is asked of a classifier on clean images: calibration, sizes, shifts and cues."""

from __future__ import annotations

from functools import partial

import torch

from modernet.data import OpenedSplit
from modernet.evaluation.answers import Answers
from modernet.evaluation.robustness import (
    RESOLUTIONS,
    SHIFTS,
    fit_temperature,
    measure_calibration,
    measure_translation,
    probe_bias,
    sweep_resolutions,
    with_temperature,
)
from modernet.preparation import Preparation
from modernet.studies.robustness.classifier import Classifier
from modernet.studies.robustness.units import Outcome
from modernet.weights import SavedNetwork

_SMALLEST = 128  # from here on, networks are tested at the sizes of `RESOLUTIONS`
_EIGHTHS = (4, 6, 8, 10, 12, 16)  # of the size of smaller ones

PASSES = {"calibration": 1, "resolution": 2 * len(RESOLUTIONS), "translation": 2 * len(SHIFTS) + 1, "bias": 7}
"""About how often each shows the images to the network, at its own size."""


def calibration_of(answers: Answers) -> Outcome:
    """Measure calibration, and what is left of its error with a temperature.

    The temperature of each half of the images, every other one, is fitted on the other half: none is measured on the
    images that it was fitted on.

    Args:
        answers: for at least one image.
    """
    found = measure_calibration(answers)
    metrics, detail = found.metrics(), found.detail()
    halves = [answers.take(torch.arange(start, len(answers), 2)) for start in (0, 1)]
    first, second = (fit_temperature(half) if len(half) else None for half in halves)
    if first is not None and second is not None:
        fitted = [with_temperature(half, other) for half, other in zip(halves, (second, first), strict=True)]
        both = Answers(torch.cat([half.logits for half in fitted]), torch.cat([half.labels for half in fitted]))
        scaled = measure_calibration(both).metrics()
        metrics |= {name.replace("calibration", "calibration_scaled"): value for name, value in scaled.items()}
        metrics["calibration_temperature"] = (first + second) / 2
    return {"kind": "calibration", "metrics": metrics, "detail": detail}


def resolution_of(saved: SavedNetwork, classifier: Classifier, opened: OpenedSplit) -> Outcome:
    """Measure accuracy at 128 to 512 pixels and the network's own size; of small images, from half to twice that."""
    side = min(classifier.preparation.size)
    sizes = {side, *RESOLUTIONS} if side >= _SMALLEST else {side * eighths // 8 for eighths in _EIGHTHS}
    loader_at = partial(classifier.loader, opened)
    found = sweep_resolutions(saved, loader_at, device=classifier.device, sizes=sorted(sizes))
    return {"kind": "resolution", "metrics": found.metrics(), "detail": found.detail()}


def translation_of(classifier: Classifier, opened: OpenedSplit) -> Outcome:
    """Measure whether answers hold when the image moves."""
    found = measure_translation(classifier.network, classifier.preparation, partial(classifier.loader, opened))
    return {"kind": "translation", "metrics": found.metrics(), "detail": found.detail()}


def bias_of(classifier: Classifier, opened: OpenedSplit, preparation: Preparation, seed: int) -> Outcome:
    """Measure the accuracy without shape, texture, border or centre.

    Args:
        preparation: of the images, which gives what the network sees.
        seed: of the places of patches.
    """
    loader_with = partial(classifier.loader, opened, preparation)
    found = probe_bias(classifier.network, classifier.preparation, loader_with, seed=seed)
    return {"kind": "bias", "metrics": found.metrics(), "detail": found.detail()}
