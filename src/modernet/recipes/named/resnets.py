"""Published recipes of ResNets and MobileNetV2, for ImageNet-1K."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from modernet.recipes.base import Optimizer, Schedule
from modernet.recipes.classification import ClassificationRecipe, Regularization
from modernet.recipes.images import Augmentation, ImageSizes
from modernet.recipes.named.catalogue import ON_EIGHT_GPUS, NamedRecipe, register_recipe

_CROPS = Augmentation(flip=0.5, crop_scale=0.08)

# --- torchvision's references: train.py with its defaults, 8 x 32 images, everything decays

register_recipe(
    NamedRecipe(
        ClassificationRecipe(
            name="resnet_classic",
            source="He et al. 2015, section 3.4, as in torchvision's reference (weights V1)",
            batch_size=256,
            images=ImageSizes(image_size=224, test_crop=0.875),
            augmentation=_CROPS,
            optimizer=Optimizer(
                optimizer="sgd", lr=0.1, lr_batch=256, weight_decay=1e-4, decay_norms=True, nesterov=False
            ),
            schedule=Schedule(epochs=90, warmup_epochs=0.0, decay="step"),
            regularization=Regularization(label_smoothing=0.0),
        ),
        purpose="ResNets as they were trained in 2015",
        command=f"{ON_EIGHT_GPUS} --model resnet50 --recipe resnet_classic",
        expected={
            "resnet50": 76.130,
            "resnet18": 69.758,
            "resnet34": 73.314,
            "resnet101": 77.374,
            "resnet152": 78.312,
            "resnext50_32x4d": 77.618,
        },
    )
)

register_recipe(
    NamedRecipe(
        ClassificationRecipe(
            name="mobilenet_v2",
            source="torchvision's reference for MobileNetV2 (weights V1): the learning rate decays by 0.98 per epoch",
            batch_size=256,
            images=ImageSizes(image_size=224, test_crop=0.875),
            augmentation=_CROPS,
            optimizer=Optimizer(
                optimizer="sgd", lr=0.045, lr_batch=256, weight_decay=4e-5, decay_norms=True, nesterov=False
            ),
            schedule=Schedule(epochs=300, warmup_epochs=0.0, decay="step", plateaus=300, plateau_factor=0.98),
            regularization=Regularization(label_smoothing=0.0),
        ),
        purpose="MobileNetV2",
        command=f"{ON_EIGHT_GPUS} --model mobilenet_v2 --recipe mobilenet_v2",
        expected={"mobilenet_v2": 71.878},
        differs="its dropout of 0.2 is in the network",
    )
)

# --- Wightman, Touvron, Jegou 2021, "ResNet strikes back", table 2

_STRIKES_BACK = Augmentation(
    flip=0.5, crop_scale=0.08, rand_augment="rand-m7-mstd0.5-inc1", mixup=0.1, cutmix=1.0, repeats=3
)
_BCE = Regularization(loss="bce", bce_threshold=0.2, label_smoothing=0.0, drop_path=0.05)
_TIMM = (
    "values from OpenMMLab's copy; the target threshold and the initial learning rate from third-party commands for "
    "timm's script, which updates the learning rate once per epoch and starts the cosine at step 0"
)


def _lamb(lr: float, weight_decay: float) -> Optimizer:
    return Optimizer(optimizer="lamb", lr=lr, lr_batch=2048, weight_decay=weight_decay, eps=1e-6)


def _strikes_back(name: str, expected: dict[str, float], differs: str = _TIMM, **parts: Any) -> None:
    source = f"Wightman et al. 2021, 'ResNet strikes back', procedure {name[-2:].upper()}; top-1 as timm measured it"
    register_recipe(
        NamedRecipe(
            ClassificationRecipe(name=name, source=source, batch_size=2048, **parts),
            purpose=f"ResNets, {parts['schedule'].epochs} epochs",
            command=f"{ON_EIGHT_GPUS} --model resnet50 --recipe {name} --precision bf16",
            expected=expected,
            differs=differs,
        )
    )


_strikes_back(
    "resnet_strikes_back_a1",
    {"resnet50": 80.382, "resnet152": 81.998, "resnext50_32x4d": 80.526},
    images=ImageSizes(image_size=224, test_crop=0.95, interpolation="bicubic"),
    augmentation=replace(_STRIKES_BACK, mixup=0.2),
    optimizer=_lamb(5e-3, 0.01),
    schedule=Schedule(epochs=600, warmup_epochs=5.0, warmup_lr=1e-4, min_lr=1e-6),
    regularization=_BCE,
    differs=f"{_TIMM}; its label smoothing of 0.1 (not verified) has no effect with the threshold and is omitted",
)
_strikes_back(
    "resnet_strikes_back_a2",
    {"resnet50": 79.828, "resnet152": 81.764, "resnext50_32x4d": 80.444},
    images=ImageSizes(image_size=224, test_crop=0.95, interpolation="bicubic"),
    augmentation=_STRIKES_BACK,
    optimizer=_lamb(5e-3, 0.02),
    schedule=Schedule(epochs=300, warmup_epochs=5.0, warmup_lr=1e-4, min_lr=1e-6),
    regularization=_BCE,
)
_strikes_back(
    "resnet_strikes_back_a3",
    {"resnet50": 78.052, "resnet152": 80.548, "resnext50_32x4d": 79.258},
    images=ImageSizes(image_size=160, test_size=224, test_crop=0.95, interpolation="bicubic"),
    augmentation=replace(_STRIKES_BACK, rand_augment="rand-m6-mstd0.5-inc1", repeats=1),
    optimizer=_lamb(8e-3, 0.02),
    schedule=Schedule(epochs=100, warmup_epochs=5.0, warmup_lr=1e-4, min_lr=1e-6),
    regularization=replace(_BCE, drop_path=0.0),
)

# --- Bello et al. 2021

register_recipe(
    NamedRecipe(
        ClassificationRecipe(
            name="resnet_rs",
            source="Bello et al. 2021, 'Revisiting ResNets', as in its configurations; 350 epochs",
            batch_size=4096,
            ema_decay=0.9999,
            images=ImageSizes(image_size=160, test_crop=0.875, interpolation="bicubic"),
            augmentation=Augmentation(flip=0.5, crop_scale=0.08, rand_augment="rand-m10-n2"),
            optimizer=Optimizer(optimizer="sgd", lr=0.1, lr_batch=256, weight_decay=4e-5, nesterov=False),
            schedule=Schedule(epochs=350, warmup_epochs=5.0, min_lr=0.0),
            regularization=Regularization(label_smoothing=0.1, dropout=0.25),
        ),
        purpose="ResNets, with more regularisation for larger ones",
        command=f"{ON_EIGHT_GPUS} --model resnet50d --recipe resnet_rs --precision bf16",
        models={"resnet200d": {"image_size": 256, "rand_augment": "rand-m15-n2", "drop_path": 0.1}},
        differs="the published 78.8 of its ResNet-50 is for a network with squeeze-and-excitation and without max "
        "pooling, which ours is not; RandAugment is timm's; warm-up, test crop and bicubic resizing are not verified",
    )
)
