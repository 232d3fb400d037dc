from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from modernet.data.splits import SplitName
from modernet.evaluation.probing import NUMBERS, STRENGTHS, Features, fit_linear, neighbour_scores, probe_features
from modernet.evaluation.probing.results import details_of, metrics_of, per_class_of
from modernet.statistics import wilson_interval

CLASSES = ("cat", "dog", "owl", "ape", "bee", "elk")


def overlapping(n: int, seed: int) -> Features:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % len(CLASSES)
    centres = torch.randn(len(CLASSES), 8, generator=torch.Generator().manual_seed(0))
    return Features(centres[labels] + torch.randn(n, 8, generator=generator), labels)


@pytest.fixture(scope="module")
def features() -> dict[SplitName, Features]:
    return {"train": overlapping(120, 1), "validation": overlapping(48, 2), "test": overlapping(90, 3)}


def test_probes_are_chosen_on_validation_and_then_learn_from_it_too(features: dict[SplitName, Features]) -> None:
    probes = probe_features(features, len(CLASSES))

    accuracies = probes.linear.candidates
    assert set(accuracies) == set(STRENGTHS)
    assert accuracies[probes.linear.chosen] == max(accuracies.values())
    of_chosen = fit_linear(features["train"], len(CLASSES), probes.linear.chosen)
    right = of_chosen.scores(features["validation"].vectors).argmax(1) == features["validation"].labels
    assert accuracies[probes.linear.chosen] == pytest.approx(100 * float(right.double().mean()))
    known = features["train"].joined(features["validation"])
    final = fit_linear(known, len(CLASSES), probes.linear.chosen)
    assert torch.equal(probes.linear.judged.predicted, final.scores(features["test"].vectors).argmax(1))

    assert set(probes.knn.candidates) == {k for k in NUMBERS if k <= 120}
    assert probes.knn.candidates[probes.knn.chosen] == max(probes.knn.candidates.values())
    k = int(probes.knn.chosen)
    nearest = neighbour_scores(known, features["test"].vectors, len(CLASSES), (k,))[k]
    assert torch.equal(probes.knn.judged.predicted, nearest.argmax(1))
    assert (probes.channels, probes.n_known) == (8, 168)


def test_nothing_is_chosen_on_the_test_split(features: dict[SplitName, Features]) -> None:
    other = replace(features["test"], labels=features["test"].labels.flip(0))
    one, two = (probe_features({**features, "test": test}, len(CLASSES)) for test in (features["test"], other))

    assert one.linear.judged.accuracy() != two.linear.judged.accuracy()
    for first, second in ((one.linear, two.linear), (one.knn, two.knn)):
        assert (first.chosen, first.candidates) == (second.chosen, second.candidates)


def test_metrics_have_intervals_and_each_class_has_its_own(features: dict[SplitName, Features]) -> None:
    probes = probe_features(features, len(CLASSES))
    metrics, per_class = metrics_of(probes, len(CLASSES)), per_class_of(probes, CLASSES)
    for name, each in (("linear", probes.linear), ("knn", probes.knn)):
        share = float((each.judged.predicted == features["test"].labels).double().mean())
        ends = wilson_interval(share, 90)
        assert metrics[f"{name}_top1"] == pytest.approx(100 * share)
        assert metrics[f"{name}_top1_low"] == pytest.approx(100 * ends.low)
        assert metrics[f"{name}_top1_high"] == pytest.approx(100 * ends.high)
        assert metrics[f"{name}_top5"] > metrics[f"{name}_top1"]
        assert sum(row[f"{name}_top1"] * row["n"] for row in per_class.values()) == pytest.approx(100 * 90 * share)
    assert metrics["n"] == 90

    details = details_of(probes, CLASSES)
    assert [sum(row) for row in details["confusion"]["counts"]] == [15] * 6
    assert details["probes"]["linear"]["chosen"] in dict(details["probes"]["linear"]["candidates"])


def test_of_few_classes_top5_is_left_out_and_few_images_suffice() -> None:
    tiny: dict[SplitName, Features] = {
        name: Features(torch.tensor([[0.0, 1.0], [1.0, 0.1]]), torch.tensor([0, 1]))
        for name in ("train", "validation", "test")
    }
    probes = probe_features(tiny, 2)

    assert not any("top5" in name for name in metrics_of(probes, 2))
    assert probes.linear.judged.accuracy().top1 == probes.knn.judged.accuracy().top1 == 100
    assert list(probes.knn.candidates) == [1]
