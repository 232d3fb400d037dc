from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from modernet.evaluation.answers import Answers
from modernet.evaluation.robustness import fit_temperature, measure_calibration, with_temperature


def drawn(n: int = 500, k: int = 6, sharpness: float = 3.0, seed: int = 0) -> Answers:
    """Answers whose labels are drawn from the softmax of their logits divided by `sharpness`."""
    source = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, k, generator=source) * 2
    labels = torch.multinomial(logits.softmax(1), 1, generator=source)[:, 0]
    return Answers(sharpness * logits, labels)


ANSWERS = drawn()


def test_calibration_errors_equal_a_loop_over_their_bins() -> None:
    found = measure_calibration(ANSWERS)
    confidence = ANSWERS.logits.double().softmax(1).amax(1).tolist()
    right = (ANSWERS.logits.argmax(1) == ANSWERS.labels).tolist()

    ece = 0.0
    for index in range(15):
        inside = [i for i, value in enumerate(confidence) if index / 15 < value <= (index + 1) / 15]
        each = found.bins[index]
        assert each.n == len(inside)
        if inside:
            accuracy, mean = (sum(values[i] for i in inside) / len(inside) for values in (right, confidence))
            assert each.accuracy == pytest.approx(accuracy)
            assert each.confidence == pytest.approx(mean)
            ece += len(inside) * abs(accuracy - mean) / len(right)
        else:
            assert each.accuracy is each.confidence is None
    assert found.ece == pytest.approx(100 * ece)

    order, adaptive, first = sorted(range(500), key=lambda i: confidence[i]), 0.0, 0
    for size in [34] * 5 + [33] * 10:  # 500 images in 15 bins
        inside = order[first : first + size]
        adaptive += abs(sum(right[i] - confidence[i] for i in inside)) / len(right)
        first += size
    assert found.adaptive_ece == pytest.approx(100 * adaptive)
    assert found.ece > 5, "these answers are too sure of themselves"


def test_scores_equal_those_of_scikit_learn() -> None:
    found = measure_calibration(ANSWERS)
    p = ANSWERS.logits.double().softmax(1).numpy()
    labels = ANSWERS.labels.numpy()
    assert found.nll == pytest.approx(log_loss(labels, p, labels=range(6)))
    assert found.brier == pytest.approx(brier_score_loss(labels, p, labels=range(6)))  # a sum over classes, for many
    right = (ANSWERS.logits.argmax(1) == ANSWERS.labels).numpy()
    accuracy, confidence = calibration_curve(right, p.max(1), n_bins=15)
    assert [each.accuracy for each in found.bins if each.n] == pytest.approx(accuracy.tolist())
    assert [each.confidence for each in found.bins if each.n] == pytest.approx(confidence.tolist())


def test_a_confidence_on_the_edge_of_two_bins_is_in_the_lower_one() -> None:
    """Equal logits of five classes have a confidence of 0.2, two tenths."""
    bins = measure_calibration(Answers(torch.zeros(4, 5), torch.tensor([0, 0, 0, 1])), bins=10).bins
    (only,) = (each for each in bins if each.n)
    assert (only.low, only.high, only.n, only.accuracy) == (pytest.approx(0.1), pytest.approx(0.2), 4, 0.75)


def test_one_image_has_a_calibration_and_certainty_is_in_the_last_bin() -> None:
    sure = measure_calibration(Answers(torch.tensor([[1000.0, 0.0]]), torch.tensor([1])))
    assert (sure.ece, sure.adaptive_ece, sure.brier, sure.nll) == (100.0, 100.0, 2.0, 1000.0)
    assert [each.n for each in sure.bins] == [0] * 14 + [1]


def test_the_temperature_of_scaled_logits_is_found_and_calibrates_other_images() -> None:
    temperature = fit_temperature(drawn(4000, seed=1))
    assert temperature == pytest.approx(3.0, rel=0.05)
    before, after = measure_calibration(ANSWERS), measure_calibration(with_temperature(ANSWERS, temperature))
    assert after.nll < before.nll
    assert after.ece < before.ece / 2
    assert torch.equal(with_temperature(ANSWERS, temperature).correct(), ANSWERS.correct())


class LargestDoubles(TorchDispatchMode):
    """Notes the size of the largest tensor of float64 that is made inside."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for each in tree_leaves(result):
            if isinstance(each, torch.Tensor) and each.dtype == torch.float64:
                self.numbers = max(self.numbers, each.numel())
        return result


def test_logits_are_converted_some_images_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fit_temperature(ANSWERS)
    monkeypatch.setattr("modernet.evaluation.robustness.calibration._ROWS", 90)
    with LargestDoubles() as largest:
        in_parts = fit_temperature(ANSWERS)
    assert in_parts == pytest.approx(whole, rel=1e-9)
    assert largest.numbers == 90 * 6


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_the_temperature_is_the_best_one_at_any_scale_of_the_logits(scale: float) -> None:
    answers = Answers(ANSWERS.logits.double() * scale, ANSWERS.labels)
    temperature = fit_temperature(answers)
    assert temperature is not None
    lowest, *others = (
        float(F.cross_entropy(answers.logits / (factor * temperature), answers.labels)) for factor in (1, 0.99, 1.01)
    )
    assert lowest < min(others)


def test_there_is_no_temperature_where_none_is_the_best() -> None:
    right = Answers(F.one_hot(torch.arange(3)).float(), torch.arange(3))
    assert fit_temperature(right) is None
    assert fit_temperature(Answers(-right.logits, right.labels)) is None, "worse than chance"
    assert fit_temperature(Answers(torch.zeros(3, 3), torch.arange(3))) is None
    one_wrong = Answers(right.logits, torch.tensor([0, 1, 0]))
    assert fit_temperature(one_wrong) == pytest.approx(1 / math.log(4))  # softmax of the right class is 2/3


def test_a_record_has_the_binning_by_name_and_its_bins() -> None:
    found = measure_calibration(ANSWERS)
    assert found.detail()["binning"] == "15 bins of equal width, (low, high], of the confidence of the answer"
    assert found.detail()["bins"][14] == {
        "low": pytest.approx(14 / 15), "high": 1.0, "n": found.bins[14].n,
        "confidence": found.bins[14].confidence, "accuracy": found.bins[14].accuracy,
    }  # fmt: skip
    assert found.metrics() == {
        "calibration_ece": found.ece, "calibration_adaptive_ece": found.adaptive_ece,
        "calibration_brier": found.brier, "calibration_nll": found.nll, "calibration_n": 500.0,
    }  # fmt: skip
