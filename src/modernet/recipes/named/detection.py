"""Recipes for detection: ours, and ConvNeXt's."""

from __future__ import annotations

from modernet.recipes.base import Optimizer, Schedule
from modernet.recipes.detection import DetectionHead, DetectionRecipe, DetectionSizes
from modernet.recipes.images import DetectionAugmentation
from modernet.recipes.named.catalogue import NamedRecipe, register_recipe

register_recipe(
    NamedRecipe(
        DetectionRecipe(
            name="quick_detection",
            source="ours: minutes on a laptop, for small images",
            batch_size=8,
            images=DetectionSizes(image_size=96),
            augmentation=DetectionAugmentation(flip=0.0, scale_min=0.8, scale_max=1.25),
            optimizer=Optimizer(lr=2e-3),
            schedule=Schedule(epochs=5, warmup_epochs=0.5),
            detection=DetectionHead(head_width=32, head_hidden=128, sampled=32),
        ),
        purpose="boxes and masks in small images",
        command="modernet train --recipe quick_detection --data digit_scenes --model resnet18 --model-fields width=32",
    )
)

register_recipe(
    NamedRecipe(
        DetectionRecipe(
            name="finetune_detection",
            source="ours: large-scale jitter (Ghiasi et al. 2021) for a few hundred to some ten thousand images",
            batch_size=8,
            images=DetectionSizes(image_size=640),
            augmentation=DetectionAugmentation(flip=0.5, scale_min=0.5, scale_max=1.5),
            optimizer=Optimizer(lr=2e-4, weight_decay=0.05, layer_decay=0.8, clip_grad=5.0),
            schedule=Schedule(epochs=24, warmup_epochs=1.0),
            drop_path=0.1,
        ),
        purpose="a detector for your own images, from published weights",
        command="modernet train --recipe finetune_detection --data path/to/coco_export --model convnext_tiny.fb_in1k",
    )
)

_PUBLISHED = DetectionRecipe(
    name="mask_rcnn_convnext",
    source="Liu et al. 2022, table 3 and appendix A.3, and the configs of its release",
    batch_size=16,
    images=DetectionSizes(image_size=800, long_side=1333, interpolation="opencv"),
    augmentation=DetectionAugmentation(flip=0.5, multi_scale=True),
    optimizer=Optimizer(lr=1e-4, weight_decay=0.05, layer_decay=0.95, layer_decay_groups="paper"),
    schedule=Schedule(epochs=36, warmup_epochs=0.068, warmup_lr=1e-7, decay="late_steps"),
    drop_path=0.4,
)
_DIFFERS = (
    "0.068 epochs of COCO are the 500 steps of the warm-up; fp32, where the release trains all but L and XL in fp16; "
    "BatchNorm per process, not synchronised; images without objects are trained on; batches are not grouped by shape"
)

register_recipe(
    NamedRecipe(
        _PUBLISHED,
        purpose="Mask R-CNN with ConvNeXt-T on COCO, the 3x schedule",
        command="torchrun --nproc-per-node 8 -m modernet train --data path/to/coco --model convnext_tiny.fb_in1k "
        "--recipe mask_rcnn_convnext",
        differs=_DIFFERS,
    )
)

register_recipe(
    NamedRecipe(
        _PUBLISHED.replace(
            name="cascade_mask_rcnn_convnext",
            detector="cascade_mask_rcnn",
            lr=2e-4,
            layer_decay=0.7,
            warmup_lr=2e-7,
        ),
        purpose="Cascade Mask R-CNN with ConvNeXt on COCO, the 3x schedule",
        command="torchrun --nproc-per-node 8 -m modernet train --data path/to/coco --model convnext_tiny.fb_in1k "
        "--recipe cascade_mask_rcnn_convnext",
        models={
            "convnext_small": {"drop_path": 0.6},
            "convnext_base": {"drop_path": 0.7, "layer_decay": 0.8},
            "convnext_large": {"lr": 1e-4, "drop_path": 0.7},
            "convnext_xlarge": {"lr": 1e-4, "drop_path": 0.8},
        },
        differs=f"{_DIFFERS}; base from ImageNet-22K weights also has --lr 1e-4 --drop-path 0.6",
    )
)
