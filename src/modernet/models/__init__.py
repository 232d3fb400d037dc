"""One file per architecture family; `backbone.py` is their common contract, `zoo.py` creates them by name."""

from modernet.models import (  # importing a family registers its variants
    alexnet,
    coat,
    coat_lite,
    coatnet,
    convnext,
    convnext_isotropic,
    gfnet,
    lenet,
    levit,
    mobilenetv2,
    replknet,
    resnet,
    rvt,
    s4nd_convnext,
    swin,
    tc,
    vgg,
    vit,
)
from modernet.models.backbone import Backbone, Feature, FeatureInfo, ModelConfig, new_classifier
from modernet.models.entry import MODELS, ModelEntry, Published
from modernet.models.feature_extractor import FeatureExtractor
from modernet.models.pyramid import DenseNetwork, FeaturePyramid
from modernet.models.zoo import create_model, extract_features, get_entry

__all__ = [
    "MODELS",
    "Backbone",
    "DenseNetwork",
    "Feature",
    "FeatureExtractor",
    "FeatureInfo",
    "FeaturePyramid",
    "ModelConfig",
    "ModelEntry",
    "Published",
    "alexnet",
    "coat",
    "coat_lite",
    "coatnet",
    "convnext",
    "convnext_isotropic",
    "create_model",
    "extract_features",
    "get_entry",
    "gfnet",
    "lenet",
    "levit",
    "mobilenetv2",
    "new_classifier",
    "replknet",
    "resnet",
    "rvt",
    "s4nd_convnext",
    "swin",
    "tc",
    "vgg",
    "vit",
]
