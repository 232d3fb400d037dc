"""Recipes for segmentation: ours, and ConvNeXt's."""

from __future__ import annotations

from modernet.recipes.base import Optimizer, Schedule
from modernet.recipes.images import ImageSizes, SegmentationAugmentation
from modernet.recipes.named.catalogue import NamedRecipe, register_recipe
from modernet.recipes.segmentation import SegmentationHead, SegmentationRecipe

register_recipe(
    NamedRecipe(
        SegmentationRecipe(
            name="quick_segmentation",
            source="ours: minutes on a laptop, for small images",
            batch_size=16,
            augmentation=SegmentationAugmentation(flip=0.0, shift=0.1),
            optimizer=Optimizer(lr=2e-3),
            schedule=Schedule(epochs=8, warmup_epochs=0.5),
        ),
        purpose="a class for every pixel of small images",
        command="modernet train --recipe quick_segmentation --data digit_scenes --model resnet18 "
        "--model-fields width=32",
    )
)

_LARGE = {"image_size": 640}  # published with ImageNet-22K weights only

register_recipe(
    NamedRecipe(
        SegmentationRecipe(
            name="upernet_convnext",
            source="Liu et al. 2022, table 4 and appendix A.3, and the configs of its release",
            batch_size=16,
            images=ImageSizes(image_size=512, interpolation="opencv"),
            augmentation=SegmentationAugmentation(
                flip=0.5, scale_min=0.5, scale_max=2.0, class_share=0.75, photometric=True
            ),
            optimizer=Optimizer(lr=1e-4, weight_decay=0.05, layer_decay=0.9, layer_decay_groups="stage"),
            schedule=Schedule(epochs=127, warmup_epochs=1.1875, warmup_lr=1e-10, decay="linear", min_lr=0.0),
            segmentation=SegmentationHead(head="upernet", head_width=512, auxiliary_weight=0.4, loss_over="all"),
            drop_path=0.4,
        ),
        purpose="UPerNet with ConvNeXt on ADE20K, from published weights",
        command="torchrun --nproc-per-node 8 -m modernet train --data path/to/ADEChallengeData2016 "
        "--model convnext_tiny.fb_in1k --recipe upernet_convnext",
        models={
            "convnext_small": {"drop_path": 0.3},
            "convnext_large": _LARGE,
            "convnext_xlarge": {**_LARGE, "lr": 8e-5},
        },
        differs="127 epochs of ADE20K are the 160,000 steps, and 1.1875 the 1,500 of the warm-up; fp32, where the "
        "release trains all but L and XL in fp16; BatchNorm per process, not synchronised; base with ImageNet-22K "
        "weights also has --image-size 640; images are padded with grey",
    )
)
