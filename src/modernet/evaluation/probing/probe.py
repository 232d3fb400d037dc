"""What frozen features say of classes: two classifiers on them, chosen on validation and judged on the test split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch

from modernet import progress
from modernet.data import ImageDataset
from modernet.data.splits import SplitName
from modernet.evaluation.judging import Judged
from modernet.evaluation.probing.features import Features, frozen_features
from modernet.evaluation.probing.linear import STRENGTHS, LinearClassifier, fit_linear
from modernet.evaluation.probing.neighbours import neighbour_scores
from modernet.weights import SavedNetwork

Value = TypeVar("Value", int, float)


@dataclass(frozen=True, eq=False)
class Probe:
    """A classifier of features.

    Attributes:
        chosen: the strength of a linear one, or the number of neighbours.
        candidates: each value that was tried, with its top-1 accuracy on validation in per cent, when only training
            images were known.
        judged: its answers on the test split, when training and validation images were known.
    """

    chosen: float
    candidates: Mapping[float, float]
    judged: Judged


@dataclass(frozen=True, eq=False)
class Probes:
    """The probes of a network.

    Attributes:
        linear: multinomial logistic regression (`fit_linear`).
        knn: weighted k-nearest neighbours (`neighbour_scores`).
        channels: length of the feature vectors.
        n_known: images of training and validation together.
    """

    linear: Probe
    knn: Probe
    channels: int
    n_known: int


def probe(
    saved: SavedNetwork,
    dataset: ImageDataset,
    *,
    layer: int | None = None,
    batch_size: int = 128,
    device: torch.device | None = None,
) -> Probes:
    """Probe the features of a network: those of `frozen_features`, by `probe_features`.

    Raises:
        InputError, NonFiniteScores: as `frozen_features`.

    >>> probe(modernet.load_network(Path("runs/first")), dataset).linear.judged.accuracy().top1  # doctest: +SKIP
    95.8
    """
    features = frozen_features(saved, dataset, layer=layer, batch_size=batch_size, device=device)
    return probe_features(features, len(dataset.classes), device=device)


def probe_features(
    features: Mapping[SplitName, Features], num_classes: int, *, device: torch.device | None = None
) -> Probes:
    """Choose a linear classifier and one by nearest neighbours on the validation split, and judge both on the test
    split.

    Of several strengths, and of several numbers of neighbours, the one with the highest accuracy is taken; of equal
    ones, that with the lowest cross-entropy. The classifier that is judged then learns from training and validation
    images, as linear probes are usually reported (Kornblith et al. 2019, arXiv 1805.08974).

    Args:
        features: of all three splits.
        num_classes: number of classes; the training split has all of them.
    """
    train, validation, test = (features[name] for name in ("train", "validation", "test"))
    known = train.joined(validation)
    linear_judged: dict[float, Judged] = {}
    fits: dict[float, LinearClassifier] = {}
    with progress.bar("fitting the linear probe", len(STRENGTHS) + 1) as shown:
        start: LinearClassifier | None = None
        for strength in STRENGTHS:
            start = fits[strength] = fit_linear(train, num_classes, strength, start=start, device=device)
            linear_judged[strength] = Judged.of(start.scores(validation.vectors), validation.labels)
            shown.advance()
        best = _best(linear_judged)
        final = fit_linear(known, num_classes, best, start=fits[best], device=device)
        linear = Probe(best, _accuracies(linear_judged), Judged.of(final.scores(test.vectors), test.labels))
        shown.advance()

    scores = neighbour_scores(train, validation.vectors, num_classes, device=device)
    knn_judged = {k: Judged.of(each, validation.labels) for k, each in scores.items()}
    k = _best(knn_judged)
    scores = neighbour_scores(known, test.vectors, num_classes, (k,), device=device)
    knn = Probe(k, _accuracies(knn_judged), Judged.of(scores[k], test.labels))
    return Probes(linear, knn, train.vectors.shape[1], len(known))


def _best(judged: Mapping[Value, Judged]) -> Value:
    """Return the candidate with the highest accuracy; of equal ones, that with the lowest loss, or the first."""

    def rank(value: Value) -> tuple[float, float]:
        accuracy = judged[value].accuracy()
        return -accuracy.top1, accuracy.loss

    return min(judged, key=rank)


def _accuracies(judged: Mapping[Value, Judged]) -> dict[float, float]:
    return {value: each.accuracy().top1 for value, each in sorted(judged.items())}
