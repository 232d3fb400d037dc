"""Training recipes: typed values, each with its source. Needs no torch."""

from modernet.recipes.averaging import short_average
from modernet.recipes.base import LayerGroups, Optimizer, Range, Recipe, Schedule, leaves
from modernet.recipes.classification import ClassificationRecipe, Regularization, for_classification
from modernet.recipes.detection import DetectionRecipe
from modernet.recipes.execution import Execution
from modernet.recipes.images import (
    Augmentation,
    DenseAugmentation,
    DetectionAugmentation,
    ImageRecipe,
    ImageSizes,
    SegmentationAugmentation,
)
from modernet.recipes.named import RECIPES, NamedRecipe, default_recipe, get_named, get_recipe
from modernet.recipes.points import PointAugmentation, PointRecipe, PointSegmentationRecipe
from modernet.recipes.pretraining import PretrainingRecipe
from modernet.recipes.rates import rate_factor
from modernet.recipes.sequences import SequencePretrainingRecipe, SequenceRecipe

__all__ = [
    "RECIPES",
    "Augmentation",
    "ClassificationRecipe",
    "DenseAugmentation",
    "DetectionAugmentation",
    "DetectionRecipe",
    "Execution",
    "ImageRecipe",
    "ImageSizes",
    "LayerGroups",
    "NamedRecipe",
    "Optimizer",
    "PointAugmentation",
    "PointRecipe",
    "PointSegmentationRecipe",
    "PretrainingRecipe",
    "Range",
    "Recipe",
    "Regularization",
    "Schedule",
    "SegmentationAugmentation",
    "SequencePretrainingRecipe",
    "SequenceRecipe",
    "default_recipe",
    "for_classification",
    "get_named",
    "get_recipe",
    "leaves",
    "rate_factor",
    "short_average",
]
