"""FCMAE: pre-training of ConvNeXt V2 with masked images; `convnext_v2_finetune` is the fine-tuning after it."""

from __future__ import annotations

from modernet.recipes.base import Optimizer, Schedule
from modernet.recipes.images import Augmentation, ImageSizes
from modernet.recipes.named.catalogue import ON_EIGHT_GPUS, NamedRecipe, register_recipe
from modernet.recipes.pretraining import PretrainingRecipe

_WOO = "Woo et al. 2023 (arXiv 2301.00808)"

register_recipe(
    NamedRecipe(
        PretrainingRecipe(
            name="fcmae",
            source=f"{_WOO}, table 8, and the main_pretrain.py of its release",
            batch_size=4096,
            images=ImageSizes(image_size=224, test_crop=0.875, interpolation="bicubic"),
            augmentation=Augmentation(flip=0.5, crop_scale=0.2),
            optimizer=Optimizer(lr=2.4e-3, lr_batch=4096, weight_decay=0.05, beta2=0.95),
            schedule=Schedule(epochs=800, warmup_epochs=40.0, min_lr=0.0),
            mask_ratio=0.6,
            norm_pixels=True,
            decoder_depth=1,
            decoder_dim=512,
        ),
        purpose="pre-training of a ConvNeXt without labels: FCMAE",
        command=f"{ON_EIGHT_GPUS} --model convnextv2_atto --recipe fcmae --device-batch 64",
        model="convnextv2_atto",
        differs="the paper trains for 800 or 1600 epochs (--epochs 1600); smallest crop, flip and last rate, which it "
        "does not state, are those of MAE",
    )
)

register_recipe(
    NamedRecipe(
        PretrainingRecipe(
            name="fcmae_nano",
            source=f"ours: the decisions of {_WOO}, shortened, for images of about 64 pixels and two cores",
            batch_size=64,
            images=ImageSizes(interpolation="bicubic"),
            augmentation=Augmentation(flip=0.5, crop_scale=0.2),
            optimizer=Optimizer(lr=1.5e-3, weight_decay=0.05, beta2=0.95),
            schedule=Schedule(epochs=40, warmup_epochs=4.0, min_lr=0.0),
            mask_ratio=0.6,
            norm_pixels=True,
            decoder_depth=1,
            decoder_dim=128,
        ),
        purpose="pre-training of a small ConvNeXt, in minutes",
        command="modernet train --recipe fcmae_nano --data my_photos --image-size 64 --model convnextv2_atto "
        "--model-fields stem_stride=2",
        model="convnextv2_atto",
        differs="cells of 32 pixels are too large for such images: stem_stride=2 halves them",
    )
)
