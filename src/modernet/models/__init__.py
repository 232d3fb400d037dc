"""One file an architecture family; `backbone.py` is the contract that they all keep, `zoo.py` makes them by name."""

from modernet.models import (
    coat,
    coatnet,
    convnext,
    convnext_isotropic,
    resnet,
    vit,
)  # importing a family registers its variants
from modernet.models.backbone import Backbone, Feature, FeatureExtractor, FeatureInfo, ModelConfig, new_classifier
from modernet.models.zoo import MODELS, ModelEntry, Published, create_model, list_models

__all__ = [
    "MODELS",
    "Backbone",
    "Feature",
    "FeatureExtractor",
    "FeatureInfo",
    "ModelConfig",
    "ModelEntry",
    "Published",
    "coat",
    "coatnet",
    "convnext",
    "convnext_isotropic",
    "create_model",
    "list_models",
    "new_classifier",
    "resnet",
    "vit",
]
