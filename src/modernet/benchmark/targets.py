"""Names -> networks: of this zoo, of timm, of torchvision, or any function."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from modernet.benchmark.inputs import Clouds, Images, Inputs, Sequences, steps_of
from modernet.catalogue import TIMM_PREFIX
from modernet.data.points.inputs import PointInputs
from modernet.data.sequences.inputs import SequenceInputs
from modernet.errors import InputError, unknown_name
from modernet.models import create_model, get_entry
from modernet.points.config import POINT_MODELS
from modernet.points.zoo import create_point_model
from modernet.preparation import ImageSize
from modernet.records import OPTIMIZED_PREFIX
from modernet.sequences.config import SEQUENCE_MODELS
from modernet.sequences.zoo import create_sequence_model

if TYPE_CHECKING:
    from modernet.deploy import OptimizedNetwork

TORCHVISION_PREFIX = "torchvision:"
"""Prefix of names of torchvision's networks."""
_COLOUR_IMAGES = Images()
_BYTES = 257  # with padding
_CLASSES_OF_TEXT = 2
_CLASSES_OF_CLOUDS = 40


@dataclass(frozen=True)
class Target:
    """How to build a network.

    Attributes:
        build: side of the images in pixels, or height and width; steps of the sequences; points of the clouds -> the
            network, of a name with random weights.
        inputs: what it is given.
        top1: published ImageNet-1K top-1 in per cent, for networks of this zoo.
        optimized: whether to optimize it with `modernet.deploy.optimize` before it is measured.
        kept: loads the network as it was optimized and saved before, instead; for the CPU.
        kept_dtype: of what was saved.
        task: what it was trained for.
        classes_last: whether its scores are `(b, n, k)`, of each point of a cloud.
    """

    build: Callable[[ImageSize], nn.Module]
    inputs: Inputs = _COLOUR_IMAGES
    top1: float | None = None
    optimized: bool = False
    kept: Callable[[], OptimizedNetwork] | None = None
    kept_dtype: str = ""
    task: str = "classification"
    classes_last: bool = False


def find_network(name: str) -> Target:
    """Find a network by its name, without building it.

    Args:
        name: a network of this zoo, for images, sequences or point clouds; `timm:NAME` or
            `torchvision:NAME`, the other library's own; `module:function`, a function without arguments that returns a
            network, in a module that can be imported, also from the current folder; or `optimized:` and one of these.

    Raises:
        InputError: the name is unknown; the message suggests the closest ones.
    """
    if name.startswith(OPTIMIZED_PREFIX):
        return optimized_first(find_network(name.removeprefix(OPTIMIZED_PREFIX)), name)
    if name.startswith(TIMM_PREFIX):
        return _of_timm(name)
    if name.startswith(TORCHVISION_PREFIX):
        return _of_torchvision(name.removeprefix(TORCHVISION_PREFIX))
    if ":" in name:
        return _of_function(name)
    if name in SEQUENCE_MODELS:
        return _of_sequences(name)
    if name in POINT_MODELS:
        return _of_clouds(name)
    entry = get_entry(name)
    fixed_size = "image_size" in [field.name for field in dataclasses.fields(entry.config)]

    def build(image_size: ImageSize) -> nn.Module:
        return create_model(name, image_size=image_size) if fixed_size else create_model(name)

    return Target(build, Images(entry.config.in_chans), entry.published.top1)


def find_networks(names: Sequence[str], find: Callable[[str], Target] = find_network) -> dict[str, Target]:
    """Find networks by their names, each once.

    Raises:
        InputError: there is none, a name is unknown, or they take different things, such as images and sequences.
    """
    if not names:
        raise InputError("no model is given; give one or more, such as convnext_tiny")
    targets = {name: find(name) for name in names}
    first = names[0]
    for name, target in targets.items():
        if target.inputs.unit != targets[first].inputs.unit:
            raise InputError(
                f"{first} takes {targets[first].inputs.unit}, and {name} takes {target.inputs.unit}; measure each kind "
                "in a run of its own"
            )
    return targets


