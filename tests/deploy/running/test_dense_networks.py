"""`optimize` for segmenters and detectors."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import modernet
from deploy.networks import randomised, relative_error
from detection.small import detector
from modernet.deploy import OptimizedDetector, OptimizedNetwork
from modernet.detection import RCNNConfig, cascade_mask_rcnn, mask_rcnn, pad_images
from modernet.errors import InputError
from modernet.models import Backbone, create_model
from modernet.segmentation import Segmenter, UPerNet

QUICK: dict[str, Any] = {"compile": False}


@pytest.mark.medium
@pytest.mark.parametrize("kind", [Segmenter, UPerNet])
@torch.no_grad()
def test_an_optimized_segmenter_gives_the_same_logits(kind: type[nn.Module]) -> None:
    backbone = create_model("resnet_test")
    assert isinstance(backbone, Backbone)
    network = randomised(kind(backbone, 5, 16)).eval()
    fast = modernet.optimize(network, torch.randn(2, 3, 64, 96), **QUICK)
    assert isinstance(fast, OptimizedNetwork)
    assert sum(rewrite.count for rewrite in fast.report.rewrites) > 5
    images = torch.randn(3, 3, 64, 96)
    assert relative_error(fast(images), network(images)) < 1e-5


@pytest.mark.medium
@pytest.mark.parametrize("config", [mask_rcnn, lambda **fields: cascade_mask_rcnn(masks=False, **fields)])
@torch.no_grad()
def test_an_optimized_detector_finds_the_same(config: Callable[..., RCNNConfig]) -> None:
    network = detector(config, "resnet_test")
    before = copy.deepcopy(network.state_dict())
    fast = modernet.optimize(network, torch.randn(1, 3, 60, 90).double(), **QUICK)
    assert isinstance(fast, OptimizedDetector)
    assert all(torch.equal(before[key], tensor) for key, tensor in network.state_dict().items())
    folded = [rewrite.count for rewrite in fast.report.rewrites if "layer before" in rewrite.name]
    assert folded[0] > 5
    if len(network.config.stages) == 3:
        assert sum(rewrite.count for part in fast.report.others for rewrite in part.rewrites) == 3 * 4

    images, sizes = pad_images([torch.randn(3, *size).double() for size in [(50, 90), (64, 70)]])
    for found, expected in zip(fast(images, sizes), network(images, sizes), strict=True):
        assert len(found) == len(expected) > 10
        assert torch.equal(found.labels, expected.labels)
        torch.testing.assert_close(found.scores, expected.scores)
        torch.testing.assert_close(found.boxes_xyxy, expected.boxes_xyxy)
        assert (found.masks is None) == (expected.masks is None)
        if found.masks is not None:
            torch.testing.assert_close(found.masks, expected.masks)


def test_the_report_of_a_detector_names_its_parts() -> None:
    fast = modernet.optimize(detector(mask_rcnn).float(), torch.randn(1, 3, 64, 64), **QUICK)
    lines = str(fast.report).splitlines()
    assert lines[0] == "images to proposals"
    assert {"box head 1", "mask head 1"} <= set(lines)
    assert "images/s, batch 1, float32, cpu" in lines
    assert {"boxes/s, batch 1000, float32, cpu", "boxes/s, batch 100, float32, cpu"} <= set(lines)


@pytest.mark.slow
@torch.no_grad()
def test_a_compiled_detector_finds_the_same() -> None:
    network = detector(mask_rcnn).float()  # the compiler cannot freeze convolutions in float64
    images = torch.randn(1, 3, 64, 96)
    fast = modernet.optimize(network, images, seconds=600)
    (found,), (expected,) = fast(images), network(images)
    torch.testing.assert_close(found.scores, expected.scores, rtol=1e-3, atol=1e-4)
    assert not any(measured.failure for measured in fast.report.measured)


def test_another_padding_is_refused_in_one_line() -> None:
    network, example = detector(mask_rcnn), torch.randn(1, 3, 60, 90).double()
    fast = modernet.optimize(network, example, **QUICK)
    with pytest.raises(InputError, match=r"an image is 70x90; .* padded to 64x96: resize them, or call optimize"):
        fast(torch.randn(1, 3, 70, 90).double())


@pytest.mark.medium
@torch.no_grad()
def test_a_detector_computes_in_the_dtype_given() -> None:
    network, images = detector(mask_rcnn).float(), torch.randn(1, 3, 60, 90)
    exact = modernet.optimize(network, images, dtype=torch.float64, **QUICK)
    (found,), (expected,) = exact(images), copy.deepcopy(network).double()(images.double())
    assert found.scores.dtype == torch.float64
    torch.testing.assert_close(found.scores, expected.scores, rtol=1e-5, atol=1e-5)

    half = modernet.optimize(network, images.bfloat16(), dtype=torch.bfloat16, **QUICK)
    assert {part.dtype for part in (half.report, *half.report.others)} == {"bfloat16"}
    (found,) = half(images)
    assert len(found) > 10
    assert found.boxes_xyxy.dtype == torch.float32


def test_a_network_without_tensors_is_refused() -> None:
    class Silent(nn.Module):
        def forward(self, images: Tensor) -> str:
            return "nothing"

    with pytest.raises(InputError, match="the network returns str without tensors"):
        modernet.optimize(Silent(), torch.randn(1, 3, 8, 8), **QUICK)
