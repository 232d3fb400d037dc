"""The zoo: create networks by name."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from modernet.catalogue import TIMM_PREFIX, zoo_name
from modernet.errors import InputError, unknown_name
from modernet.models.backbone import Backbone
from modernet.models.entry import MODELS, ModelEntry
from modernet.models.feature_extractor import FeatureExtractor
from modernet.models.pretrained_cfg import describe_images, describe_layers
from modernet.preparation import IMAGENET_MEAN, IMAGENET_STD, ImageSize, Preparation

_FEATURE_CLASSES = ("list", "getter", "hook", "fx")


class UnknownField(InputError, TypeError):
    """A network has no such field; also a `TypeError`, which timm's code expects of an unknown argument."""


def get_entry(name: str) -> ModelEntry:
    """Return the entry called `name`, in the zoo or in timm, or timm's own for `timm:NAME`.

    Raises:
        InputError: no such name; the message suggests the closest ones.
    """
    if name.startswith(TIMM_PREFIX):
        from modernet.models.timm_bridge import timm_entry  # here, since timm takes seconds to import

        return timm_entry(name)
    return MODELS[zoo_name(name)]


def create_model(
    name: str,
    *,
    features_only: bool = False,
    out_indices: int | Sequence[int] | None = None,
    feature_cls: str = "list",
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    **fields: Any,
) -> nn.Module:
    """Create a network of the zoo with random weights.

    Args:
        name: one of `list_models()`, timm's name of one of them, or `timm:NAME` for one of timm's.
        features_only: return a `FeatureExtractor`, which outputs a list of feature maps, instead of a classifier.
        out_indices: feature maps, as indices into `feature_info`; an int n means the last n, None means all.
        feature_cls: timm's ways to make that list, `list`, `getter`, `hook` and `fx`, which are one here.
        device, dtype: of the parameters; by default torch's.
        fields: config fields to override: `num_classes`, `in_chans`, `drop_rate`, `drop_path_rate` and `global_pool`
            for every architecture, and the architecture's own (`depths`, `dims`, ...). `img_size` is another name of
            `image_size`; a network for any size takes it as what `pretrained_cfg` states. A field that is None keeps
            its default.

    Raises:
        InputError: unknown name, unknown field, or a value out of range.

    >>> network = create_model("convnext_tiny", num_classes=10)
    >>> create_model("resnet50", features_only=True, out_indices=(1, 2, 3, 4)).feature_info.reduction()
    [4, 8, 16, 32]
    """
    entry = get_entry(name)
    fields = {field: value for field, value in fields.items() if value is not None}
    image_size = _image_size(entry, fields)
    if features_only:
        fields |= {"num_classes": 0, "global_pool": ""}
    known = [field.name for field in dataclasses.fields(entry.config)]
    for field in fields:
        if field not in known:
            raise UnknownField(str(unknown_name(f"field of {type(entry.config).__name__}", field, known)))
        fields[field] = _checked(field, fields[field], getattr(entry.config, field))
    with torch.device(device) if device is not None else contextlib.nullcontext():
        network = entry.network(dataclasses.replace(entry.config, **fields)).to(dtype=dtype)
    if not network.pretrained_cfg:  # timm's have their own
        preparation = Preparation(image_size, IMAGENET_MEAN, IMAGENET_STD, crop=0.875)
        network.pretrained_cfg = {
            "architecture": entry.name,
            "num_classes": entry.config.num_classes,
            **describe_layers(network),
            **describe_images(network, preparation),
        }
    return extract_features(network, out_indices, feature_cls) if features_only else network


def extract_features(
    network: Backbone, out_indices: int | Sequence[int] | None = None, feature_cls: str = "list"
) -> FeatureExtractor:
    """Return what `create_model` does with `features_only=True`.

    Raises:
        InputError: there are no such feature maps, or a list is not what `feature_cls` asks for.
    """
    if feature_cls not in _FEATURE_CLASSES:
        raise InputError(f"feature_cls is {feature_cls!r}; give {' or '.join(_FEATURE_CLASSES)}: all return a list")
    return FeatureExtractor(network, out_indices)


def _checked(name: str, value: Any, default: Any) -> Any:
    """Return a field's value if it has the type of its default; ints count as floats, lists as tuples."""
    if isinstance(default, tuple) and isinstance(value, list | tuple):
        allowed = all(isinstance(item, type(default[0])) for item in value)
        value = tuple(value)
    else:
        allowed = isinstance(value, (int, float) if isinstance(default, float) else type(default))
    if not allowed:
        raise InputError(f"{name} is {value!r}; give a value like {default!r}")
    return value


def _image_size(entry: ModelEntry, fields: dict[str, Any]) -> ImageSize:
    """Return the size of the images that the network is made for, and leave it in `fields` if it is one of its fields.

    timm's name of the field is `img_size`, and its value may be a pair.
    """
    own = getattr(entry.config, "image_size", None)
    if "img_size" in fields:
        fields["image_size"] = fields.pop("img_size")
    size: Any = fields.get("image_size", own or entry.published.image_size)
    if isinstance(size, tuple | list) and len(set(size)) == 1:
        size = size[0]
    if own is None:
        fields.pop("image_size", None)
        sides = size if isinstance(size, tuple | list) else (size, size)
        if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
            raise InputError(f"image_size is {size!r}; give the side of a square in pixels, or height and width")
        return sides[0], sides[1]
    if "image_size" in fields:
        fields["image_size"] = size
    return int(_checked("image_size", size, 224))
