"""Small classifiers with random weights, as folders of finished runs, and folders of small images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from modernet.data.images.marks import NO_MARKS
from modernet.preparation import Preparation
from modernet.weights import NetworkSpec, save_network

COLOURS = ("blue", "green", "red")


def save_classifier(
    folder: Path, classes: Sequence[str] = COLOURS, *, size: int = 48, seed: int = 0, crop: float = 1.0
) -> str:
    """Write a network with batch norms that a fold changes, and return its path with a slash."""
    spec = NetworkSpec("model", "resnet_test", {"width": 8, "depths": [1, 1]})
    torch.manual_seed(seed)
    network = spec.build(len(classes)).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert isinstance(module.running_mean, torch.Tensor)
            assert isinstance(module.running_var, torch.Tensor)
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    preparation = Preparation(size, (0.5, 0.4, 0.3), (0.2, 0.3, 0.25), crop)
    patches = nn.functional.interpolate(torch.randint(256, (64, 3, 6, 6)).float(), (size, size), mode="bicubic")
    head = network.get_submodule(network.classifier_name)
    nn.init.normal_(head.weight)
    with torch.no_grad():  # so that no class is the answer for all images
        head.bias -= network(preparation.normalise(patches)).mean(0)
    NO_MARKS.write(folder)  # so that every image counts as new
    save_network(folder, network, spec, classes, preparation)
    return f"{folder.parent}/{folder.name}"


def save_images(
    folder: Path, classes: Sequence[str] = COLOURS, *, each: int = 4, size: tuple[int, int] = (60, 48)
) -> Path:
    """Write patches of noise, `each` for every class, as PNG: `blue/0.png`, ..."""
    chance = np.random.default_rng(len(classes))
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(each):
            pixels = chance.integers(0, 256, (6, 6, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(folder / name / f"{number}.png")
    return folder
