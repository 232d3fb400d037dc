"""Small classifiers, trained for a moment on small photos, as the runs of a comparison."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file, save_file

from modernet.data import open_dataset
from modernet.recipes import for_classification, get_recipe
from modernet.records import Record
from modernet.studies.compare import CompareRequest
from modernet.tasks import train_classifier
from modernet.weights import NetworkSpec
from small_classifiers import save_images

QUICK = for_classification(get_recipe("quick")).replace(epochs=1, batch_size=16)
RESNET = NetworkSpec("model", "resnet_test", {"width": 8, "depths": [1, 1]})


class Trained(NamedTuple):
    run: Path
    data: Path
    record: Record

    @property
    def asked(self) -> CompareRequest:
        return CompareRequest(("a", "b"), str(self.data), QUICK)


def train(data: Path, folder: Path, *, size: int = 32, spec: NetworkSpec = RESNET) -> Trained:
    opened = open_dataset(str(data), image_size=size)
    record = train_classifier(spec, opened, QUICK, folder=folder, device=torch.device("cpu"))
    return Trained(folder, data, record)


def train_on_photos(root: Path) -> Trained:
    """Train on photos of three classes; 27 are for test."""
    for split, each in (("train", 12), ("val", 2), ("test", 9)):
        save_images(root / "photos" / split, each=each, size=(60, 48))
    return train(root / "photos", root / "run")


def change_weights(run: Path, change: Callable[[torch.Tensor], object]) -> None:
    """Change the weights of a run in place, one by one."""
    weights = load_file(run / "model.safetensors")
    for tensor in weights.values():
        change(tensor)
    save_file(weights, run / "model.safetensors")
