"""Our recipe for segmentation."""

from __future__ import annotations

from modernet.recipes.base import Optimizer, Schedule
from modernet.recipes.images import Augmentation
from modernet.recipes.named.catalogue import NamedRecipe, register_recipe
from modernet.recipes.segmentation import SegmentationRecipe

register_recipe(
    NamedRecipe(
        SegmentationRecipe(
            name="quick_segmentation",
            source="ours: minutes on a laptop, for small images",
            batch_size=32,
            augmentation=Augmentation(flip=0.0),
            optimizer=Optimizer(lr=3e-3),
            schedule=Schedule(epochs=8, warmup_epochs=1.0),
        ),
        purpose="a class for every pixel of small images",
        command="modernet train --recipe quick_segmentation --data digit_scenes --model convnext_test",
    )
)
