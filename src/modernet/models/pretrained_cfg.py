"""What timm's code asks a network about its layers and images: entries of `pretrained_cfg`, under timm's keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn

from modernet.models.backbone import Backbone
from modernet.preparation import Preparation


def describe_layers(network: Backbone) -> dict[str, Any]:
    """Return the names of the first layer and of the classifier, several where there are several."""
    classifiers = tuple(_linear_layers(network))
    weights = (name.removesuffix(".weight") for name, tensor in network.named_parameters() if tensor.ndim == 4)
    return {"first_conv": next(weights), "classifier": classifiers[0] if len(classifiers) == 1 else classifiers}


def describe_images(network: Backbone, preparation: Preparation) -> dict[str, Any]:
    """Return the size of the network's images and how they are prepared.

    For images of another number of channels than the preparation's, the mean over its channels.
    """
    size, channels = preparation.size, network.in_chans
    return {
        "input_size": (channels, *size),
        "fixed_input_size": network.has_one_size,
        "pool_size": network.grid_of(size),
        "crop_pct": preparation.crop,
        "crop_mode": "center",
        "interpolation": preparation.pil_interpolation,
        "mean": _for_channels(preparation.mean, channels),
        "std": _for_channels(preparation.std, channels),
    }


def _linear_layers(network: Backbone) -> Iterator[str]:
    """Yield the name of the linear layer in each classifier; of the classifier where it has none."""
    for name in network.classifier_names():
        layers = network.get_submodule(name).named_modules(prefix=name)
        yield next((layer for layer, module in layers if isinstance(module, nn.Linear)), name)


def _for_channels(values: Sequence[float], channels: int) -> tuple[float, ...]:
    return tuple(values) if len(values) == channels else (sum(values) / len(values),) * channels
