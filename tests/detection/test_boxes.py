"""Anchors, offsets, matching, levels and masks, against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import roi_align

from modernet.data.images.rle import encode
from modernet.data.images.views import Box
from modernet.data.targets import InstanceMasks
from modernet.detection.anchors import anchors
from modernet.detection.box_coder import BoxCoder, clip
from modernet.detection.detections import Detections, select
from modernet.detection.mask_head import mask_targets
from modernet.detection.matching import BACKGROUND, IGNORED, match, sample
from modernet.detection.padding import pad_images, padded_size, to_size
from modernet.detection.pasting import encode_window, paste, paste_window
from modernet.detection.roi_features import level_of, roi_features


def test_anchors_are_centered_on_the_corner_of_their_cell_and_not_rounded() -> None:
    found = anchors((2, 3), 4, torch.empty(0))
    assert found.shape == (18, 4)
    wide = torch.tensor([-22.627417, -11.313708, 22.627417, 11.313708])  # twice as wide as high, of area 32 x 32
    torch.testing.assert_close(found[0], wide)
    torch.testing.assert_close(found[1], torch.tensor([-16.0, -16, 16, 16]))
    torch.testing.assert_close(found[2], wide[[1, 0, 3, 2]])
    torch.testing.assert_close(found[3], wide + torch.tensor([4.0, 0, 4, 0]))  # the next column
    torch.testing.assert_close(found[9], wide + torch.tensor([0, 4.0, 0, 4]))  # the next row


def test_the_stride_of_the_last_level_is_64_whatever_the_size_of_the_image() -> None:
    last = anchors((13, 21), 64, torch.empty(0))[-2]  # of 800 x 1344: 12 rows further, not 12 x 800 / 13
    torch.testing.assert_close(last, torch.tensor([1280.0 - 256, 768 - 256, 1280 + 256, 768 + 256]))


def test_offsets_lead_back_to_their_target() -> None:
    generator = torch.Generator().manual_seed(0)
    corner, side = (torch.rand(2, 50, 2, generator=generator) * 100 + 1).double()
    boxes = torch.cat((corner, corner + side), 1)
    coder = BoxCoder((0.1, 0.1, 0.2, 0.2))
    torch.testing.assert_close(coder.decode(boxes, coder.encode(boxes, boxes.flip(0))), boxes.flip(0))


@pytest.mark.parametrize(("change", "factor"), [(-6.0, 16 / 1000), (6.0, 1000 / 16), (1.0, math.e)])
def test_sides_change_by_a_limited_factor_in_both_directions(change: float, factor: float) -> None:
    box = torch.tensor([[100.0, 100, 200, 200]])
    left, top, right, bottom = BoxCoder().decode(box, torch.tensor([[0.0, 0, change, 0]]))[0].tolist()
    assert right - left == pytest.approx(100 * factor, rel=1e-4)
    assert (top, bottom) == (100, 200)


def test_boxes_are_clipped_to_width_and_height() -> None:
    boxes = torch.tensor([[-5.0, -5, 500, 500], [70, 10, 80, 20]])
    assert clip(boxes, (40, 60)).tolist() == [[0, 0, 60, 40], [60, 10, 60, 20]]


def box(*sides: float) -> list[float]:
    return [float(side) for side in sides]


def test_boxes_between_the_thresholds_belong_to_nothing() -> None:
    objects = torch.tensor([box(0, 0, 10, 10)])
    boxes = torch.tensor([box(0, 0, 10, 8), box(0, 0, 10, 5), box(0, 0, 10, 2), box(30, 30, 40, 40)])
    assert match(boxes, objects, positive=0.7, negative=0.3).tolist() == [0, IGNORED, BACKGROUND, BACKGROUND]


def test_an_object_takes_its_best_box_from_a_low_iou_on() -> None:
    objects = torch.tensor([box(0, 0, 10, 10), box(100, 0, 110, 10)])
    boxes = torch.tensor([box(0, 0, 10, 5), box(0, 5, 10, 10), box(100, 0, 110, 2)])  # IoU .5, .5 and .2
    found = match(boxes, objects, positive=0.7, negative=0.3, low_quality=0.3)
    assert found.tolist() == [0, 0, BACKGROUND]


def test_of_two_objects_with_the_same_best_box_the_last_takes_it() -> None:
    objects = torch.tensor([box(0, 0, 10, 10), box(0, 0, 10, 9)])
    found = match(torch.tensor([box(0, 0, 10, 10)]), objects, positive=0.7, negative=0.3, low_quality=0.3)
    assert found.tolist() == [1]


def test_without_objects_everything_is_background_and_empty_boxes_match_nothing() -> None:
    boxes = torch.tensor([box(0, 0, 0, 10), box(0, 0, 10, 10)])
    assert match(boxes, torch.zeros(0, 4), positive=0.5, negative=0.5).tolist() == [BACKGROUND, BACKGROUND]
    objects = torch.tensor([box(0, 0, 10, 10)])
    assert match(boxes, objects, positive=0.5, negative=0.5, low_quality=0.5).tolist() == [BACKGROUND, 0]
    assert match(torch.zeros(0, 4), objects, positive=0.5, negative=0.5, low_quality=0.5).tolist() == []


def test_a_sample_has_its_share_of_positive_boxes_and_is_filled_with_background() -> None:
    matches = torch.tensor([0] * 50 + [IGNORED] * 50 + [BACKGROUND] * 500)
    positive, negative = sample(matches, 100, 0.25)
    assert (len(positive.unique()), len(negative.unique())) == (25, 75)
    assert (matches[positive] == 0).all()
    assert (matches[negative] == BACKGROUND).all()
    positive, negative = sample(matches[40:], 100, 0.25)
    assert (len(positive), len(negative)) == (10, 90)


def test_the_level_of_a_box_follows_from_its_area() -> None:
    sides = torch.tensor([0.0, 10, 111, 113, 223, 225, 447, 449, 5000])
    boxes = torch.stack((torch.zeros(9), torch.zeros(9), sides, sides), 1)
    assert level_of(boxes).tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3]


def test_features_come_from_the_level_and_the_image_of_each_box() -> None:
    maps = [torch.randn(2, 3, 512 // stride, 512 // stride).double() for stride in (4, 8, 16, 32)]
    first = torch.tensor([[10.0, 20, 300, 240], [10, 20, 30, 40]]).double()
    second = torch.tensor([[0.0, 0, 500, 510]]).double()
    found = roi_features(maps, [first, second], 7)
    expected = [
        roi_align(maps[level][image, None], [row[None]], 7, 1 / stride, sampling_ratio=0, aligned=True)[0]
        for row, level, image, stride in ((first[0], 2, 0, 16), (first[1], 0, 0, 4), (second[0], 3, 1, 32))
    ]
    torch.testing.assert_close(found, torch.stack(expected))


@pytest.mark.parametrize("size", [(60, 80), (20, 20)])
def test_a_pasted_window_equals_the_same_on_the_whole_image(size: tuple[int, int]) -> None:
    mask = torch.rand(28, 28, generator=torch.Generator().manual_seed(0)).double()
    left, top, right, bottom = 10.3, -4.2, 33.1, 17.9  # over the border of the image
    y, x = ((torch.arange(side).double() + 0.5) for side in size)
    grid = torch.stack(
        torch.meshgrid((x - left) / (right - left) * 2 - 1, (y - top) / (bottom - top) * 2 - 1, indexing="xy"), -1
    )
    expected = F.grid_sample(mask[None, None], grid[None], align_corners=False)[0, 0] >= 0.5
    assert expected.any()
    assert torch.equal(paste(mask, torch.tensor([left, top, right, bottom]).double(), size), expected)


@pytest.mark.parametrize(
    "corners",
    [
        (10.3, 4.2, 33.1, 17.9),
        (-10, -3, 90, 70),  # the whole image
        (5, -9, 30, 40),  # whole columns
        (-4, 3, 50, 9),
        (200, 5, 210, 9),
        (5, 5, 5, 9),
    ],
)
@pytest.mark.parametrize("least", [0.0, 0.45, 0.9])
def test_a_compressed_window_equals_the_compressed_image(corners: tuple[float, ...], least: float) -> None:
    mask = least + (1 - least) * torch.rand(28, 28, generator=torch.Generator().manual_seed(0))
    size, corner = (20, 40), torch.tensor(corners)

    assert encode_window(paste_window(mask, corner, size), size) == encode(paste(mask, corner, size))


@pytest.mark.parametrize("outside", [(5, 5, 5, 9), (200, 5, 210, 9), (-20, -20, -10, -10)])
def test_an_empty_box_or_one_outside_has_an_empty_mask(outside: tuple[int, ...]) -> None:
    assert not paste(torch.ones(28, 28), torch.tensor(outside).float(), (20, 30)).any()


def test_the_target_of_a_mask_is_what_its_box_covers_of_the_object() -> None:
    left = torch.zeros(56, 29, dtype=torch.bool)
    left[:, :28] = True
    empty = torch.zeros(56, 56, dtype=torch.bool)
    masks = InstanceMasks.join([(Box(0, 0, 56, 56), empty), (Box(0, 0, 56, 29), left)])
    found = mask_targets(masks, torch.tensor([1, 0]), torch.tensor([box(0, 0, 56, 56), box(0, 0, 56, 56)]))
    assert found[0, :, :14].all()
    assert not found[0, :, 14:].any()
    assert not found[1].any()


def logits(*probabilities: list[float]) -> Tensor:
    return torch.tensor(probabilities).double().log()


def test_of_overlapping_boxes_of_a_class_the_best_stays() -> None:
    boxes = torch.tensor([box(0, 0, 10, 10), box(0, 0, 10, 9), box(20, 0, 30, 10)]).double()
    scores = logits([0.6, 0.3, 0.1], [0.7, 0.04, 0.26], [0.04, 0.5, 0.46])
    found = select(boxes[:, None].expand(-1, 2, -1), scores)
    assert found.labels.tolist() == [0, 1, 1]
    torch.testing.assert_close(found.scores, torch.tensor([0.7, 0.5, 0.3]).double())
    assert found.boxes_xyxy[:, 3].tolist() == [9, 10, 10]


def test_a_score_is_above_one_in_twenty() -> None:
    boxes = torch.tensor(box(0, 0, 10, 10)).double().expand(1, 19, 4)
    assert len(select(boxes, torch.zeros(1, 20).double())) == 0
    assert len(select(boxes[:, :18], torch.zeros(1, 19).double())) == 18


def test_at_most_100_objects_are_found() -> None:
    boxes = torch.arange(150).double()[:, None, None] * 20 + torch.tensor(box(0, 0, 10, 10))
    assert len(select(boxes, logits([0.9, 0.1]).expand(150, -1))) == 100


def test_boxes_go_back_to_the_original_image() -> None:
    found = Detections(torch.tensor([box(10, 20, 30, 40)]), torch.ones(1), torch.zeros(1, dtype=torch.int64))
    assert found.resized((50, 100), to=(100, 400)).boxes_xyxy.tolist() == [[40, 40, 120, 80]]


def test_images_are_padded_at_the_right_and_the_bottom_to_multiples_of_32() -> None:
    images = [torch.ones(3, 33, 20), torch.ones(3, 10, 64)]
    batch, sizes = pad_images(images)
    assert batch.shape == (2, 3, 64, 64)
    assert sizes == [(33, 20), (10, 64)]
    assert batch.sum() == 3 * (33 * 20 + 10 * 64)
    assert torch.equal(batch[0, :, :33, :20], images[0])
    assert padded_size((32, 1)) == (32, 32)
    assert torch.equal(to_size(batch[:1], (96, 32))[0, :, :33, :20], images[0])
