"""The losses are those of the published conventions, and divide as a batch does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torchvision.ops import box_iou

from detection import written_out
from detection.small import CLASSES, detector
from modernet.data.images.views import Box, View
from modernet.data.targets import BoxBatch, InstanceMasks
from modernet.detection import RCNN, RCNNConfig, cascade_mask_rcnn, mask_rcnn, pad_images
from modernet.errors import InputError
from modernet.models import Backbone, create_model

CONFIGS = [mask_rcnn, cascade_mask_rcnn]
BOXES = [(3.0, 4.0, 40.0, 29.0), (20.0, 10.0, 45.0, 55.0), (8.0, 30.0, 24.0, 52.0)]
LABELS = [0, 2, 1]


def targets(images: list[list[int]], side: int = 64) -> BoxBatch:
    """Targets of a batch, the objects of each image by their place in `BOXES`; a mask is the ellipse in its box."""
    chosen = [index for image in images for index in image]
    boxes = torch.tensor([BOXES[index] for index in chosen]).double().reshape(-1, 4)
    center, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    pixels = torch.arange(side) + 0.5
    x, y = ((pixels - center[:, i, None]) / half[:, i, None] for i in range(2))
    masks = x[:, None, :] ** 2 + y[:, :, None] ** 2 < 1
    image = torch.tensor([place for place, image in enumerate(images) for _ in image], dtype=torch.int64)
    labels = torch.tensor([LABELS[index] for index in chosen], dtype=torch.int64)
    whole = View(Box(0, 0, side, side), (side, side))
    cut = InstanceMasks.join([whole.map_mask(whole.box, mask) for mask in masks])
    sizes = torch.full((len(images), 2), side)
    return BoxBatch(boxes, labels, torch.zeros(len(chosen), dtype=torch.bool), image, cut, sizes)


@pytest.fixture
def first_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let losses be over the first boxes instead of random ones."""
    monkeypatch.setattr("modernet.detection.matching._some", lambda indices, number: indices[:number])


@pytest.mark.medium
@pytest.mark.usefixtures("first_boxes")
@pytest.mark.parametrize("config", CONFIGS)
@torch.no_grad()
def test_losses_are_those_of_the_conventions_written_out(config: Callable[..., RCNNConfig]) -> None:
    network = detector(config)
    images, sizes = pad_images([torch.randn(3, 60, 50).double()])
    known = targets([[0, 1, 2]])
    parts = network(images, sizes, known)
    assert known.masks is not None
    expected = written_out.losses(network, images, sizes[0], BOXES, LABELS, known.masks.whole((64, 64)))
    assert all(value > 0 for value in expected.values())
    assert {name: value.item() for name, value in parts.items()} == pytest.approx(expected, rel=1e-6)


@pytest.mark.medium
@pytest.mark.usefixtures("first_boxes")
@pytest.mark.parametrize("config", CONFIGS)
@torch.no_grad()
def test_parts_of_a_batch_weighed_by_their_images_give_its_loss(
    config: Callable[..., RCNNConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where every image has enough boxes to draw, as all of a usual size do; masks weigh by their positive boxes."""
    monkeypatch.setattr("modernet.detection.region_proposals._SAMPLED", 16)
    network = detector(config)
    network.config = network.roi_heads.config = replace(network.config, sampled=16)
    images = torch.randn(3, 3, 64, 64).double()
    whole = network(images, targets=targets([[0, 1], [2], []]))
    two, one = network(images[:2], targets=targets([[0, 1], [2]])), network(images[2:], targets=targets([[]]))
    for name in ("rpn_class", "rpn_box", "class", "box"):
        assert whole[name].item() == pytest.approx((2 * two[name].item() + one[name].item()) / 3), name
    assert whole["mask"].item() == pytest.approx(two["mask"].item())


@pytest.mark.medium
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("config", CONFIGS)
def test_every_parameter_gets_a_gradient_with_objects_and_without(
    config: Callable[..., RCNNConfig], training: bool
) -> None:
    network = detector(config).train(training)
    images = torch.randn(2, 3, 64, 64).double()
    for known in (targets([[0, 1], []]), targets([[], []])):
        network.zero_grad()
        parts = network(images, targets=known)
        torch.stack(list(parts.values())).sum().backward()  # type: ignore[no-untyped-call]
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
        if not len(known.labels):
            assert [name for name, part in parts.items() if part == 0] == ["rpn_box", "box", "mask"]
            assert all(p.grad.abs().sum() == 0 for p in network.roi_heads.mask_heads.parameters() if p.grad is not None)


@pytest.mark.usefixtures("first_boxes")
@torch.no_grad()
def test_crowds_are_background() -> None:
    network, images = detector(mask_rcnn), torch.randn(1, 3, 64, 64).double()
    known = targets([[0, 1]])
    crowded = known._replace(crowd=torch.tensor([False, True]))
    assert network(images, targets=crowded) == network(images, targets=targets([[0]]))


@pytest.mark.usefixtures("first_boxes")
@torch.no_grad()
def test_an_object_with_only_a_box_has_no_mask_loss() -> None:
    network, images = detector(mask_rcnn), torch.randn(1, 3, 64, 64).double()
    known = targets([[0, 1]])
    assert known.masks is not None
    window, part = Box(*known.masks.windows[0].tolist()), known.masks.split()[0]
    unknown = InstanceMasks.join([(window, part), None])
    half = network(images, targets=known._replace(masks=unknown))
    whole, alone = network(images, targets=known), network(images, targets=targets([[0]]))
    assert all(half[name] == whole[name] for name in ("rpn_class", "rpn_box", "class", "box"))
    assert 0 < half["mask"] != whole["mask"]
    nothing = network(images, targets=known._replace(masks=InstanceMasks.join([None, None])))
    assert nothing["mask"] == 0
    assert alone["mask"] > 0


def test_masks_are_needed_for_mask_heads() -> None:
    known = targets([[0]])._replace(masks=None)
    with pytest.raises(InputError, match="the targets have none: use masks=False"):
        detector(mask_rcnn)(torch.randn(1, 3, 64, 64).double(), targets=known)
    parts = detector(lambda **fields: mask_rcnn(masks=False, **fields))(
        torch.randn(1, 3, 64, 64).double(), targets=known
    )
    assert set(parts) == {"rpn_class", "rpn_box", "class", "box"}


@pytest.mark.medium
def test_a_detector_learns_a_scene_by_heart() -> None:
    torch.manual_seed(0)
    backbone = create_model("resnet_test")
    assert isinstance(backbone, Backbone)
    network = RCNN(backbone, mask_rcnn(num_classes=CLASSES, width=16, hidden=64)).train()
    known = targets([[0, 2]])
    assert known.masks is not None
    known = known._replace(boxes_xyxy=known.boxes_xyxy.float())
    colors, masks = torch.eye(3)[known.labels], known.masks.whole((64, 64))
    images = 0.1 * torch.randn(1, 3, 64, 64) + torch.einsum("nc,nhw->chw", colors, masks.float())
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        parts = network(images, targets=known)
        assert isinstance(parts, dict)
        torch.stack(list(parts.values())).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    found = network.eval().detect(images, [(64, 64)])[0]
    for label, box, mask in zip(known.labels.tolist(), known.boxes_xyxy, masks, strict=True):
        best = found.labels.tolist().index(label)
        assert found.scores[best] > 0.5
        assert box_iou(found.boxes_xyxy[best, None], box[None]) > 0.5
        pasted = list(found.whole_masks((64, 64)))[best]
        assert (pasted & mask).sum() / (pasted | mask).sum() > 0.6
