"""What tests of several packages share: the order of the tests, and small data to train on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from modernet.data import ClassTargets, ImageDataset, InMemory
from modernet.preparation import Preparation

torch.set_num_threads(1)  # the networks are tiny: more threads wait for each other longer than they compute


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest tests first, so that no worker runs one alone at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")


@pytest.fixture
def data_folder(request: pytest.FixtureRequest) -> Path:
    """Return the folder of the data set that the test's marker names, `@pytest.mark.data("usps")`, or skip the test."""
    (name,) = request.node.get_closest_marker("data").args
    folder = Path(os.environ.get("MODERNET_SHARED_DATA", "")) / name
    if "MODERNET_SHARED_DATA" not in os.environ or not folder.is_dir():
        pytest.skip(f"needs the data set {name}: set MODERNET_SHARED_DATA to a folder that contains {name}/")
    return folder.resolve()


def striped(count: int, seed: int, size: int = 16) -> InMemory:
    """Noisy images of horizontal stripes and of vertical ones; a small network tells them apart in a few steps."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    wave = (torch.arange(size) % 4 < 2).float()
    rows = wave[:, None].expand(size, size)
    stripes = torch.where(labels[:, None, None] == 0, rows, rows.T)
    noise = torch.rand(count, 3, size, size, generator=generator)
    images = (160 * stripes[:, None] + 80 * noise).to(torch.uint8)
    return InMemory(images.contiguous(memory_format=torch.channels_last), ClassTargets(labels))


@pytest.fixture(scope="session")
def stripes() -> ImageDataset:
    return ImageDataset(
        name="stripes",
        classes=("horizontal", "vertical"),
        preparation=Preparation(16, (0.47, 0.47, 0.47), (0.3, 0.3, 0.3)),
        train=striped(64, seed=1),
        validation=striped(20, seed=2),
        test=striped(30, seed=3),
    )


@pytest.fixture
def image_folder(tmp_path: Path, stripes: ImageDataset) -> Path:
    """The training stripes as PNG files: `horizontal/0.png`, ..."""
    root = tmp_path / "images"
    split = stripes.train
    assert isinstance(split, InMemory)
    for index, (image, label) in enumerate(zip(split.images, split.labels.tolist(), strict=True)):
        folder = root / stripes.classes[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{index}.png")
    return root