def optimized_first(target: Target, name: str) -> Target:
    """Return a target that `modernet.deploy.optimize` is to optimize first.

    Raises:
        InputError: it takes no images.
    """
    if not isinstance(target.inputs, Images):
        plain = name.removeprefix(OPTIMIZED_PREFIX)
        raise InputError(
            f"{plain} takes {target.inputs.unit}, and only networks for images are optimized; give {plain}"
        )
    return dataclasses.replace(target, optimized=True)


def _of_sequences(name: str) -> Target:
    """Return a classifier of bytes, as the Long Range Arena measures speed (Tay et al. 2020, table 2)."""

    def build(size: ImageSize) -> nn.Module:
        return create_sequence_model(name, SequenceInputs(steps_of(size), vocabulary=_BYTES), _CLASSES_OF_TEXT)

    return Target(build, Sequences(SequenceInputs(0, vocabulary=_BYTES)))


def _of_clouds(name: str) -> Target:
    """Return a classifier of points without normals, into the classes of ModelNet40."""
    inputs = PointInputs()

    def build(size: ImageSize) -> nn.Module:
        return create_point_model(name, dataclasses.replace(inputs, points=steps_of(size)), _CLASSES_OF_CLOUDS)

    return Target(build, Clouds(inputs))


def _of_timm(name: str) -> Target:
    """Return timm's own network, without the wrapper that gives it the contract of the zoo."""
    import timm

    architecture = name.removeprefix(TIMM_PREFIX)
    native_size = get_entry(name).published.image_size

    def build(image_size: ImageSize) -> nn.Module:
        if image_size != native_size:
            try:
                return timm.create_model(architecture, img_size=image_size)
            except TypeError:  # it accepts any size
                pass
        return timm.create_model(architecture)

    return Target(build)


def _of_torchvision(name: str) -> Target:
    import torchvision

    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise unknown_name("network of torchvision", name, known)

    def build(image_size: ImageSize) -> nn.Module:
        builder: Any = torchvision.models.get_model_builder(name)
        sized = "vit" in name and image_size != 224  # its other networks accept any size
        network: nn.Module = builder(weights=None, **({"image_size": image_size} if sized else {}))
        return network

    return Target(build)


def _of_function(name: str) -> Target:
    module_name, _, function_name = name.partition(":")
    module = _import(module_name, name)
    if not hasattr(module, function_name):
        functions = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise unknown_name(f"function of {module_name}", function_name, functions)
    function = getattr(module, function_name)
    required = inspect.Parameter.empty
    try:
        arguments = inspect.signature(function).parameters.values()
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is not a function; give one without arguments that returns a network") from error
    missing = [a.name for a in arguments if a.default is required and a.kind not in (a.VAR_POSITIONAL, a.VAR_KEYWORD)]
    if missing:
        raise InputError(
            f"{name} needs the arguments {', '.join(missing)}; give a function without arguments that returns a network"
        )

    def build(image_size: ImageSize) -> nn.Module:
        network = function()
        if not isinstance(network, nn.Module):
            raise InputError(f"{name} returns {network!r:.60}; give a function that returns an nn.Module")
        return network

    return Target(build)


def _import(module_name: str, name: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:  # a console script, unlike `python -m`, does not search the current folder
        sys.path.insert(0, here)
    try:
        return importlib.import_module(module_name)
    except Exception as error:  # importing a file can raise anything
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{module_name}.".startswith(f"{missing}."):
            raise InputError(
                f"no network is called {name!r}: there is no module {module_name!r}; give a name of `modernet models`, "
                "timm:NAME, torchvision:NAME, optimized:NAME, or module:function"
            ) from error
        raise InputError(f"cannot import {module_name!r}: {type(error).__name__}: {error}; fix it first") from error
