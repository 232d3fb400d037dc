"""Real data sets, from the folder that MODERNET_SHARED_DATA names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from modernet.data import OnDisk, make_loader, open_dataset
from modernet.recipes import Augmentation


@pytest.mark.data("tiny_imagenet_50")
def test_tiny_imagenet_opens_in_memory_with_its_names(data_folder: Path, tmp_path: Path) -> None:
    for file in ("train-00000-of-00005.parquet", "validation-00000-of-00001.parquet"):  # a fifth, to save time
        (tmp_path / file).symlink_to(data_folder / file)
    dataset = open_dataset(str(tmp_path))
    assert dataset.image_size == 64
    assert len(dataset.train) + len(dataset.validation) == 5_000
    assert torch.bincount(dataset.test.labels).tolist() == [50] * 50
    assert dataset.classes[:2] == ("n01443537 goldfish", "n01698640 American alligator")
    assert dataset.preparation.mean == pytest.approx((0.48, 0.45, 0.40), abs=0.03)  # ImageNet's are 0.485, 0.456, 0.406
    grey = (dataset.test.images[:, :1] == dataset.test.images).all(dim=(1, 2, 3))
    assert 10 < int(grey.sum()) < 200


@pytest.mark.data("caltech101_10")
def test_caltech_opens_with_mixed_sizes(data_folder: Path) -> None:
    dataset = open_dataset(str(data_folder))
    assert len(dataset.classes) == 10
    assert dataset.image_size % 32 == 0
    assert (len(dataset.train) + len(dataset.validation), len(dataset.test)) == (600, 301)


@pytest.mark.data("tiny_imagenet_50")
def test_a_large_set_streams_from_disk(data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path))
    dataset = open_dataset(str(data_folder), memory_limit_mb=10)
    assert isinstance(dataset.train, OnDisk)
    loader = make_loader(
        dataset,
        dataset.train,
        batch_size=64,
        device=torch.device("cpu"),
        augmentation=Augmentation(crop_scale=0.3),
        workers=0,
    )
    batch = next(loader.batches())
    assert batch.images.shape == (64, 3, 64, 64)
    assert abs(batch.images.mean()) < 0.3
