from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from data.shards import write_tar
from modernet.data import ClassTargets, ImageDataset, InMemory, OnDisk, OpenedSplit, open_dataset
from modernet.data.fingerprint import fingerprint, split_fingerprint
from modernet.data.images import files
from modernet.data.images.collection import DecodedImages
from modernet.data.sources.hub import HubImages
from modernet.files.hub_file import HubFile

N = 40
Contents = dict[str, bytes]
"""The path of each image, which begins with its class, and its PNG."""


def encode(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)


def contents() -> Contents:
    return {f"{('cat', 'dog')[i % 2]}/{i}.png": encode(noise(i)) for i in range(N)}


def with_one_replaced(before: Contents) -> Contents:
    """Sort the pixels of one image: the same name, class and mean colour, other content."""
    after = before | {"cat/0.png": encode(np.sort(noise(0).reshape(-1, 3), axis=0).reshape(16, 16, 3))}
    assert len(after["cat/0.png"]) != len(before["cat/0.png"])
    return after


def write_folder(root: Path, images: Contents) -> Path:
    for name, content in images.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def write_shard(root: Path, images: Contents) -> Path:
    samples: dict[str, bytes | str] = {}
    for name, content in images.items():
        label, _, number = name.removesuffix(".png").partition("/")
        samples |= {f"{number}.png": content, f"{number}.cls": label}
    write_tar(root / "train-0.tar", samples)
    return root


def write_parquet(root: Path, images: Contents) -> Path:
    root.mkdir(parents=True)
    labels = [name.partition("/")[0] for name in images]
    pq.write_table(pa.table({"image": list(images.values()), "label": labels}), root / "train.parquet")
    return root


Write = Callable[[Path, Contents], Path]
each_source = pytest.mark.parametrize("write", [write_folder, write_shard, write_parquet])


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path / "cache"))


@each_source
@pytest.mark.parametrize("memory_limit_mb", [0, 100])
def test_one_image_of_other_content_changes_the_fingerprint(tmp_path: Path, write: Write, memory_limit_mb: int) -> None:
    before, after = (
        open_dataset(str(write(tmp_path / name, images)), memory_limit_mb=memory_limit_mb)
        for name, images in (("before", contents()), ("after", with_one_replaced(contents())))
    )
    assert isinstance(before.train, InMemory if memory_limit_mb else OnDisk)
    assert before.preparation.mean == pytest.approx(after.preparation.mean, abs=1e-12)
    assert torch.equal(before.train.labels, after.train.labels)
    assert fingerprint(before) != fingerprint(after)


@each_source
@pytest.mark.parametrize("memory_limit_mb", [0, 100])
def test_the_fingerprint_is_the_same_in_another_folder_and_with_other_threads(
    tmp_path: Path, write: Write, memory_limit_mb: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fingerprint(open_dataset(str(write(tmp_path / "a", contents())), memory_limit_mb=memory_limit_mb))
    monkeypatch.setattr(files, "_THREADS", 1)
    monkeypatch.setattr(files, "_CHUNK", 7)
    monkeypatch.setattr("modernet.data.reading.decoding_workers", lambda most: 1)
    again = fingerprint(open_dataset(str(write(tmp_path / "b", contents())), memory_limit_mb=memory_limit_mb))
    assert again == first


def test_the_layout_of_images_in_memory_does_not_count(stripes: ImageDataset) -> None:
    assert isinstance(stripes.train, InMemory)
    other = replace(stripes, train=replace(stripes.train, images=stripes.train.images.contiguous()))
    assert fingerprint(other) == fingerprint(stripes)


def test_labels_classes_colours_and_pixels_in_memory_change_the_fingerprint(stripes: ImageDataset) -> None:
    assert isinstance(stripes.train, InMemory)
    images = stripes.train.images.clone()
    images[0] = images[0].flip(-1)  # of the same colours
    others = [
        replace(stripes, classes=("h", "v")),
        replace(stripes, preparation=replace(stripes.preparation, mean=(0.3, 0.47, 0.47))),
        replace(stripes, train=InMemory(stripes.train.images, ClassTargets(1 - stripes.train.labels))),
        replace(stripes, train=InMemory(images, stripes.train.targets)),
    ]
    assert len({fingerprint(data) for data in [stripes, *others]}) == 5


def test_a_file_that_is_gone_is_left_to_its_reader(tmp_path: Path) -> None:
    dataset = open_dataset(str(write_folder(tmp_path / "set", contents())), memory_limit_mb=0)
    before = fingerprint(dataset)
    (tmp_path / "set" / "cat" / "0.png").unlink()
    assert fingerprint(dataset) != before


def test_decoded_images_have_versions_by_their_pixels() -> None:
    pixels = torch.arange(3 * 4, dtype=torch.uint8).view(3, 2, 2)
    other = pixels.clone()
    other[1] = other[1].flip(0)
    all_three = np.arange(3)
    before, after = (DecodedImages(images, "").versions(all_three) for images in (pixels, other))
    assert (before == after).tolist() == [True, False, True]


def test_images_of_the_hub_have_versions_by_their_file() -> None:
    def versions(*of_files: HubFile) -> list[int]:
        return HubImages(of_files, [2, 1], "image").versions(np.array([0, 2, 1])).tolist()

    first = HubFile("a/b", "0.parquet", "dataset", "commit", 100, "f" * 64)
    small = HubFile("a/b", "1.parquet", "dataset", "commit", 50)
    assert versions(first, small) == [2**60 - 1, 50, 2**60 - 1]
    assert versions(replace(first, sha256="0" * 64), replace(small, revision="later")) == [0, 50, 0]


def test_a_split_has_a_fingerprint_of_its_own(stripes: ImageDataset) -> None:
    def of(split: InMemory, classes: tuple[str, ...] = stripes.classes) -> str:
        return split_fingerprint(OpenedSplit("stripes", classes, split, stripes.preparation))

    test = stripes.test
    assert isinstance(test, InMemory)
    found = {
        of(test),
        of(test, ("a", "b")),
        of(InMemory(test.images.flip(0), test.targets)),
        of(InMemory(test.images, ClassTargets(1 - test.labels))),
    }
    assert len(found) == 4
    assert of(InMemory(test.images.contiguous(), test.targets)) == of(test)
