"""What a detector finds is what the published conventions, written out box by box, give."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from detection import written_out
from detection.small import detector
from modernet.detection import RCNN, RCNNConfig, cascade_mask_rcnn, mask_rcnn, pad_images
from modernet.errors import InputError
from modernet.models import create_model

CONFIGS = [mask_rcnn, cascade_mask_rcnn]


@pytest.mark.medium
@pytest.mark.parametrize("backbone", ["convnext_test", "resnet_test"])
@pytest.mark.parametrize("config", CONFIGS)
@torch.no_grad()
def test_detections_are_those_of_the_conventions_written_out(config: Callable[..., RCNNConfig], backbone: str) -> None:
    network = detector(config, backbone)
    images, sizes = pad_images([torch.randn(3, 30, 60).double()])
    assert images.shape == (1, 3, 32, 64)
    (found,) = network(images, sizes)
    expected = written_out.detections(network, images, sizes[0])
    assert len(found) == len(expected) > 50
    assert found.labels.tolist() == [each.label for each in expected]
    torch.testing.assert_close(found.scores, torch.tensor([each.score for each in expected]).double())
    torch.testing.assert_close(found.boxes_xyxy, torch.tensor([each.box for each in expected]).double())
    masks = torch.stack([each.mask for each in expected if each.mask is not None])
    torch.testing.assert_close(found.masks, masks)
    for index, mask in zip(range(3), found.whole_masks(sizes[0]), strict=False):
        assert torch.equal(mask, written_out.pasted(masks[index], expected[index].box, sizes[0]))


@pytest.mark.medium
@pytest.mark.parametrize("config", CONFIGS)
@torch.no_grad()
def test_what_is_found_in_an_image_does_not_depend_on_its_batch(config: Callable[..., RCNNConfig]) -> None:
    network = detector(config)
    images = [torch.randn(3, *size).double() for size in [(40, 60), (90, 33), (64, 64), (40, 60)]]
    together = network(*pad_images(images))
    for image, found in zip(images, together, strict=True):
        (alone,) = network(*pad_images([image]))
        assert len(found) == len(alone) > 10
        torch.testing.assert_close(found.boxes_xyxy, alone.boxes_xyxy)
        torch.testing.assert_close(found.scores, alone.scores)
        torch.testing.assert_close(found.masks, alone.masks)
        height, width = image.shape[1:]
        assert (found.boxes_xyxy >= 0).all()
        assert (found.boxes_xyxy <= torch.tensor([width, height, width, height])).all()


def test_without_sizes_images_fill_their_batch_and_are_padded_if_they_must_be() -> None:
    network = detector(mask_rcnn)
    image = torch.randn(1, 3, 50, 60).double()
    (plain,) = network(image)
    (padded,) = network(*pad_images(list(image)))
    assert torch.equal(plain.boxes_xyxy, padded.boxes_xyxy)


def test_without_masks_there_is_no_mask_head() -> None:
    network = detector(lambda **fields: mask_rcnn(masks=False, **fields))
    (found,) = network(torch.randn(1, 3, 64, 64).double())
    assert found.masks is None
    assert not any("mask" in name for name, _ in network.named_parameters())


def test_nothing_may_be_found() -> None:
    network = detector(mask_rcnn)
    with torch.no_grad():
        network.roi_heads.box_heads[0].fc_cls.bias[-1] += 1000
    (found,) = network(torch.randn(1, 3, 64, 64).double())
    assert len(found) == 0
    assert found.masks is not None
    assert found.masks.shape == (0, 28, 28)
    assert list(found.whole_masks((64, 64))) == []


@pytest.mark.medium
@pytest.mark.parametrize("name", ["swin_tiny", "mobilenet_v2", "timm:resnet18", "timm:convnext_atto", "vit_test"])
def test_any_backbone_with_strides_from_4_to_32_will_do(name: str) -> None:
    with torch.device("meta"):
        network = RCNN(create_model(name), mask_rcnn())
    levels = network.levels(torch.empty(1, 3, 64, 96, device="meta"))
    assert [tuple(level.shape[1:]) for level in levels] == [
        (256, 16, 24), (256, 8, 12), (256, 4, 6), (256, 2, 3), (256, 1, 2)
    ]  # fmt: skip


def test_a_backbone_without_these_strides_is_refused() -> None:
    with pytest.raises(InputError, match=r"feature maps of strides 4, 8; a detector needs 4, 8, 16 and 32"):
        RCNN(create_model("swin_test"), mask_rcnn())


def test_a_detector_needs_a_class() -> None:
    with pytest.raises(InputError, match="num_classes is 0; a detector needs 1 or more"):
        mask_rcnn(num_classes=0)
