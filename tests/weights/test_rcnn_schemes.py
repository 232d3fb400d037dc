"""Published detectors load by one call: their names, shapes and sizes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from modernet.detection import RCNN, RCNNConfig, cascade_mask_rcnn, mask_rcnn
from modernet.errors import InputError
from modernet.models import create_model
from modernet.weights import load_weights
from modernet.weights.schemes import Scheme, schemes_of

Shapes = dict[str, tuple[int, ...]]


def with_bias(name: str, *weight: int, transposed: bool = False) -> Shapes:
    return {f"{name}.weight": weight, f"{name}.bias": (weight[1 if transposed else 0],)}


def convnext(depths: tuple[int, ...], dims: tuple[int, ...], depthwise: str, pointwise: str) -> Shapes:
    """Names and shapes of a ConvNeXt in a detector."""
    shapes: Shapes = {}
    for stage, (depth, c) in enumerate(zip(depths, dims, strict=True)):
        convolution, norm = (0, 1) if stage == 0 else (1, 0)
        before, size = (3, 4) if stage == 0 else (dims[stage - 1], 2)
        layer = f"backbone.downsample_layers.{stage}"
        shapes |= with_bias(f"{layer}.{convolution}", c, before, size, size)
        shapes |= with_bias(f"{layer}.{norm}", c if stage == 0 else before)
        shapes |= with_bias(f"backbone.norm{stage}", c)
        for index in range(depth):
            block = f"backbone.stages.{stage}.{index}"
            shapes |= {f"{block}.gamma": (c,)}
            shapes |= with_bias(f"{block}.{depthwise}", c, 1, 7, 7)
            shapes |= with_bias(f"{block}.norm", c)
            shapes |= with_bias(f"{block}.{pointwise}1", 4 * c, c)
            shapes |= with_bias(f"{block}.{pointwise}2", c, 4 * c)
    return shapes


def neck(channels: tuple[int, ...]) -> Shapes:
    shapes: Shapes = {}
    for level, c in enumerate(channels):
        shapes |= with_bias(f"neck.lateral_convs.{level}.conv", 256, c, 1, 1)
        shapes |= with_bias(f"neck.fpn_convs.{level}.conv", 256, 256, 3, 3)
    shapes |= with_bias("rpn_head.rpn_conv", 256, 256, 3, 3)
    shapes |= with_bias("rpn_head.rpn_cls", 3, 256, 1, 1)
    return shapes | with_bias("rpn_head.rpn_reg", 12, 256, 1, 1)


def mask_head(name: str) -> Shapes:
    shapes: Shapes = {}
    for layer in range(4):
        shapes |= with_bias(f"{name}.convs.{layer}.conv", 256, 256, 3, 3)
    shapes |= with_bias(f"{name}.upsample", 256, 256, 2, 2)
    return shapes | with_bias(f"{name}.conv_logits", 80, 256, 1, 1)


def one_stage() -> Shapes:
    shapes = with_bias("roi_head.bbox_head.shared_fcs.0", 1024, 12544)
    shapes |= with_bias("roi_head.bbox_head.shared_fcs.1", 1024, 1024)
    shapes |= with_bias("roi_head.bbox_head.fc_cls", 81, 1024) | with_bias("roi_head.bbox_head.fc_reg", 320, 1024)
    return shapes | mask_head("roi_head.mask_head")


def three_stages() -> Shapes:
    shapes: Shapes = {}
    for stage in range(3):
        head = f"roi_head.bbox_head.{stage}"
        for layer in range(4):
            convolution = f"{head}.shared_convs.{layer}"
            shapes |= {f"{convolution}.conv.weight": (256, 256, 3, 3), f"{convolution}.bn.num_batches_tracked": ()}
            shapes |= {f"{convolution}.bn.{part}": (256,) for part in ("weight", "bias", "running_mean", "running_var")}
        shapes |= with_bias(f"{head}.shared_fcs.0", 1024, 12544)
        shapes |= with_bias(f"{head}.fc_cls", 81, 1024) | with_bias(f"{head}.fc_reg", 320, 1024)
        shapes |= mask_head(f"roi_head.mask_head.{stage}")
    return shapes


TINY, SMALL = (3, 3, 9, 3), (3, 3, 27, 3)
CONFIGS = {"mask_rcnn": (mask_rcnn, one_stage), "cascade_mask_rcnn": (cascade_mask_rcnn, three_stages)}


def scheme(network: RCNN, project: str) -> Scheme:
    (found,) = (each for each in schemes_of(network) if each.project == project)
    return found


def shapes_of(tensors: dict[str, Tensor]) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    ("detector", "backbone", "depths", "dims", "tensors", "params"),
    [
        ("mask_rcnn", "convnext_tiny", TINY, (96, 192, 384, 768), 228, 48_095_376),
        ("cascade_mask_rcnn", "convnext_tiny", TINY, (96, 192, 384, 768), 334, 85_930_578),
        ("cascade_mask_rcnn", "convnext_small", SMALL, (96, 192, 384, 768), 496, 107_565_138),
        ("cascade_mask_rcnn", "convnext_base", SMALL, (128, 256, 512, 1024), 496, 145_800_242),
        ("cascade_mask_rcnn", "convnext_large", SMALL, (192, 384, 768, 1536), 496, 254_710_770),
        ("cascade_mask_rcnn", "convnext_xlarge", SMALL, (256, 512, 1024, 2048), 496, 406_875_058),
    ],
)
@pytest.mark.parametrize(
    ("project", "depthwise", "pointwise"),
    [("original", "dwconv", "pwconv"), ("openmmlab", "depthwise_conv", "pointwise_conv")],
)
def test_names_and_shapes_are_those_of_the_published_files(
    detector: str,
    backbone: str,
    depths: tuple[int, ...],
    dims: tuple[int, ...],
    tensors: int,
    params: int,
    project: str,
    depthwise: str,
    pointwise: str,
) -> None:
    config, heads = CONFIGS[detector]
    with torch.device("meta"):
        network = RCNN(create_model(backbone), config())
    expected = convnext(depths, dims, depthwise, pointwise) | neck(dims) | heads()
    assert shapes_of(scheme(network, project).to_stored(network.state_dict())) == expected
    assert len(expected) == tensors
    assert sum(weight.numel() for weight in network.parameters()) == params


def test_a_swin_is_stored_as_in_its_release() -> None:
    with torch.device("meta"):
        network = RCNN(create_model("swin_tiny"), mask_rcnn())
    stored = shapes_of(scheme(network, "original").to_stored(network.state_dict()))
    body = create_model("swin_tiny").state_dict()
    expected = {
        f"backbone.{name}": tuple(x.shape) for name, x in body.items() if name.split(".")[0] not in ("norm", "head")
    }
    channels = (96, 192, 384, 768)
    for level, c in enumerate(channels):
        expected |= with_bias(f"backbone.norm{level}", c)
    assert stored == expected | neck(channels) | one_stage()
    assert scheme(network, "original").is_ignored("backbone.layers.0.blocks.0.attn.relative_position_index")


def test_a_resnet_is_stored_as_openmmlab_does() -> None:
    with torch.device("meta"):
        network = RCNN(create_model("resnet50"), mask_rcnn())
    stored = shapes_of(scheme(network, "openmmlab").to_stored(network.state_dict()))
    body = create_model("resnet50").state_dict()
    expected = {f"backbone.{name}": tuple(x.shape) for name, x in body.items() if not name.startswith("fc.")}
    assert stored == expected | neck((256, 512, 1024, 2048)) | one_stage()


@pytest.mark.parametrize("config", [mask_rcnn, cascade_mask_rcnn])
@pytest.mark.parametrize(
    ("backbone", "project"),
    [
        ("convnext_test", "original"),
        ("convnext_test", "openmmlab"),
        ("convnext_test", "modernet"),
        ("swin", "original"),
        ("swin", "openmmlab"),
        ("resnet_test", "original"),
    ],
)
def test_a_published_file_loads_by_one_call(
    config: Callable[..., RCNNConfig], backbone: str, project: str, tmp_path: Path
) -> None:
    def made() -> RCNN:
        if backbone == "swin":
            body = create_model("swin_test", depths=(1, 1, 1, 1), heads=(1, 2, 2, 2))
        else:
            body = create_model(backbone)
        return RCNN(body, config(num_classes=2, width=8, hidden=16))

    source, target = made(), made()
    with torch.no_grad():
        for value in source.state_dict().values():
            value.copy_(torch.randint(-9, 9, value.shape))
    stored = scheme(source, project).to_stored(source.state_dict())
    if backbone == "swin":
        stored["backbone.layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(16, 16)
    file = tmp_path / "detector.pth"
    torch.save({"meta": {"CLASSES": ("a", "b")}, "state_dict": stored, "optimizer": {}}, file)
    report = load_weights(target, file)
    assert report.project == project
    assert report.found_under == "state_dict"
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in target.state_dict().items())


@pytest.mark.parametrize("config", [mask_rcnn, cascade_mask_rcnn])
def test_a_detector_of_other_classes_starts_from_a_published_one(config: Callable[..., RCNNConfig]) -> None:
    source, target = (
        RCNN(create_model("convnext_test"), config(num_classes=classes, width=8, hidden=16)) for classes in (4, 2)
    )
    stored, before = scheme(source, "original").to_stored(source.state_dict()), copy.deepcopy(target.state_dict())
    with pytest.raises(InputError, match="another number of classes: make the network with theirs, or skip the head"):
        load_weights(target, stored)
    report = load_weights(target, stored, skip_head=True)
    layers = {name.split(".")[-2] for name in report.new}
    assert layers == {"fc_cls", "fc_reg", "conv_logits"}
    for name, value in target.state_dict().items():
        assert torch.equal(value, before[name] if name in report.new else source.state_dict()[name])
