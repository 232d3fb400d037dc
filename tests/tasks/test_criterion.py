import numpy as np
import pytest
import torch
from timm.data import Mixup
from timm.loss import BinaryCrossEntropy, LabelSmoothingCrossEntropy, SoftTargetCrossEntropy
from torch.nn import functional as F

from modernet.recipes import get_recipe
from modernet.tasks.criterion import criterion

CLASSES = 5
SCORES = torch.randn(6, CLASSES, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 3, 4, 0])


def mixed_targets(smoothing: float, mode: str) -> torch.Tensor:
    """timm's targets, the same mixture for every smoothing."""
    np.random.seed(0)  # noqa: NPY002 - timm draws from it
    mixup = Mixup(mixup_alpha=0.8, cutmix_alpha=1.0, label_smoothing=smoothing, num_classes=CLASSES, mode=mode)
    targets: torch.Tensor = mixup(torch.zeros(6, 3, 8, 8), LABELS)[1]
    return targets


@pytest.mark.parametrize("mode", ["batch", "pair", "elem"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_of_mixed_targets_equals_timm(smoothing: float, mode: str) -> None:
    loss = criterion(get_recipe("convnext").replace(label_smoothing=smoothing))

    published = SoftTargetCrossEntropy()(SCORES, mixed_targets(smoothing, mode))
    torch.testing.assert_close(loss(SCORES, mixed_targets(0.0, mode)), published)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_of_class_indices_equals_timm(smoothing: float) -> None:
    loss = criterion(get_recipe("convnext").replace(label_smoothing=smoothing))

    torch.testing.assert_close(loss(SCORES, LABELS), LabelSmoothingCrossEntropy(smoothing)(SCORES, LABELS))


@pytest.mark.parametrize("threshold", [None, 0.2])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_binary_cross_entropy_equals_timm(smoothing: float, threshold: float | None) -> None:
    recipe = get_recipe("resnet_strikes_back_a2").replace(label_smoothing=smoothing, bce_threshold=threshold)
    published = BinaryCrossEntropy(smoothing, target_threshold=threshold)

    torch.testing.assert_close(
        criterion(recipe)(SCORES, mixed_targets(0.0, "elem")), published(SCORES, mixed_targets(smoothing, "elem"))
    )
    torch.testing.assert_close(criterion(recipe)(SCORES, LABELS), published(SCORES, LABELS))


def test_both_classes_of_a_mixed_image_are_positive_in_strikes_back() -> None:
    targets = torch.tensor([[0.7, 0.3, 0.0], [0.9, 0.1, 0.0]])
    scores = torch.tensor([[1.0, -2.0, 0.5], [0.3, 0.2, -1.0]])
    yes = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])

    loss = criterion(get_recipe("resnet_strikes_back_a1"))(scores, targets)
    torch.testing.assert_close(loss, F.binary_cross_entropy_with_logits(scores, yes))
