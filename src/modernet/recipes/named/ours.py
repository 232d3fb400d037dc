"""Our own recipes, for small images and small sets."""

from __future__ import annotations

from modernet.recipes.base import Optimizer, Schedule
from modernet.recipes.classification import ClassificationRecipe, Regularization
from modernet.recipes.images import Augmentation
from modernet.recipes.named.catalogue import NamedRecipe, register_recipe

register_recipe(
    NamedRecipe(
        ClassificationRecipe(
            name="quick",
            source="ours: seconds on a laptop, for small images that must not be flipped (docs/log.md)",
            batch_size=32,
            augmentation=Augmentation(flip=0.0, shift=0.1),
            optimizer=Optimizer(lr=6e-3),
            schedule=Schedule(epochs=4, warmup_epochs=1.0),
        ),
        purpose="digits, in seconds",
        command="modernet train --recipe quick --data digit_scenes --model convnext_test",
    )
)

register_recipe(
    NamedRecipe(
        ClassificationRecipe(
            name="small_images",
            source="ours: the decisions of ConvNeXt's recipe (Liu et al. 2022, table 5) without RandAugment, shortened",
            batch_size=128,
            augmentation=Augmentation(flip=0.5, shift=0.125, erasing=0.25, mixup=0.8, cutmix=1.0),
            optimizer=Optimizer(lr=2e-3),
            schedule=Schedule(epochs=30, warmup_epochs=3.0),
            regularization=Regularization(drop_path=0.1),
        ),
        purpose="small images from random weights",
        command="modernet train --recipe small_images --data cifar10 --model convnext_test",
    )
)

register_recipe(
    NamedRecipe(
        ClassificationRecipe(
            name="classic",
            source="ours, for step 0 of the road: the rates and decay of He et al. 2015, section 3.4",
            batch_size=256,
            augmentation=Augmentation(flip=0.5, shift=0.125),
            optimizer=Optimizer(optimizer="sgd", lr=0.1, weight_decay=1e-4),
            schedule=Schedule(epochs=90, warmup_epochs=0.0, decay="step"),
            regularization=Regularization(label_smoothing=0.0),
        ),
        purpose="step 0 of the road",
        command="modernet train --recipe classic --data cifar10 --model resnet18",
        differs="unlike resnet_classic: shifts instead of crops, Nesterov momentum, norms and biases exempt from decay",
    )
)

register_recipe(
    NamedRecipe(
        ClassificationRecipe(
            name="finetune",
            source="ours, for a few hundred images: as ConvNeXt's (Liu et al. 2022, table 6) with a small batch",
            batch_size=32,
            augmentation=Augmentation(flip=0.5, crop_scale=0.5, erasing=0.25),
            optimizer=Optimizer(lr=5e-4, layer_decay=0.85),
            schedule=Schedule(epochs=30, warmup_epochs=2.0),
            regularization=Regularization(drop_path=0.1),
        ),
        purpose="a few hundred images of your own, from published weights",
        command="modernet train --recipe finetune --data my_photos --model convnext_tiny.fb_in22k_ft_in1k",
    )
)
