"""Real data sets, where they lie beside the checkout."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from modernet.data import OnDisk, make_loader, open_dataset
from modernet.recipes import Augmentation

SHARED = Path(__file__).parents[2] / ".." / "shared" / "data"


def shared(name: str) -> str:
    if not (SHARED / name).is_dir():
        pytest.skip(f"the data set {name} is not beside this checkout")
    return str(SHARED / name)


def test_tiny_imagenet_opens_in_memory_with_its_names(tmp_path: Path) -> None:
    folder = Path(shared("tiny_imagenet_50"))
    for file in ("train-00000-of-00005.parquet", "validation-00000-of-00001.parquet"):  # a fifth, for the sake of time
        (tmp_path / file).symlink_to((folder / file).resolve())
    dataset = open_dataset(str(tmp_path))
    assert dataset.image_size == 64
    assert len(dataset.train) + len(dataset.validation) == 5_000
    assert torch.bincount(dataset.test.labels).tolist() == [50] * 50
    assert dataset.classes[:2] == ("n01443537 goldfish", "n01698640 American alligator")
    assert dataset.mean == pytest.approx((0.48, 0.45, 0.40), abs=0.03)  # ImageNet's are 0.485, 0.456, 0.406
    grey = (dataset.test.images[:, :1] == dataset.test.images).all(dim=(1, 2, 3))
    assert 10 < int(grey.sum()) < 200


def test_caltech_opens_with_mixed_sizes() -> None:
    dataset = open_dataset(shared("caltech101_10"))
    assert len(dataset.classes) == 10
    assert dataset.image_size % 32 == 0
    assert (len(dataset.train) + len(dataset.validation), len(dataset.test)) == (600, 301)


def test_a_large_set_streams_from_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path))
    dataset = open_dataset(shared("tiny_imagenet_50"), memory_limit_mb=10)
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
