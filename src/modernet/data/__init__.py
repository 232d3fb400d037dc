"""Data: images on disk -> batches on the device. Knows no model."""

from modernet.data.checking.check import check_pictures
from modernet.data.checking.findings import Finding, Findings
from modernet.data.dataset import ImageDataset, InMemory, OnDisk, Split, picture_name
from modernet.data.digit_scenes import Scene, SceneGenerator, make_scenes
from modernet.data.images.decode import UnreadablePicture, find_pictures, read_picture
from modernet.data.images.views import fit_picture
from modernet.data.loading.loaders import NO_TARGET, Batch, Loader, make_loader
from modernet.data.open import open_dataset
from modernet.data.pack import Packed, pack_dataset
from modernet.data.sources.read import DATASET_NAMES

__all__ = [
    "DATASET_NAMES",
    "NO_TARGET",
    "Batch",
    "Finding",
    "Findings",
    "ImageDataset",
    "InMemory",
    "Loader",
    "OnDisk",
    "Packed",
    "Scene",
    "SceneGenerator",
    "Split",
    "UnreadablePicture",
    "check_pictures",
    "find_pictures",
    "fit_picture",
    "make_loader",
    "make_scenes",
    "open_dataset",
    "pack_dataset",
    "picture_name",
    "read_picture",
]
