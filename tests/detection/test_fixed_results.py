"""The traceable form of a detector finds what the detector finds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.ops import batched_nms

from detection.small import detector
from modernet.detection import RCNNConfig, cascade_mask_rcnn, mask_rcnn
from modernet.detection.detections import LEAST_SCORE
from modernet.detection.fixed_results import FixedResults
from modernet.detection.suppression import survivors


@pytest.mark.medium
@pytest.mark.parametrize("config", [mask_rcnn, cascade_mask_rcnn])
@pytest.mark.parametrize("confidence", [0.0, 4.0])
@torch.no_grad()
def test_rows_above_the_least_score_are_the_detections(config: Callable[..., RCNNConfig], confidence: float) -> None:
    network = detector(config)
    for head in network.roi_heads.box_heads:
        head.fc_cls.bias[-1] += confidence  # of the background
    images = torch.randn(1, 3, 60, 90).double()
    (found,) = network(images)
    boxes, scores, labels, masks = FixedResults(network)(images)
    assert boxes.shape == (100, 4)
    assert masks.shape == (100, 28, 28)
    assert (scores.diff() <= 0).all()
    assert int((scores > LEAST_SCORE).sum()) == len(found) == (100 if confidence == 0 else len(found)) > 0
    n = len(found)
    torch.testing.assert_close(scores[:n], found.scores)
    distinct = torch.cat((torch.tensor([True]), found.scores.diff() < -1e-9))
    distinct &= torch.cat((found.scores.diff() < -1e-9, torch.tensor([n < 100])))  # else their order is arbitrary
    assert distinct.sum() > n / 2
    for rows, expected in ((boxes, found.boxes_xyxy), (labels, found.labels), (masks, found.masks)):
        assert expected is not None
        torch.testing.assert_close(rows[:n][distinct], expected[distinct])


@torch.no_grad()
def test_where_nothing_is_likely_the_best_of_it_fills_the_rows() -> None:
    network = detector(mask_rcnn)
    network.roi_heads.box_heads[0].fc_cls.bias[-1] += 30
    images = torch.randn(1, 3, 64, 64).double()
    assert len(network(images)[0]) == 0
    _, scores, *_ = FixedResults(network)(images)
    assert len(scores) == 100
    assert 0 < scores[0] < LEAST_SCORE


def random_boxes(n: int) -> Tensor:
    corners = torch.rand(n, 2) * 50
    return torch.cat((corners, corners + torch.rand(n, 2) * 40), 1)


@pytest.mark.parametrize("n", [0, 1, 2, 300])
def test_survivors_are_those_of_torchvision(n: int) -> None:
    boxes, scores = random_boxes(n), torch.rand(n)
    kept = batched_nms(boxes, scores, torch.zeros(n, dtype=torch.int64), 0.5)
    assert survivors(boxes, scores, 0.5).nonzero()[:, 0].tolist() == sorted(kept.tolist())
