"""What `gpu_small_data.py` trains: contenders, their candidates, and the decisions of its ablation, at three scales."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modernet.recipes import Recipe, get_recipe
from modernet.weights import NetworkSpec


@dataclass(frozen=True)
class Candidate:
    """A network and a recipe that stand for a contender if they do best in a short run, by the validation split."""

    words: str
    spec: NetworkSpec
    recipe: Recipe


@dataclass(frozen=True)
class Part:
    """One question: contenders that get the same seconds of training on the same images.

    Attributes:
        contenders: their candidates by the contender's name; all others are held against the first.
        tuning_share: length of a candidate's short run as a share of a whole one.
        seconds: of a run; None is what the time at hand allows for, but `least_seconds` in any case: what does not fit
            in then is left to the next call.
        turn_s: seconds of a turn when speeds are measured.
        n_train, n_validation, n_test: how many images are taken of each split; None is all.
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
    """The sizes of one plan: networks as a model with fields, and what differs from the recipe for this device.

    Attributes:
        rival: what the `resnet` is called.
    """

    convnext: tuple[str, Mapping[str, Any]]
    four_stages: Mapping[str, Any]
    rival: str
    resnet: tuple[str, Mapping[str, Any]]
    changes: Mapping[str, Any]

    def candidate(self, words: str, network: tuple[str, Mapping[str, Any]], **changes: Any) -> Candidate:
        """A candidate; `changes` are of the recipe, a learning rate as a factor of the recipe's."""
        recipe = get_recipe("small_data").replace(**self.changes)
        if "lr_factor" in changes:
            changes["lr"] = recipe.optimizer.lr * changes.pop("lr_factor")
        return Candidate(words, NetworkSpec("model", network[0], dict(network[1])), recipe.replace(**changes))

    def changed(self, **fields: Any) -> tuple[str, Mapping[str, Any]]:
        """The ConvNeXt with other fields."""
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
    """For one GPU: a ConvNeXt below 10 M parameters against ResNet-18 and ResNet-50, and an ablation."""
    finer, coarser = _GPU.changed(stem_stride=2), _GPU.changed(stem_stride=4)
    against_50 = {
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
        Part("cifar10", "cifar10", _against_resnet(_GPU), seeds=3, time_share=0.4),
        Part("tiny_imagenet_50", "tiny_imagenet_50", against_50, seeds=3, time_share=0.4),
        Part("ablation", "cifar10", _ablation(_GPU), seeds=2, time_share=0.2, least_seconds=10),
    )


def cpu_plan() -> tuple[Part, ...]:
    """For one core: networks a twentieth of the size, some hundred steps on some thousand images."""
    return (
        Part(
            "cifar10",
            "cifar10",
            _against_resnet(_CPU),
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
    """Every step of the full plan on a CPU in seconds; its numbers mean nothing."""
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
        Part("cifar10", "digit_scenes", _against_resnet(_TINY), time_share=0.6, **images),
        Part("ablation", "digit_scenes", two, time_share=0.4, **images),
    )


def _against_resnet(scale: Scale) -> dict[str, tuple[Candidate, ...]]:
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
    """One decision changed at a time."""
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
    return {arm.words: (arm,) for arm in arms}


def with_epochs(candidate: Candidate, images_per_second: float, seconds: float, n_train: int) -> Candidate:
    """The candidate with as many epochs as it finishes in the time, at least one."""
    epochs = max(1, round(seconds * images_per_second / n_train))
    return dataclasses.replace(candidate, recipe=candidate.recipe.lasting(epochs))
