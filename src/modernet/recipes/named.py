"""The named recipes."""

from __future__ import annotations

from modernet.recipes.recipe import Augmentation, Optimizer, Recipe, Regularization, Schedule
from modernet.registry import Registry

RECIPES: Registry[Recipe] = Registry("recipe")


def get_recipe(name: str) -> Recipe:
    """The recipe called `name`.

    Raises:
        InputError: there is none; the message names the closest ones.
    """
    return RECIPES[name]


def default_recipe(data: str, pretrained: bool = False) -> str:
    """The name of the recipe when none is named: for a data set, or for a network that is trained already."""
    if pretrained:
        return "finetune"
    return "quick" if data in ("digit_scenes", "mnist") else "small_pictures"


def _add(recipe: Recipe) -> None:
    RECIPES.add(recipe.name, recipe)


_add(
    Recipe(
        name="quick",
        source="ours: seconds a network on a laptop, for small pictures with a left and a right (docs/log.md)",
        batch_size=32,
        augmentation=Augmentation(flip=0.0, shift=0.1),
        optimizer=Optimizer(lr=6e-3),
        schedule=Schedule(epochs=4, warmup_epochs=1.0),
    )
)

_add(
    Recipe(
        name="small_pictures",
        source="ours: the decisions of ConvNeXt's recipe (Liu et al. 2022, table 5) without RandAugment, shortened",
        batch_size=128,
        augmentation=Augmentation(flip=0.5, shift=0.125, erasing=0.25, mixup=0.8, cutmix=1.0),
        optimizer=Optimizer(lr=2e-3),
        schedule=Schedule(epochs=30, warmup_epochs=3.0),
        regularization=Regularization(drop_path=0.1),
    )
)

_add(
    Recipe(
        name="classic",
        source="He et al. 2015, section 3.4, as in torchvision's reference: SGD, a tenth of the rate after each third",
        batch_size=256,
        augmentation=Augmentation(flip=0.5, shift=0.125),
        optimizer=Optimizer(optimizer="sgd", lr=0.1, weight_decay=1e-4),
        schedule=Schedule(epochs=90, warmup_epochs=0.0, decay="step"),
        regularization=Regularization(label_smoothing=0.0),
    )
)

_add(
    Recipe(
        name="finetune",
        source="ours, for some hundred pictures: ConvNeXt's fine-tuning (Liu et al. 2022, table 6) with a small batch",
        batch_size=32,
        augmentation=Augmentation(flip=0.5, crop_scale=0.5, erasing=0.25),
        optimizer=Optimizer(lr=5e-4, layer_decay=0.85),
        schedule=Schedule(epochs=30, warmup_epochs=2.0),
        regularization=Regularization(drop_path=0.1),
    )
)
