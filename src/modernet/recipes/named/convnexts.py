"""Published recipes of ConvNeXt, ConvNeXt V2 and RepLKNet."""

from __future__ import annotations

from dataclasses import replace

from modernet.recipes.base import Optimizer, Schedule
from modernet.recipes.classification import ClassificationRecipe, Regularization
from modernet.recipes.images import Augmentation, ImageSizes
from modernet.recipes.named.catalogue import ON_EIGHT_GPUS, NamedRecipe, register_recipe

_IMAGES = ImageSizes(image_size=224, test_crop=0.875, interpolation="bicubic")
_RAND_AUGMENT = Augmentation(flip=0.5, crop_scale=0.08, rand_augment="rand-m9-mstd0.5-inc1", erasing=0.25)
_MIXED = replace(_RAND_AUGMENT, mixup=0.8, cutmix=1.0)
_FROM_SCRATCH = Optimizer(lr=4e-3, lr_batch=4096, weight_decay=0.05)


def _fine_tuning(layer_decay: float) -> Optimizer:
    return Optimizer(lr=5e-5, lr_batch=512, weight_decay=1e-8, layer_decay=layer_decay, layer_decay_groups="paper")


register_recipe(
    NamedRecipe(
        ClassificationRecipe(
            name="convnext",
            source="Liu et al. 2022, table 5, and the TRAINING.md of its release",
            batch_size=4096,
            ema_decay=0.9999,
            images=_IMAGES,
            augmentation=_MIXED,
            optimizer=_FROM_SCRATCH,
            schedule=Schedule(epochs=300, warmup_epochs=20.0),
            regularization=Regularization(drop_path=0.1),
        ),
        purpose="ConvNeXt on ImageNet-1K, from random weights",
        command=f"{ON_EIGHT_GPUS} --model convnext_tiny --recipe convnext --device-batch 128",
        expected={"convnext_tiny": 82.1, "convnext_small": 83.1, "convnext_base": 83.8, "convnext_large": 84.3},
        models={
            "convnext_small": {"drop_path": 0.4},
            "convnext_base": {"drop_path": 0.5},
            "convnext_large": {"drop_path": 0.5},
        },
    )
)

register_recipe(
    NamedRecipe(
        ClassificationRecipe(
            name="convnext_22k",
            source="Liu et al. 2022, table 5, and the TRAINING.md of its release",
            batch_size=4096,
            images=_IMAGES,
            augmentation=_MIXED,
            optimizer=_FROM_SCRATCH,
            schedule=Schedule(epochs=90, warmup_epochs=5.0),
        ),
        purpose="ConvNeXt on ImageNet-22K, to be fine-tuned",
        command="torchrun --nproc-per-node 8 -m modernet train --data path/to/imagenet22k --model convnext_base "
        "--recipe convnext_22k --device-batch 32",
        models={
            "convnext_base": {"drop_path": 0.1},
            "convnext_large": {"drop_path": 0.1},
            "convnext_xlarge": {"drop_path": 0.2},
        },
        differs="accuracy was published after fine-tuning only: see convnext_22k_to_1k",
    )
)

register_recipe(
    NamedRecipe(
        ClassificationRecipe(
            name="convnext_finetune_384",
            source="Liu et al. 2022, table 6",
            batch_size=512,
            images=ImageSizes(image_size=384, test_crop=1.0, interpolation="bicubic"),
            augmentation=_RAND_AUGMENT,
            optimizer=_fine_tuning(0.7),
            schedule=Schedule(epochs=30, warmup_epochs=0.0),
            regularization=Regularization(drop_path=0.8, head_init_scale=0.001),
        ),
        purpose="ConvNeXt from 224 to 384 pixels, on ImageNet-1K",
        command=f"{ON_EIGHT_GPUS} --model convnext_base.fb_in1k --recipe convnext_finetune_384 --device-batch 64",
        expected={"convnext_base": 85.1, "convnext_large": 85.5},
        models={"convnext_large": {"drop_path": 0.95}},
        differs="published for Base, from weights without EMA, and Large, from the EMA; the release resizes test "
        "images to a square, here they are center-cropped",
    )
)

register_recipe(
    NamedRecipe(
        ClassificationRecipe(
            name="convnext_22k_to_1k",
            source="Liu et al. 2022, table 6",
            batch_size=512,
            images=_IMAGES,
            augmentation=_RAND_AUGMENT,
            optimizer=_fine_tuning(0.8),
            schedule=Schedule(epochs=30, warmup_epochs=0.0),
            regularization=Regularization(drop_path=0.0, head_init_scale=0.001),
        ),
        purpose="ConvNeXt from ImageNet-22K to 1K; at 384 pixels with --image-size 384 --test-crop 1",
        command=f"{ON_EIGHT_GPUS} --model convnext_base.fb_in22k --recipe convnext_22k_to_1k --device-batch 64",
        expected={
            "convnext_tiny": 82.9,
            "convnext_small": 84.6,
            "convnext_base": 85.8,
            "convnext_large": 86.6,
            "convnext_xlarge": 87.0,
        },
        models={
            "convnext_small": {"drop_path": 0.1},
            "convnext_base": {"drop_path": 0.2},
            "convnext_large": {"drop_path": 0.3},
            "convnext_xlarge": {"drop_path": 0.4, "ema_decay": 0.9999},
        },
        differs="the layer groups of Tiny are those of its detector: the release defines none for its classifier",
    )
)

