"""Parameters and multiply-accumulates of the published detectors."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from modernet.counting import count
from modernet.detection import RCNN, cascade_mask_rcnn, mask_rcnn
from modernet.detection.fixed_work import FixedWork
from modernet.models import create_model

TABLE = Path(__file__).with_name("published_coco.csv")
CONFIGS = {"mask_rcnn": mask_rcnn, "cascade_mask_rcnn": cascade_mask_rcnn}

# 10^6 parameters: Liu et al. 2021 (Swin), table 2, and its repository; Liu et al. 2022, released logs. Swin-L has none
PARAMS = {
    ("mask_rcnn", "swin_tiny"): 48,
    ("mask_rcnn", "convnext_tiny"): 48,
    ("cascade_mask_rcnn", "resnet50"): 82,
    ("cascade_mask_rcnn", "resnext101_32x4d"): 101,
    ("cascade_mask_rcnn", "resnext101_64x4d"): 140,
    ("cascade_mask_rcnn", "swin_tiny"): 86,
    ("cascade_mask_rcnn", "convnext_tiny"): 86,
    ("cascade_mask_rcnn", "swin_small"): 107,
    ("cascade_mask_rcnn", "convnext_small"): 108,
    ("cascade_mask_rcnn", "swin_base"): 145,
    ("cascade_mask_rcnn", "convnext_base"): 146,
    ("cascade_mask_rcnn", "convnext_large"): 255,
    ("cascade_mask_rcnn", "convnext_xlarge"): 407,
}


def published() -> list[tuple[str, str, int]]:
    """Detector, backbone and 10^9 MACs; a network that was pre-trained twice is in the table twice."""
    with TABLE.open() as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return sorted({(row["detector"], row["backbone"], int(row["gmacs"])) for row in rows})


def gmacs(network: RCNN, *, attention: bool) -> float:
    """Count as the papers did, in 10^9 for 800x1280: OpenMMLab's counter, and the products of attention by hand.

    It counts convolutions, linear layers, and an operation for each bias of a convolution, ReLU and pooled input, two
    for BatchNorm; no LayerNorm, GELU or RoIAlign. Of ReLU, what is not a layer of its own is not counted, and the
    figures fit only without the ReLUs of the mask heads: these are 0.06, and with them Swin-T would have 745.53.
    """
    simple: Counter[str] = Counter()

    def count(module: nn.Module, inputs: tuple[Tensor, ...], y: Tensor) -> None:
        match module:
            case nn.Conv2d() | nn.ConvTranspose2d() if module.bias is not None:
                simple["bias"] += y.numel()
            case nn.BatchNorm2d():
                simple["norm"] += 2 * y.numel()
            case nn.ReLU():
                simple["relu"] += y.numel()
            case nn.MaxPool2d():
                simple["pool"] += inputs[0].numel()

    for name, module in network.named_modules():
        if not (isinstance(module, nn.ReLU) and "mask_head" in name):
            module.register_forward_hook(count)
    with FlopCounterMode(display=False) as flops, torch.no_grad():
        FixedWork(network)(torch.empty(1, 3, 800, 1280, device="meta"))
    products = flops.get_flop_counts()["Global"]
    macs = sum(value // 2 for op, value in products.items() if attention or op is not torch.ops.aten.bmm)
    return (macs + simple.total()) / 1e9


@pytest.mark.medium
@pytest.mark.parametrize(("detector", "backbone", "expected"), published())
def test_parameters_and_macs_equal_the_published(detector: str, backbone: str, expected: int) -> None:
    with torch.device("meta"):
        network = RCNN(create_model(backbone), CONFIGS[detector]()).eval()
    # Swin-L's figure is that of ConvNeXt's authors, who did not add attention
    assert round(gmacs(network, attention=backbone != "swin_large")) == expected
    if (detector, backbone) in PARAMS:
        assert round(sum(p.numel() for p in network.parameters()) / 1e6) == PARAMS[detector, backbone]


def test_the_work_is_that_of_the_padded_image() -> None:
    work = FixedWork(RCNN(create_model("convnext_test"), mask_rcnn(3, width=8, hidden=16)))
    assert count(work, (50, 70)).macs == count(work, (64, 96)).macs
