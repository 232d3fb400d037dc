"""Weights as their publishers state them: timm, torchvision, and the authors of papers.

timm and torchvision publish these facts with their weights; only the mapping between their networks and those of the
zoo is kept, here and in `timm_names.py`. `weights.json` is written from this.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import timm
from timm.models import get_pretrained_cfg
from torchvision.models import get_model_weights

from modernet.catalogue.networks import TIMM_PREFIX, all_networks
from modernet.catalogue.timm_names import TIMM_NAMES
from modernet.catalogue.weights import PretrainedWeights, WebFile
from modernet.errors import unknown_name
from modernet.files.hub_file import HubFile

# network of the zoo -> torchvision's, where timm has no such weights or both use torchvision's names
_TORCHVISION = {
    **{name: name for name in ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "mobilenet_v2")},
    **{f"vgg{depth}{bn}": f"vgg{depth}{bn}" for depth in (11, 13, 16, 19) for bn in ("", "_bn")},
    "alexnet_one_tower": "alexnet",
}
# tags of the authors' weights from ImageNet-1K alone: their accuracy is in the model's entry of the zoo
_AUTHORS = ("fb_in1k", "ms_in1k", "fb_dist_in1k", "in1k", "d1_in1k", "d1h_in1k", "d2_in1k")
# accuracy of other tags, in %: Liu et al. 2022, table 1; Woo et al. 2023, tables 14 and 15; microsoft/Swin-Transformer
# fmt: off
_TOP1 = {
    "fb_in22k_ft_in1k": {
        "convnext_tiny": 82.9, "convnext_small": 84.6, "convnext_base": 85.8, "convnext_large": 86.6,
        "convnext_xlarge": 87.0,
    },
    "fb_in22k_ft_in1k_384": {
        "convnext_tiny": 84.1, "convnext_small": 85.8, "convnext_base": 86.8, "convnext_large": 87.5,
        "convnext_xlarge": 87.8,
    },
    "fcmae_ft_in1k": {
        "convnextv2_atto": 76.7, "convnextv2_femto": 78.5, "convnextv2_pico": 80.3, "convnextv2_nano": 81.9,
        "convnextv2_tiny": 83.0, "convnextv2_base": 84.9, "convnextv2_large": 85.8, "convnextv2_huge": 86.3,
    },
    "fcmae_ft_in22k_in1k": {
        "convnextv2_nano": 82.1, "convnextv2_tiny": 83.9, "convnextv2_base": 86.8, "convnextv2_large": 87.3,
    },
    "fcmae_ft_in22k_in1k_384": {
        "convnextv2_nano": 83.4, "convnextv2_tiny": 85.1, "convnextv2_base": 87.7, "convnextv2_large": 88.2,
        "convnextv2_huge": 88.7,
    },
    "fcmae_ft_in22k_in1k_512": {"convnextv2_huge": 88.9},
    "ms_in22k_ft_in1k": {
        "swin_tiny": 80.9, "swin_small": 83.2, "swin_base": 85.2, "swin_large": 86.3,
        "swin_base_384": 86.4, "swin_large_384": 87.3,
    },
}
# fmt: on
_ORIGINAL = "https://dl.fbaipublicfiles.com/convnext/"


def published_weights(model: str) -> tuple[PretrainedWeights, ...]:
    """Return the weights of a network of the zoo or of timm; those trained on ImageNet-1K alone come first.

    Raises:
        InputError: timm has no such network.
    """
    entries = [*_original(model), *_from_timm(model), *_from_torchvision(model)]
    entries = list({entry.tag: entry for entry in entries}.values())  # torchvision's own replace timm's copies
    return tuple(sorted(entries, key=lambda entry: (entry.num_classes != 1000, "_ft_" in entry.tag)))


def timm_models(pattern: str) -> list[str]:
    """Return the names `timm:NAME` that match a shell pattern."""
    return [f"{TIMM_PREFIX}{name}" for name in timm.list_models(pattern.removeprefix(TIMM_PREFIX))]


def _from_timm(model: str) -> Iterator[PretrainedWeights]:
    architecture = model.removeprefix(TIMM_PREFIX) if model.startswith(TIMM_PREFIX) else TIMM_NAMES.get(model)
    if architecture is None:
        return
    if not timm.is_model(architecture):
        raise unknown_name("network of timm", architecture, timm.list_models())
    ours = all_networks().get(model)
    for name in timm.list_pretrained(f"{architecture}.*"):
        facts: Any = get_pretrained_cfg(name)
        projection = facts.tag.startswith("clip") and "_ft_" not in facts.tag  # its outputs are not classes
        if (
            projection
            or not facts.hf_hub_id
            or facts.custom_load
            or (ours is not None and ours.fixed_size and facts.input_size[-1] != ours.image_size)
        ):
            continue
        yield PretrainedWeights(
            model=model,
            tag=facts.tag,
            file=HubFile(facts.hf_hub_id),
            num_classes=facts.num_classes,
            image_size=facts.input_size[-1],
            crop=facts.crop_pct,
            interpolation="bilinear" if facts.interpolation == "bilinear" else "bicubic",
            mean=facts.mean,
            std=facts.std,
            licence=facts.license or "",
            top1=_TOP1.get(facts.tag, {}).get(model, ours.top1 if ours is not None and facts.tag in _AUTHORS else None),
            crop_mode="squash" if facts.crop_mode == "squash" else "center",
            test_image_size=facts.test_input_size[-1] if facts.test_input_size else None,
            test_crop=facts.test_crop_pct,
        )


def _from_torchvision(model: str) -> Iterator[PretrainedWeights]:
    if model not in _TORCHVISION:
        return
    for weights in get_model_weights(_TORCHVISION[model]):
        if weights.meta.get("categories") is None or len(weights.meta["categories"]) != 1000:
            continue  # only VGG's features
        facts = weights.transforms()
        yield PretrainedWeights(
            model=model,
            tag=weights.name.lower().replace("imagenet1k_v1", "tv_in1k").replace("imagenet1k_v2", "tv2_in1k"),
            file=WebFile(weights.url, weights.url.rpartition("-")[2].partition(".")[0]),
            num_classes=1000,
            image_size=facts.crop_size[0],
            crop=facts.crop_size[0] / facts.resize_size[0],
            interpolation="bicubic" if facts.interpolation.value == "bicubic" else "bilinear",
            mean=tuple(facts.mean),
            std=tuple(facts.std),
            licence="bsd-3-clause",
            top1=weights.meta["_metrics"]["ImageNet-1K"]["acc@1"],
        )


def _original(model: str) -> Iterator[PretrainedWeights]:
    """Yield weights that only the authors of a paper publish."""
    size = model.removeprefix("convnext_isotropic_")
    if size not in ("small", "base", "large"):
        return
    yield PretrainedWeights(
        model=model,
        tag="fb_in1k",
        file=WebFile(f"{_ORIGINAL}convnext_iso_{size}_1k_224_ema.pth"),
        num_classes=1000,
        image_size=224,
        crop=0.875,
        interpolation="bicubic",
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        licence="mit",
        top1=all_networks()[model].top1,
    )
