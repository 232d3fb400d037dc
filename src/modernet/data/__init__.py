"""Data: images on disk -> batches on the device. Knows no model."""

from modernet.data.dataset import ImageDataset, InMemory, OnDisk, OpenedSplit, Split, image_name, short_name
from modernet.data.digit_scenes import Scene, SceneGenerator, make_scenes
from modernet.data.images.decoding import UnreadableImage, read_image
from modernet.data.images.finding import find_images
from modernet.data.images.views import IGNORE, View, fit_image
from modernet.data.loading.loaders import Batch, Loader, make_loader
from modernet.data.loading.plan import Place
from modernet.data.opening import open_dataset, open_prepared, open_split
from modernet.data.pack import Packed, pack_dataset
from modernet.data.sources.read import DATASET_NAMES, check_source
from modernet.data.targets import BoxBatch, BoxTargets, ClassTargets, NoTargets, SemanticTargets, TargetKind, Targets

__all__ = [
    "DATASET_NAMES",
    "IGNORE",
    "Batch",
    "BoxBatch",
    "BoxTargets",
    "ClassTargets",
    "ImageDataset",
    "InMemory",
    "Loader",
    "NoTargets",
    "OnDisk",
    "OpenedSplit",
    "Packed",
    "Place",
    "Scene",
    "SceneGenerator",
    "SemanticTargets",
    "Split",
    "TargetKind",
    "Targets",
    "UnreadableImage",
    "View",
    "check_source",
    "find_images",
    "fit_image",
    "image_name",
    "make_loader",
    "make_scenes",
    "open_dataset",
    "open_prepared",
    "open_split",
    "pack_dataset",
    "read_image",
    "short_name",
]
