"""The judge of reduced precision, by networks whose scores are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from known_scores import Lookup
from modernet.deploy.running.division import divide
from modernet.deploy.running.fidelity import Answers, HeldOut, Judge, Judgement, answers_of
from modernet.errors import InputError
from modernet.models import create_model
from modernet.segmentation import Segmenter


def numbered(n: int) -> Tensor:
    """Return images whose first pixel says which row of a `Lookup` they get."""
    return (torch.arange(n) / 255).view(n, 1, 1, 1)


def judged(
    before: Tensor,
    after: Tensor,
    *,
    labels: Tensor | None = None,
    answers: Answers = "classes",
    agreement: float = 0.99,
) -> Judgement:
    held_out = HeldOut(numbered(len(before)), labels, answers, agreement, batch=8)
    return Judge(Lookup(before), held_out)(Lookup(after))


def scores(n: int, *shape: int) -> Tensor:
    return torch.randn(n, *(shape or (10,)), generator=torch.Generator().manual_seed(0))


def test_the_share_of_equal_classes_decides_without_labels() -> None:
    before = scores(200)
    after = before + 0.001
    for count, failure in [(0, ""), (2, ""), (3, "98.5 % equal top-1, less than 99 %")]:
        after[:count] = before[:count].roll(1, dims=1)
        judgement = judged(before, after)
        assert judgement.same_class == pytest.approx(1 - count / 200)
        assert judgement.failure == failure
        assert judgement.n == 200


def test_divergence_and_errors_are_those_of_their_definitions() -> None:
    before = scores(50)
    after = before + 0.1 * scores(100)[50:]
    judgement = judged(before, after)
    p, q = before.double().softmax(1), after.double().softmax(1)
    assert judgement.divergence == pytest.approx(float((p * (p / q).log()).sum(1).mean()))
    assert judgement.largest_error == pytest.approx(float((after - before).abs().max() / before.abs().max()))
    assert judgement.relative_error == pytest.approx(float((after - before).norm() / (before - before.mean(0)).norm()))


def test_the_first_of_equal_scores_is_the_class() -> None:
    before = torch.tensor([[1.0, 1.0, 0.0]]).repeat(8, 1)
    assert judged(before, torch.tensor([[1.0, 0.9, 0.0]]).repeat(8, 1)).same_class == 1
    assert judged(before, torch.tensor([[0.9, 1.0, 0.0]]).repeat(8, 1)).same_class == 0


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_score_that_is_not_finite_is_refused_and_never_the_same_class(labelled: bool, value: float) -> None:
    before = scores(200)
    before[0] = torch.arange(10)  # the last is the likeliest, as argmax says of NaN and of infinity
    after = before.clone()
    after[0, 9] = value
    judgement = judged(before, after, labels=before.argmax(1) if labelled else None, agreement=0.5)
    assert judgement.same_class == (pytest.approx(0.995) if math.isnan(value) else 1)
    assert judgement.failure == "results are not finite"
    assert judgement.relative_error == math.inf


def test_labels_decide_by_the_accuracy_that_is_lost() -> None:
    before, labels = scores(200), scores(200).argmax(1)
    after = before.clone()
    for count, failure in [(1, ""), (2, "1.0 points of accuracy lost, more than 0.5")]:
        after[:count] = before[:count].roll(1, dims=1)
        judgement = judged(before, after, labels=labels, agreement=1.0)
        assert judgement.accuracy is not None
        assert (judgement.accuracy.right_before, judgement.accuracy.right_after) == (200, 200 - count)
        assert not judgement.accuracy.lost.excludes(count / 200)
        assert judgement.failure == failure
    assert "accuracy 100.0 % [98.1, 100.0] before, 99.0 % [96.4, 99.7] after: -1.0 points [-3.6, +1.0]" in str(
        judgement
    )

    wrong_before = judged(after, before, labels=labels)
    assert wrong_before.accuracy is not None
    assert wrong_before.accuracy.right_after == 200
    assert wrong_before.failure == ""


def test_constant_answers_are_refused_even_if_no_accuracy_is_lost() -> None:
    before = scores(200)
    labels = before.argmax(1)
    labels[40:] = 0  # right for a fifth of the images and those of class 0
    constant = torch.eye(10)[torch.zeros(200, dtype=torch.long)]
    judgement = judged(before, constant, labels=labels)
    assert judgement.accuracy is not None
    assert judgement.accuracy.points_lost < 0
    assert judgement.failure.endswith("% equal top-1, less than 90 %")


def test_labels_that_are_right_by_chance_only_raise() -> None:
    before = scores(200)
    right = before.argmax(1)
    for count in (0, 28):  # of 200 images and 10 classes
        labels = (right + 1) % 10
        labels[:count] = right[:count]
        with pytest.raises(
            InputError, match=f"right for {count} of 200 labels, no more than by chance: .* another order"
        ):
            judged(before, before, labels=labels)
    labels[:30] = right[:30]
    assert judged(before, before, labels=labels).failure == ""


def test_the_pixels_of_a_segmenter_are_judged_like_images() -> None:
    before = scores(8, 3, 5, 5)
    after = before.clone()
    after[0, :, 0] = before[0, :, 0].roll(1, dims=0)  # 5 of 200 pixels
    judgement = judged(before, after, answers="pixels")
    assert judgement.same_class == pytest.approx(1 - 5 / 200)
    assert judgement.failure == "97.5 % equal top-1, less than 99 %"
    p, q = before.double().softmax(1), after.double().softmax(1)
    assert judgement.divergence == pytest.approx(float((p * (p / q).log()).sum(1).mean()))


@pytest.mark.parametrize(("error", "failure"), [(0.04, ""), (0.06, "relative error 6.0e-02, more than 0.05")])
def test_other_results_are_judged_by_their_relative_error(error: float, failure: str) -> None:
    class Two(Lookup):
        """Two tensors, of which the second is a thousandfold."""

        def forward(self, images: Tensor) -> list[Tensor]:  # type: ignore[override]
            rows = super().forward(images)
            return [rows, 1000 * rows]

    before = scores(10, 4, 3, 3)
    before[5:] = -before[:5]  # means of zero
    held_out = HeldOut(numbered(10), None, "numbers", 0.99, batch=4)
    judgement = Judge(Two(before), held_out)(Two((1 + error) * before))
    assert judgement.same_class is None
    assert judgement.relative_error == pytest.approx(error, rel=1e-4)
    assert judgement.failure == failure


def test_maps_with_a_large_mean_are_judged_by_their_deviation_from_it() -> None:
    mean = torch.tensor([10.0, -3.0, 0.0, 1.0]).view(4, 1, 1)
    noise = 0.1 * scores(20, 4, 3, 3)
    judgement = judged(mean + noise[:10], mean + noise[10:], answers="numbers")
    expected = (noise[10:] - noise[:10]).norm() / (noise[:10] - noise[:10].mean((0, 2, 3), keepdim=True)).norm()
    assert judgement.relative_error == pytest.approx(float(expected), rel=1e-4)
    assert "more than 0.05" in judgement.failure


def test_every_batch_has_the_size_that_programs_are_compiled_for() -> None:
    sizes = []

    class Counting(Lookup):
        def forward(self, images: Tensor) -> Tensor:
            sizes.append(len(images))
            return super().forward(images)

    before = scores(11)
    Judge(Counting(before), HeldOut(numbered(11), None, "classes", 0.99, batch=8))
    assert sizes == [8, 8]


def test_what_a_network_returns_is_recognised() -> None:
    segmenter = Segmenter(create_model("resnet_test"), 5, 16)
    assert answers_of(nn.Linear(2, 3), scores(2)) == "classes"
    assert answers_of(nn.Linear(2, 3), scores(2, 1)) == "numbers"
    assert answers_of(create_model("convnext_test", num_classes=0), scores(2)) == "numbers"
    assert answers_of(segmenter, scores(2, 5, 4, 4)) == "pixels"
    assert answers_of(nn.Conv2d(3, 5, 1), scores(2, 5, 4, 4)) == "numbers"
    assert answers_of(segmenter, [scores(2)]) == "numbers"


@pytest.mark.parametrize(("n", "calibrating"), [(64, 16), (400, 100), (1000, 125)])
def test_images_calibrate_or_judge_but_never_both(n: int, calibrating: int) -> None:
    calibration, judging, labels = divide(numbered(n), torch.arange(n), "classes")
    assert len(calibration) == calibrating
    assert sorted([*calibration.flatten().tolist(), *judging.flatten().tolist()]) == numbered(n).flatten().tolist()
    assert labels is not None
    torch.testing.assert_close(judging.flatten(), labels / 255)
    assert torch.equal(divide(numbered(n), None, "classes")[0], calibration)


def test_too_few_images_are_refused_with_the_number_needed() -> None:
    with pytest.raises(InputError, match=r'63 images; .* not calibrated with: give 64 or more, or precision="exact"'):
        divide(numbered(63), None, "classes")
    with pytest.raises(InputError, match=r"7 images; .* give 8 or more"):
        divide(numbered(7), None, "numbers")
    assert len(divide(numbered(8), None, "pixels")[1]) == 6
