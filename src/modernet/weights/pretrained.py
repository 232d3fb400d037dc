"""Networks with pretrained weights: published ones, or a file in any known scheme."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from modernet import models
from modernet.catalogue import (
    TIMM_PREFIX,
    PretrainedWeights,
    find_weights,
    imagenet_classes,
    imagenet_synsets,
    weights_of,
    zoo_name,
)
from modernet.errors import InputError
from modernet.files.fingerprint import file_sha256, json_sha256
from modernet.files.hub_file import HubFile
from modernet.models import get_entry
from modernet.models.pretrained_cfg import describe_images
from modernet.preparation import IMAGENET_MEAN, IMAGENET_STD, Preparation
from modernet.progress import say
from modernet.weights.checkpoint_file import read_foreign_weights, weight_files
from modernet.weights.conversion import fields_for, network_for
from modernet.weights.download import fetch_weights
from modernet.weights.loading import LoadReport, load_file, load_weights, read_weights
from modernet.weights.saved_network import (
    WEIGHTS_NAME,
    Description,
    Inputs,
    NetworkSpec,
    SavedNetwork,
    folder_of_run,
    preparation_of,
    read_description,
)

_LABELS = {11821: "imagenet-12k", 21841: "imagenet-22k", 21843: "imagenet-21k"}


def create_model(
    model_name: str,
    pretrained: bool = False,
    pretrained_cfg: Any = None,
    pretrained_cfg_overlay: Mapping[str, Any] | None = None,
    checkpoint_path: str | os.PathLike[str] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    scriptable: bool | None = None,
    exportable: bool | None = None,
    no_jit: bool | None = None,
    **fields: Any,
) -> nn.Module:
    """Make a network of the zoo; see `modernet.models.create_model` for the fields. The arguments are those of timm's.

    Args:
        model_name: one of `list_models()`, or `model.tag` as `modernet weights` lists them; timm's names of the same
            networks too.
        pretrained: load published weights, fetched once: those of the tag, or the model's first. The classifier is a
            new one where another number of classes is asked for, and absent where the weights have none; position
            embeddings are resampled for another `image_size`.
        pretrained_cfg: a tag, or entries for the network's `pretrained_cfg`, a mapping or timm's object. Those of the
            number of classes, the input size and the pooling are the network's defaults; `file` (or `state_dict`,
            named tensors) is loaded instead of published weights, if `pretrained`.
        pretrained_cfg_overlay: such entries, which replace those of `pretrained_cfg`.
        checkpoint_path: a file of weights, with the network's classifier, to load whether `pretrained` or not.
        cache_dir: where fetched files are kept, instead of `$MODERNET_CACHE/weights`.
        scriptable, exportable, no_jit: change nothing: every network can be scripted and exported, and none is
            scripted.

    Raises:
        InputError: unknown name or field, or the weights cannot be fetched or do not fit; or `pretrained_cfg` names
            weights elsewhere that the catalogue does not have.

    >>> network = create_model("convnext_tiny", pretrained=True)  # doctest: +SKIP
    >>> network = create_model("convnext_tiny.fb_in22k_ft_in1k", pretrained=True, num_classes=10)  # doctest: +SKIP
    >>> create_model("swin_tiny_patch4_window7_224.ms_in1k", device="meta").pretrained_cfg["crop_pct"]
    0.9
    """
    name = zoo_name(model_name)
    if isinstance(pretrained_cfg, str):
        name, pretrained_cfg = f"{name.partition('.')[0]}.{pretrained_cfg}", None
    stated = {**_as_dict(pretrained_cfg), **_as_dict(pretrained_cfg_overlay)}
    source = stated.pop("state_dict", None) or stated.get("file")
    model, _, tag = name.partition(".")
    entry = _published(name)
    if pretrained and not source and (stated.get("url") or stated.get("hf_hub_id")):
        published = weights_of(get_entry(model).name)
        entry = next((each for each in published if _place(each).items() <= stated.items()), None)
        if entry is None:
            where = stated.get("hf_hub_id") or stated.get("url")
            raise InputError(f"pretrained_cfg names weights at {where}; download them and give file=")

    fields = {field: value for field, value in fields.items() if value is not None}
    features_only = fields.pop("features_only", False)
    extraction = {field: fields.pop(field) for field in ("out_indices", "feature_cls") if field in fields}
    classes: int | None = entry.num_classes if entry and (tag or pretrained) else None
    if pretrained and source:
        classes = _num_classes(model, source)
    classes = stated.get("num_classes", classes)
    if stated.get("global_pool") is not None:
        fields.setdefault("global_pool", stated["global_pool"])
    if stated.get("input_size") is not None:
        fields.setdefault("in_chans", stated["input_size"][0])
        if "img_size" not in fields and (not name.startswith(TIMM_PREFIX) or stated.get("fixed_input_size")):
            fields.setdefault("image_size", tuple(stated["input_size"][1:]))
    if features_only:
        fields |= {"num_classes": 0, "global_pool": ""}
    elif classes is not None:
        fields.setdefault("num_classes", classes)
    own_size = bool(fields.keys() & {"image_size", "img_size"})
    network = models.create_model(name if name.startswith(TIMM_PREFIX) else model, **fields)
    assert isinstance(network, models.Backbone)
    if entry and not name.startswith(TIMM_PREFIX):  # timm's have their own
        network.pretrained_cfg |= _describe(network, entry, own_size)
    network.pretrained_cfg |= stated

    if pretrained:
        if not source:
            source = fetch_weights(entry or find_weights(name), cache_dir)
        load_weights(network, source, resample=True, skip_head=features_only or network.num_classes != classes)
    if checkpoint_path:
        load_weights(network, checkpoint_path, resample=True, skip_head=features_only)
    return models.extract_features(network, **extraction) if features_only else network


def _as_dict(stated: Any) -> dict[str, Any]:
    """Return the entries of a `pretrained_cfg` that say something: of a mapping, of timm's object, or of None."""
    entries = stated.to_dict() if hasattr(stated, "to_dict") else stated or {}
    return {key: value for key, value in entries.items() if value is not None}


