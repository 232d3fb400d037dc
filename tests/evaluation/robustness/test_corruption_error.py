from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from modernet.data.transforms.corruptions import suite_names
from modernet.errors import InputError
from modernet.evaluation.robustness import (
    ALEXNET,
    ALEXNET_CLEAN,
    MCE_CORRUPTIONS,
    corruption_summary,
)

# torchvision's ResNet-50 (V1): top-1 mean over five severities, and the corruption error that is published with it
RESNET50_CLEAN = 76.13
RESNET50 = {
    "gaussian_noise": (29.29, 79.77),
    "shot_noise": (27.03, 81.58),
    "impulse_noise": (23.81, 82.58),
    "defocus_blur": (38.75, 74.71),
    "glass_blur": (26.79, 88.61),
    "motion_blur": (38.67, 78.03),
    "zoom_blur": (36.24, 79.86),
    "snow": (32.53, 77.83),
    "frost": (38.14, 74.84),
    "fog": (45.83, 66.11),
    "brightness": (68.02, 56.64),
    "contrast": (39.06, 71.43),
    "elastic_transform": (45.25, 84.75),
    "pixelate": (44.79, 76.92),
    "jpeg_compression": (53.41, 76.82),
}


def answers(rights: int, n: int = 100) -> Tensor:
    return torch.arange(n) < rights


def test_every_corruption_error_of_resnet_50_is_the_published_one() -> None:
    n = 10_000  # as many images as hundredths of a per cent
    correct = {(name, s): answers(round(100 * top1), n) for name, (top1, _) in RESNET50.items() for s in range(1, 6)}
    summary = corruption_summary(correct, answers(7613, n))
    for mean in summary.means:
        assert mean.ce is not None
        assert mean.ce.value == pytest.approx(RESNET50[mean.corruption][1], abs=0.01), mean.corruption
    assert summary.mce is not None
    assert summary.mce.value == pytest.approx(76.70, abs=0.005)
    assert summary.relative_mce is not None
    assert summary.relative_mce.value == pytest.approx(105.0, abs=0.05)
    assert summary.mean_error.value == pytest.approx(60.83, abs=0.005)


def test_alexnet_has_an_mce_of_100_and_a_mean_error_of_78_90() -> None:
    """Each corruption has its published error as the mean of five severities of 2000 images."""
    n, correct = 2000, {}
    for name in MCE_CORRUPTIONS:
        wrong = [round(5 * n * ALEXNET[name]) // 5 + delta for delta in (-100, -50, 0, 50, 100)]
        wrong[0] += round(5 * n * ALEXNET[name]) - sum(wrong)
        correct |= {(name, severity): answers(n - each, n) for severity, each in enumerate(wrong, 1)}
    summary = corruption_summary(correct, answers(round(n * (1 - ALEXNET_CLEAN)), n))
    assert summary.mce is not None
    assert summary.mce.value == pytest.approx(100, abs=0.01)
    assert summary.relative_mce is not None
    assert summary.relative_mce.value == pytest.approx(100, abs=0.02)
    assert summary.mean_error.value == pytest.approx(78.90, abs=0.01)


def test_the_baseline_knows_the_corruptions_of_the_library() -> None:
    assert set(suite_names("c")) == set(MCE_CORRUPTIONS)
    assert set(suite_names("extra")) == ALEXNET.keys() - set(MCE_CORRUPTIONS)


def test_a_summary_of_other_corruptions_has_a_plain_mean_and_no_mce() -> None:
    summary = corruption_summary({("fog", 3): answers(60), ("fog", 1): answers(80)}, answers(90))
    assert summary.cells == {("fog", 1): pytest.approx(20), ("fog", 3): pytest.approx(40)}
    assert (summary.mce, summary.relative_mce, summary.means[0].ce) == (None, None, None)
    found = summary.metrics("cbar")
    assert found["cbar_mean_error"] == pytest.approx(30)
    assert found["clean_top1"] == pytest.approx(90)
    assert found["n"] == 100
    assert found["cbar_mean_error_low"] < 30 < found["cbar_mean_error_high"]
    assert not any("mce" in name for name in found)
    detail = summary.detail("cbar")
    assert detail["corruptions"][1] == {
        "suite": "cbar", "corruption": "fog", "severity": 3, "error": pytest.approx(40), "n": 100,
    }  # fmt: skip
    assert [(row["corruption"], round(row["error"])) for row in detail["corruption_means"]] == [("fog", 30)]
    assert "ce" not in detail["corruption_means"][0]


def test_a_summary_of_all_15_has_the_mce_of_its_errors() -> None:
    correct = {(name, s): answers(90 - 10 * s) for name in MCE_CORRUPTIONS for s in range(1, 6)}
    summary = corruption_summary(correct, answers(90))
    found, mean = summary.metrics("c"), 0.4  # of the errors 0.2, 0.3, ..., 0.6 of every corruption
    assert found["c_mce"] == pytest.approx(100 * np.mean([mean / ALEXNET[name] for name in MCE_CORRUPTIONS]))
    relative = [(mean - 0.1) / (ALEXNET[name] - ALEXNET_CLEAN) for name in MCE_CORRUPTIONS]
    assert found["c_relative_mce"] == pytest.approx(100 * np.mean(relative))
    assert found["c_mce_low"] < found["c_mce"] < found["c_mce_high"]
    easy = corruption_summary(correct, answers(90), {**ALEXNET, "fog": 0.4})
    assert easy.mce is not None
    assert easy.relative_mce is None, "the baseline is as good in fog as without"
    assert corruption_summary(correct, answers(90), {}).mce is None


def test_a_suite_without_errors_has_no_interval_and_its_clean_accuracy_has_wilson_s() -> None:
    summary = corruption_summary({("fog", 1): answers(20, 20), ("fog", 2): answers(20, 20)}, answers(20, 20))
    assert (summary.mean_error.value, summary.mean_error.interval, summary.means[0].error.interval) == (0, None, None)
    assert summary.metrics("c").keys() == {"n", "clean_top1", "clean_top1_low", "clean_top1_high", "c_mean_error"}
    assert summary.metrics("c")["clean_top1_low"] == pytest.approx(83.89, abs=0.01)
    assert summary.detail("c")["corruption_means"] == [{"suite": "c", "corruption": "fog", "error": 0.0}]


def test_answers_for_other_images_are_refused() -> None:
    with pytest.raises(InputError, match="fog at severity 2 has 99 answers, and the clean images have 100; give"):
        corruption_summary({("fog", 2): answers(5, 99)}, answers(5))
    with pytest.raises(InputError, match="there are no answers to summarise"):
        corruption_summary({}, answers(5))


def test_intervals_contain_the_truth_as_often_as_they_claim() -> None:
    """An image is right in a cell where its hardness is below that cell's limit: cells err on the same images."""
    chance = np.random.default_rng(0)
    limits = {("fog", severity): 0.9 - 0.1 * severity for severity in range(1, 6)}
    truth, contained, repeats = 100 * (1 - np.mean(list(limits.values()))), 0, 150
    for _ in range(repeats):
        hardness = torch.from_numpy(chance.uniform(size=80))
        summary = corruption_summary({cell: hardness < limit for cell, limit in limits.items()}, hardness < 0.9)
        assert summary.mean_error.interval is not None
        contained += not summary.mean_error.interval.excludes(float(truth))
    assert 0.89 <= contained / repeats <= 0.99
