"""Data: images on disk -> batches on the device. Knows no model."""

from modernet.data.dataset import ImageDataset, InMemory, OnDisk, Split, picture_name
from modernet.data.digit_scenes import Scene, SceneGenerator, make_scenes
from modernet.data.loaders import Batch, Loader, make_loader
from modernet.data.open import open_dataset
from modernet.data.pictures import UnreadablePicture, find_pictures, read_picture
from modernet.data.sources import DATASET_NAMES
from modernet.data.squares import fit_picture

__all__ = [
    "DATASET_NAMES",
    "Batch",
    "ImageDataset",
    "InMemory",
    "Loader",
    "OnDisk",
    "Scene",
    "SceneGenerator",
    "Split",
    "UnreadablePicture",
    "find_pictures",
    "fit_picture",
    "make_loader",
    "make_scenes",
    "open_dataset",
    "picture_name",
    "read_picture",
]