def _place(entry: PretrainedWeights) -> dict[str, str]:
    """Return where weights are published, under the keys of timm's `pretrained_cfg`."""
    file = entry.file
    return {"hf_hub_id": file.repo} if isinstance(file, HubFile) else {"url": file.url}


def _num_classes(model: str, source: str | os.PathLike[str] | Mapping[str, Any]) -> int:
    """Return the number of outputs of weights for a model; 0 without a classifier."""
    return network_for(model, read_weights(source)).num_classes


def _describe(network: models.Backbone, entry: PretrainedWeights, own_size: bool) -> dict[str, Any]:
    """Return what published weights are and want, under the keys of timm's `pretrained_cfg`.

    Args:
        own_size: the network is made for images of another size, which its `pretrained_cfg` states.
    """
    size = entry.test_image_size
    preparation = _preparation(entry.model, entry)
    tested: dict[str, Any] = {}
    if own_size:
        preparation = preparation.with_size(network.pretrained_cfg["input_size"][1:])
    elif size is not None:
        tested = {"test_input_size": (network.in_chans, size, size), "test_crop_pct": entry.test_crop or entry.crop}
    return {
        **describe_images(network, preparation),
        **tested,
        "tag": entry.tag,
        "num_classes": entry.num_classes,
        "license": entry.licence,
        "crop_mode": entry.crop_mode,
        **_place(entry),
    }


def load_model(name: str, weights: str | os.PathLike[str] | None = None, *, classifier: bool = True) -> SavedNetwork:
    """Return a network of the zoo with its weights, class names and preprocessing.

    Args:
        name: a model, with a file of weights for it; or published weights: `model.tag`, or a model for its first.
        weights: a file in any scheme that `load_weights` knows. Images are prepared as for the model's published
            weights.
        classifier: whether weights without a classifier are refused; else the network has as few classes as they.

    Raises:
        InputError: unknown name, or the weights cannot be fetched, do not fit, or are those of a run.

    >>> network = load_model("convnext_tiny.fb_in22k_ft_in1k")  # doctest: +SKIP
    >>> network = load_model("mobilenet_v2", "mobilenet_v2-b0353104.pth")  # doctest: +SKIP
    """
    name = zoo_name(name)
    model = name.partition(".")[0]
    entry = _published(name)
    path = fetch_weights(find_weights(name)) if weights is None else Path(weights)
    run = None if weights is None else folder_of_run(path)
    if run is not None:
        raise InputError(f"{path} has the weights of a run; give its folder {run} alone, without a model")
    file = read_foreign_weights(path)
    fields = fields_for(model, file)
    fields.pop("in_chans", None)  # images have three channels
    classes = fields.pop("num_classes", get_entry(model).config.num_classes)
    if classes == 0 and classifier:
        raise InputError(f"{path} has no classifier; train one first: modernet train --weights")
    network = models.create_model(model, num_classes=classes, **fields)
    loaded = load_file(network, file)
    preparation = _preparation(model, entry)
    if fields.keys() & {"image_size", "window_size"}:
        preparation = replace(preparation, image_size=_image_size(model, fields))
        say(f"{path.name} is for images of {preparation.image_size} pixels a side; the network is made for them")
    if loaded.found_under:
        say(f"the weights are {loaded.found_under} of {path.name}")
    if loaded.adapted:
        say(f"{path.name} is for images of another number of channels; adapted {', '.join(loaded.adapted)}")
    return SavedNetwork(network.eval(), NetworkSpec("model", model, fields), class_names(classes), preparation)


def untrained_model(name: str, seed: int = 0) -> SavedNetwork:
    """Return a network of the zoo with random weights and one class, for images as its published weights take them.

    It is what pretrained weights are compared with; nothing is drawn from the caller's generator.

    Raises:
        InputError: unknown name, or the name of weights.
    """
    model, _, tag = zoo_name(name).partition(".")
    if tag:
        raise InputError(f"{name} names weights; for random ones, give {model}")
    return untrained(NetworkSpec("model", get_entry(model).name, {}), _preparation(model, _published(model)), seed)


