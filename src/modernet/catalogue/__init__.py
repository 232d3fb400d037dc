"""What exists, as data: the networks of the zoo with their counts, the weights that are published for them, and the
published table of the Long Range Arena.

The other files here are written by `tests/catalogue_files.py` from the registry of networks, the
road, timm and torchvision, and a test compares them. Reading them needs no torch, so a list is printed at once.
"""

from modernet.catalogue.long_range_arena import ARENA_TASKS, PublishedRow, arena_rows, published_rows
from modernet.catalogue.names import is_model, list_models
from modernet.catalogue.networks import (
    ROAD_IMAGE_SIZE,
    TIMM_PREFIX,
    NetworkFacts,
    StageRow,
    all_networks,
    list_networks,
    road_counts,
)
from modernet.catalogue.other_models import OTHER_MODELS
from modernet.catalogue.timm_names import TIMM_NAMES, zoo_name
from modernet.catalogue.weights import (
    PretrainedWeights,
    WebFile,
    find_weights,
    imagenet_classes,
    imagenet_synsets,
    list_weights,
    weights_of,
)

__all__ = [
    "ARENA_TASKS",
    "OTHER_MODELS",
    "ROAD_IMAGE_SIZE",
    "TIMM_NAMES",
    "TIMM_PREFIX",
    "NetworkFacts",
    "PretrainedWeights",
    "PublishedRow",
    "StageRow",
    "WebFile",
    "all_networks",
    "arena_rows",
    "find_weights",
    "imagenet_classes",
    "imagenet_synsets",
    "is_model",
    "list_models",
    "list_networks",
    "list_weights",
    "published_rows",
    "road_counts",
    "weights_of",
    "zoo_name",
]
