"""The published recipe that tells what frozen features are worth, for ImageNet-1K."""

from __future__ import annotations

from modernet.recipes.base import Optimizer, Schedule
from modernet.recipes.classification import ClassificationRecipe, Regularization
from modernet.recipes.images import Augmentation, ImageSizes
from modernet.recipes.named.catalogue import ON_EIGHT_GPUS, NamedRecipe, register_recipe

register_recipe(
    NamedRecipe(
        ClassificationRecipe(
            name="linear_probe",
            source="He et al. 2021 (MAE), as in the main_linprobe.py of its release",
            batch_size=16384,
            frozen=True,
            images=ImageSizes(image_size=224, test_crop=0.875, interpolation="bicubic"),
            augmentation=Augmentation(flip=0.5, crop_scale=0.08),
            optimizer=Optimizer(optimizer="lars", lr=0.1, lr_batch=256, weight_decay=0.0),
            schedule=Schedule(epochs=90, warmup_epochs=10.0, min_lr=0.0),
            regularization=Regularization(label_smoothing=0.0),
        ),
        purpose="a linear classifier on the frozen features of a pre-trained network",
        command=f"{ON_EIGHT_GPUS} --model vit_base_patch16 --weights mae_pretrain_vit_base.pth --recipe linear_probe "
        "--device-batch 512",
        expected={"vit_base_patch16": 67.8, "vit_large_patch16": 76.0, "vit_huge_patch14": 77.2},
        models={"vit_large_patch16": {"epochs": 50}, "vit_huge_patch14": {"epochs": 50}},
        differs="modernet probe fits the classifier to its minimum on features that are computed once, without "
        "augmentation, in a small part of the time",
    )
)