def untrained(spec: NetworkSpec, inputs: Inputs, seed: int = 0) -> SavedNetwork:
    """Return the network of a spec with random weights and one class."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = spec.build(1)
    return SavedNetwork(network.eval(), spec, class_names(1), inputs)


def _image_size(model: str, fields: Mapping[str, Any]) -> int:
    """Return the image size of a network whose `image_size` or `window_size` was changed: windows scale with images."""
    if "image_size" in fields:
        return int(fields["image_size"])
    entry = get_entry(model)
    config: Any = entry.config
    return entry.published.image_size * int(fields["window_size"]) // int(config.window_size)


@dataclass(frozen=True)
class StartingWeights:
    """Weights to start a training from, and how images were prepared for them, or sequences encoded."""

    path: Path
    inputs: Inputs
    trained: Description | None = None
    """The network, if they are those of a finished run."""
    published: str | None = None
    """Name of published weights, `model.tag`; None of a file that the user gave."""

    @property
    def preparation(self) -> Preparation:
        """As `SavedNetwork.preparation`."""
        return preparation_of(self.inputs)

    def fingerprint(self) -> str:
        """Return the first 12 digits of the sha256 of the file; of a folder or an index, of the files of weights."""
        digests = [file_sha256(part) for part in weight_files(self.path)]
        return (digests[0] if len(digests) == 1 else json_sha256(digests))[:12]

    def load_into(self, network: nn.Module) -> LoadReport:
        """Load everything but the classifier, resampled where the network is made for another image size; of a run that
        has pre-trained a backbone, without the decoder.

        Raises:
            InputError: they do not fit.
        """
        pretrained = self.trained is not None and self.trained.task == "pretraining"
        return load_weights(network, self.path, entry="encoder" if pretrained else None, resample=True, skip_head=True)


def starting_weights(name: str, weights: str | os.PathLike[str] | None = None) -> StartingWeights:
    """What a training of a network of the zoo can begin with.

    Args:
        name: a model, with a file of weights for it; or published weights, `model.tag`, fetched once.
        weights: a file in any scheme that `load_weights` knows; the folder of a finished run, or `model.safetensors`
            in it, begins as `weights_of_run`.

    Raises:
        InputError: unknown name, or the weights cannot be fetched.
    """
    entry = _published(name)
    run = None if weights is None else folder_of_run(Path(weights))
    if run is not None:
        return weights_of_run(run)
    preparation = _preparation(name.partition(".")[0], entry)
    if weights is not None:
        return StartingWeights(Path(weights), preparation)
    published = find_weights(name)
    return StartingWeights(fetch_weights(published), preparation, published=published.name)


def weights_of_run(folder: Path) -> StartingWeights:
    """Return the weights of a finished run, with what is known of its network.

    Raises:
        InputError: the folder contains no network, or its description is damaged.
    """
    trained = read_description(folder)
    return StartingWeights(folder / WEIGHTS_NAME, trained.inputs, trained)


def class_names(count: int) -> tuple[str, ...]:
    """Return the usual class names of a network with `count` outputs: ImageNet's, or `class 0`, `class 1`, ..."""
    if count == len(imagenet_classes()):
        return imagenet_classes()
    if count not in _LABELS:
        return tuple(f"class {index}" for index in range(count))
    from timm.data.imagenet_info import ImageNetInfo  # timm takes seconds to import

    info = ImageNetInfo(_LABELS[count])
    return tuple(info.index_to_description(index) for index in range(count))


def class_synsets(count: int) -> tuple[str, ...] | None:
    """Return the WordNet synsets of the classes that `class_names` names; None where they are not ImageNet's."""
    if count == len(imagenet_synsets()):
        return imagenet_synsets()
    if count not in _LABELS:
        return None
    from timm.data.imagenet_info import ImageNetInfo  # timm takes seconds to import

    info = ImageNetInfo(_LABELS[count])
    return tuple(info.index_to_label_name(index) for index in range(count))


def _published(name: str) -> PretrainedWeights | None:
    """Return the published weights of `model.tag`, or the first of a model; None for a model without any.

    Raises:
        InputError: there is no such model, or no such tag.
    """
    model, _, tag = name.partition(".")
    return find_weights(name) if tag else next(iter(weights_of(get_entry(model).name)), None)


def _preparation(model: str, entry: PretrainedWeights | None) -> Preparation:
    """Return how the publisher of the weights prepares images, or else how most networks for ImageNet do."""
    if entry is None:
        return Preparation(get_entry(model).published.image_size, IMAGENET_MEAN, IMAGENET_STD, crop=0.875)
    return Preparation(entry.image_size, entry.mean, entry.std, entry.crop, entry.interpolation)