register_recipe(
    NamedRecipe(
        ClassificationRecipe(
            name="convnext_iso",
            source="Liu et al. 2022, appendix A.1, and the TRAINING.md of its release",
            batch_size=4096,
            ema_decay=0.9999,
            images=_IMAGES,
            augmentation=_MIXED,
            optimizer=_FROM_SCRATCH,
            schedule=Schedule(epochs=300, warmup_epochs=50.0),
            regularization=Regularization(drop_path=0.1),
        ),
        purpose="isotropic ConvNeXt on ImageNet-1K, from random weights",
        command=f"{ON_EIGHT_GPUS} --model convnext_isotropic_small --recipe convnext_iso --device-batch 128",
        expected={
            "convnext_isotropic_small": 79.7,
            "convnext_isotropic_base": 82.0,
            "convnext_isotropic_large": 82.6,
        },
        models={
            "convnext_isotropic_base": {"drop_path": 0.2},
            "convnext_isotropic_large": {"drop_path": 0.5},
        },
        differs="the accuracy of Small is 79.7 in the paper, 78.7 in its release",
    )
)

_V2_LONG = {
    "lr": 8e-4,
    "epochs": 600,
    "warmup_epochs": 0.0,
    "layer_decay": 0.9,
    "layer_decay_groups": "single",
    "label_smoothing": 0.2,
}

register_recipe(
    NamedRecipe(
        ClassificationRecipe(
            name="convnext_v2_finetune",
            source="Woo et al. 2023, tables 9 to 11, and the TRAINING.md of its release",
            batch_size=1024,
            ema_decay=0.9999,
            images=_IMAGES,
            augmentation=_MIXED,
            optimizer=Optimizer(
                lr=2.5e-3, lr_batch=1024, weight_decay=0.05, layer_decay=0.6, layer_decay_groups="paper"
            ),
            schedule=Schedule(epochs=100, warmup_epochs=20.0),
            regularization=Regularization(drop_path=0.1, head_init_scale=0.001),
        ),
        purpose="ConvNeXt V2 from masked pre-training (FCMAE) to ImageNet-1K",
        command=f"{ON_EIGHT_GPUS} --model convnextv2_base.fcmae --recipe convnext_v2_finetune --device-batch 32",
        expected={
            "convnextv2_base": 84.9,
            "convnextv2_atto": 76.7,
            "convnextv2_femto": 78.5,
            "convnextv2_pico": 80.3,
            "convnextv2_nano": 81.9,
            "convnextv2_tiny": 83.0,
            "convnextv2_large": 85.8,
            "convnextv2_huge": 86.3,
        },
        models={
            "convnextv2_atto": {**_V2_LONG, "weight_decay": 0.3, "drop_path": 0.1, "mixup": 0.0, "cutmix": 0.0},
            "convnextv2_femto": {**_V2_LONG, "weight_decay": 0.05, "drop_path": 0.0, "mixup": 0.3, "cutmix": 0.3},
            "convnextv2_pico": {**_V2_LONG, "weight_decay": 0.3, "drop_path": 0.0, "mixup": 0.3, "cutmix": 0.3},
            "convnextv2_nano": {**_V2_LONG, "weight_decay": 0.3, "drop_path": 0.1, "mixup": 0.5, "cutmix": 0.5},
            "convnextv2_tiny": {
                "lr": 3.2e-3,
                "epochs": 300,
                "warmup_epochs": 40.0,
                "layer_decay": 0.9,
                "layer_decay_groups": "single",
                "drop_path": 0.2,
            },
            "convnextv2_large": {"drop_path": 0.2},
            "convnextv2_huge": {
                "lr": 5e-3,
                "epochs": 50,
                "warmup_epochs": 10.0,
                "layer_decay": 0.75,
                "layer_decay_groups": "single",
                "drop_path": 0.3,
            },
        },
        differs="the learning rate of Base per 256 images is 6.25e-3 in the paper and 6.25e-4 in the release, used "
        "here for Base and Large; that of Huge, 1.25e-3, is the paper's and may be ten times too high",
    )
)

register_recipe(
    NamedRecipe(
        ClassificationRecipe(
            name="replknet",
            source="Ding et al. 2022 and the README of its release: ConvNeXt's recipe",
            batch_size=2048,
            ema_decay=0.9999,
            images=_IMAGES,
            augmentation=_MIXED,
            optimizer=Optimizer(lr=4e-3, lr_batch=2048, weight_decay=0.05),
            schedule=Schedule(epochs=300, warmup_epochs=10.0),
            regularization=Regularization(drop_path=0.5),
        ),
        purpose="RepLKNet on ImageNet-1K, from random weights",
        command=f"{ON_EIGHT_GPUS} --model replknet_31b --recipe replknet --device-batch 64 --checkpointing",
        expected={"replknet_31b": 83.5},
    )
)
