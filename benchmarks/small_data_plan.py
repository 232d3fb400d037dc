"""The runs of `gpu_small_data.py`: contenders, their candidates, and its ablation, at three scales."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modernet.recipes import Recipe, get_recipe
from modernet.weights import NetworkSpec


@dataclass(frozen=True)
class Candidate:
    """A network and a recipe; the best on the validation split after a short run represents a contender."""

    label: str
    spec: NetworkSpec
    recipe: Recipe


@dataclass(frozen=True)
class Part:
    """A comparison of contenders with the same training time on the same images.

    Attributes:
        contenders: name -> candidates; all others are compared with the first.
        tuning_share: length of a short run as a share of a full one.
        seconds: training time of a run; None divides the available time, with at least `least_seconds` per run: runs
            that do not fit are left to the next call.
        turn_s: length of a turn in seconds when speeds are measured.
        n_train, n_validation, n_test: number of images used from each split; None is all.
    """

    name: str
    data: str
    contenders: Mapping[str, tuple[Candidate, ...]]
    seeds: int
    time_share: float
    tuning_share: float = 0.2
    seconds: float | None = None
    least_seconds: float = 0.0
    turn_s: float = 0.25
    n_train: int | None = None
    n_validation: int | None = None
    n_test: int | None = None


@dataclass(frozen=True)
class Scale:
    """The sizes of one plan: networks as model names with fields, and changes of the recipe for this device.

    Attributes:
        rival: label of `resnet`.
    """

    convnext: tuple[str, Mapping[str, Any]]
    four_stages: Mapping[str, Any]
    rival: str
    resnet: tuple[str, Mapping[str, Any]]
    changes: Mapping[str, Any]

    def candidate(self, label: str, network: tuple[str, Mapping[str, Any]], **changes: Any) -> Candidate:
        """Return a candidate; `changes` change the recipe, with `lr_factor` relative to its learning rate."""
        recipe = get_recipe("small_data").replace(**self.changes)
        if "lr_factor" in changes:
            changes["lr"] = recipe.optimizer.lr * changes.pop("lr_factor")
        return Candidate(label, NetworkSpec("model", network[0], dict(network[1])), recipe.replace(**changes))

    def changed(self, **fields: Any) -> tuple[str, Mapping[str, Any]]:
        """Return the ConvNeXt with other fields."""
        return self.convnext[0], {**self.convnext[1], **fields}


_SGD = {"optimizer": "sgd", "weight_decay": 5e-4}
_PICO = "convnext_pico"
_LAYERS = {"layer_scale_init": 0.0}
_GPU = Scale(
    convnext=(_PICO, {"depths": (3, 6, 3), "dims": (96, 192, 384), "stem_stride": 2, **_LAYERS}),
    four_stages={"depths": (2, 2, 6, 2), "dims": (64, 128, 256, 512), "stem_stride": 1},
    rival="ResNet-18",
    resnet=("resnet18", {"stem_stride": 1}),
    changes={"precision": "bf16"},
)
_CPU = Scale(
    convnext=(_PICO, {"depths": (1, 3, 1), "dims": (32, 64, 128), "stem_stride": 2, **_LAYERS}),
    four_stages={"depths": (1, 1, 2, 1), "dims": (16, 32, 64, 128), "stem_stride": 1},
    rival="ResNet-10 of width 16",
    resnet=("resnet18", {"stem_stride": 1, "depths": (1, 1, 1, 1), "width": 16}),
    changes={"batch_size": 32},
)
_TINY = Scale(
    convnext=(_PICO, {"depths": (1, 1, 1), "dims": (8, 16, 32), "stem_stride": 2, **_LAYERS}),
    four_stages={"depths": (1, 1, 1, 1), "dims": (8, 8, 16, 16), "stem_stride": 1},
    rival="ResNet-10 of width 8",
    resnet=("resnet18", {"stem_stride": 1, "depths": (1, 1, 1, 1), "width": 8}),
    changes={"batch_size": 32},
)


def full_plan() -> tuple[Part, ...]:
    """Return the parts for one GPU: a ConvNeXt below 10 M parameters, ResNet-18 and ResNet-50, and an ablation."""
    finer, coarser = _GPU.changed(stem_stride=2), _GPU.changed(stem_stride=4)
    with_resnet50 = {
        "ConvNeXt": (
            _GPU.candidate("three stages, stem stride 4", coarser),
            _GPU.candidate("three stages, stem stride 2", finer),
            _GPU.candidate("four stages, stem stride 2", _GPU.changed(**{**_GPU.four_stages, "stem_stride": 2})),
        ),
        "ResNet-50": (
            _GPU.candidate("stem stride 2, SGD", ("resnet50", {"stem_stride": 2}), **_SGD, lr=0.1),
            _GPU.candidate("stem stride 4, SGD", ("resnet50", {"stem_stride": 4}), **_SGD, lr=0.1),
            _GPU.candidate("stem stride 2, AdamW", ("resnet50", {"stem_stride": 2})),
        ),
    }
    return (
        Part("cifar10", "cifar10", _with_resnet(_GPU), seeds=3, time_share=0.4),
        Part("tiny_imagenet_50", "tiny_imagenet_50", with_resnet50, seeds=3, time_share=0.4),
        Part("ablation", "cifar10", _ablation(_GPU), seeds=2, time_share=0.2, least_seconds=10),
    )


def cpu_plan() -> tuple[Part, ...]:
    """Return the parts for one core: networks of a twentieth of the size, hundreds of steps, thousands of images."""
    return (
        Part(
            "cifar10",
            "cifar10",
            _with_resnet(_CPU),
            seeds=3,
            time_share=0.35,
            n_train=6000,
            n_validation=1000,
            n_test=2000,
        ),
        Part(
            "ablation",
            "cifar10",
            _ablation(_CPU),
            seeds=2,
            time_share=0.65,
            n_train=3000,
            n_validation=500,
            n_test=2000,
        ),
    )


def rehearsal() -> tuple[Part, ...]:
    """Return parts that run every step of the full plan on a CPU in seconds, without meaningful results."""
    images: dict[str, Any] = {
        "seeds": 2,
        "seconds": 0.05,
        "turn_s": 0.01,
        "n_train": 64,
        "n_validation": 32,
        "n_test": 32,
    }
    two = dict(list(_ablation(_TINY).items())[:3])
    return (
        Part("cifar10", "digit_scenes", _with_resnet(_TINY), time_share=0.6, **images),
        Part("ablation", "digit_scenes", two, time_share=0.4, **images),
    )


def _with_resnet(scale: Scale) -> dict[str, tuple[Candidate, ...]]:
    return {
        "ConvNeXt": (
            scale.candidate("three stages", scale.convnext),
            scale.candidate("three stages, twice the learning rate", scale.convnext, lr_factor=2),
            scale.candidate("three stages, stem stride 4", scale.changed(stem_stride=4)),
            scale.candidate("three stages, kernels 3x3", scale.changed(kernel_sizes=(3,))),
            scale.candidate("four stages, stem stride 1", scale.changed(**scale.four_stages)),
        ),
        scale.rival: (
            scale.candidate("SGD, learning rate 0.1", scale.resnet, **_SGD, lr=0.1),
            scale.candidate("SGD, learning rate 0.2", scale.resnet, **_SGD, lr=0.2),
            scale.candidate("AdamW as for ConvNeXt", scale.resnet),
        ),
    }


def _ablation(scale: Scale) -> dict[str, tuple[Candidate, ...]]:
    """Return contenders that each change one decision."""
    same = scale.convnext
    arms = [
        scale.candidate("small_data", same),
        scale.candidate("stem stride 4", scale.changed(stem_stride=4)),
        scale.candidate("stem stride 1", scale.changed(stem_stride=1)),
        scale.candidate("layer scale from 1e-6", scale.changed(layer_scale_init=1e-6)),
        scale.candidate("layer scale from 0.1", scale.changed(layer_scale_init=0.1)),
        scale.candidate("drop path 0.1", same, drop_path=0.1),
        scale.candidate("kernels 3x3", scale.changed(kernel_sizes=(3,))),
        scale.candidate("kernels 5x5", scale.changed(kernel_sizes=(5,))),
        scale.candidate("SGD", same, **_SGD, lr=0.1),
        scale.candidate("LAMB", same, optimizer="lamb", lr=8e-3, weight_decay=0.02),
        scale.candidate("half the learning rate", same, lr_factor=0.5),
        scale.candidate("twice the learning rate", same, lr_factor=2),
        scale.candidate("no warm-up", same, warmup_epochs=0.0),
        scale.candidate("mixup 0.8 and cutmix 1", same, mixup=0.8, cutmix=1.0),
    ]
    return {arm.label: (arm,) for arm in arms}


def with_epochs(candidate: Candidate, images_per_second: float, seconds: float, n_train: int) -> Candidate:
    """Return the candidate with as many epochs as fit into the time, at least one."""
    epochs = max(1, round(seconds * images_per_second / n_train))
    return dataclasses.replace(candidate, recipe=candidate.recipe.lasting(epochs))
