"""MAE: pre-training of Vision Transformers with masked images, and fine-tuning after it."""

from __future__ import annotations

from modernet.recipes.base import Optimizer, Schedule
from modernet.recipes.classification import ClassificationRecipe, Regularization
from modernet.recipes.images import Augmentation, ImageSizes
from modernet.recipes.named.catalogue import ON_EIGHT_GPUS, NamedRecipe, register_recipe
from modernet.recipes.pretraining import PretrainingRecipe

_IMAGES = ImageSizes(image_size=224, test_crop=0.875, interpolation="bicubic")
_HE = "He et al. 2021 (arXiv 2111.06377)"

register_recipe(
    NamedRecipe(
        PretrainingRecipe(
            name="mae",
            source=f"{_HE}, table 8, and the PRETRAIN.md of its release",
            batch_size=4096,
            images=_IMAGES,
            augmentation=Augmentation(flip=0.5, crop_scale=0.2),
            optimizer=Optimizer(lr=2.4e-3, lr_batch=4096, weight_decay=0.05, beta2=0.95),
            schedule=Schedule(epochs=800, warmup_epochs=40.0, min_lr=0.0),
            mask_ratio=0.75,
            norm_pixels=True,
            decoder_depth=8,
            decoder_dim=512,
        ),
        purpose="pre-training of a ViT without labels: MAE",
        command=f"{ON_EIGHT_GPUS} --model vit_base_patch16 --recipe mae --device-batch 64",
        model="vit_small_patch16",
        differs="the released weights are of 1600 epochs (--epochs 1600); fp32, where the release trains in fp16; a "
        "crop that does not fit is drawn again, as in torchvision",
    )
)

register_recipe(
    NamedRecipe(
        PretrainingRecipe(
            name="mae_nano",
            source=f"ours: the decisions of {_HE}, shortened, for images of about 64 pixels and two cores",
            batch_size=64,
            images=ImageSizes(interpolation="bicubic"),
            augmentation=Augmentation(flip=0.5, crop_scale=0.2),
            optimizer=Optimizer(lr=1.5e-3, weight_decay=0.05, beta2=0.95),
            schedule=Schedule(epochs=40, warmup_epochs=4.0, min_lr=0.0),
            mask_ratio=0.75,
            norm_pixels=True,
            decoder_depth=2,
            decoder_dim=128,
        ),
        purpose="pre-training of a small ViT, in minutes",
        command="modernet train --recipe mae_nano --data my_photos --image-size 64 --model vit_tiny_patch16 "
        "--model-fields patch_size=8",
        model="vit_tiny_patch16",
        differs="patches of 16 pixels are too large for such images: give patch_size=8",
    )
)

register_recipe(
    NamedRecipe(
        ClassificationRecipe(
            name="mae_finetune",
            source=f"{_HE}, table 9, and the FINETUNE.md of its release",
            batch_size=1024,
            images=_IMAGES,
            augmentation=Augmentation(
                flip=0.5,
                crop_scale=0.08,
                rand_augment="rand-m9-mstd0.5-inc1",
                erasing=0.25,
                mixup=0.8,
                cutmix=1.0,
            ),
            optimizer=Optimizer(lr=2e-3, lr_batch=1024, weight_decay=0.05, layer_decay=0.65),
            schedule=Schedule(epochs=100, warmup_epochs=5.0),
            global_pool="avg",
            regularization=Regularization(drop_path=0.1, head_init_scale=0.001),
        ),
        purpose="ViT from masked pre-training (MAE) to ImageNet-1K",
        command=f"{ON_EIGHT_GPUS} --model vit_base_patch16.mae --recipe mae_finetune --device-batch 64",
        expected={"vit_base_patch16": 83.6, "vit_large_patch16": 85.9, "vit_huge_patch14": 86.9},
        models={
            "vit_large_patch16": {"lr": 4e-3, "epochs": 50, "layer_decay": 0.75, "drop_path": 0.2},
            "vit_huge_patch14": {"lr": 4e-3, "epochs": 50, "layer_decay": 0.75, "drop_path": 0.3},
        },
        differs="rates, decay and drop path are those of the release's commands; the paper has 1e-3 per 256 images and "
        "0.75 for all, and a drop path of 0.1, 0.1 and 0.2",
    )
)
