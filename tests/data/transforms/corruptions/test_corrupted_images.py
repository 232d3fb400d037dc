"""Images of a collection are corrupted whole, alike each time, and are other images than the clean ones."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from modernet.data import InMemory, OpenedSplit, make_loader, read_image
from modernet.data.fingerprint import split_fingerprint
from modernet.data.images.collection import DecodedImages
from modernet.data.images.views import central_view
from modernet.data.reading import examples_of, on_disk
from modernet.data.sources.examples import all_of
from modernet.data.sources.read import read_source
from modernet.data.targets import SemanticTargets
from modernet.data.transforms.corruptions import Corrupt, CorruptedImages
from modernet.preparation import Preparation

CORRUPT = Corrupt("plasma_noise", 4, seed=3)
CHOOSE = partial(central_view, size=(16, 16), crop=0.9)


@pytest.fixture(scope="module")
def clean() -> DecodedImages:
    generator = torch.Generator().manual_seed(0)
    return DecodedImages(torch.randint(0, 256, (4, 3, 40, 52), dtype=torch.uint8, generator=generator), "file")


def test_a_view_is_cut_out_of_the_image_that_was_corrupted_whole(clean: DecodedImages) -> None:
    images = CorruptedImages(clean, CORRUPT)
    expected = CORRUPT(clean.pixels)
    assert not torch.equal(expected, clean.pixels)
    for index in (2, 0, 2):
        assert torch.equal(images.read(index), expected[index])
        pixels, view = images.read_view(index, CHOOSE, "bicubic")
        assert view == central_view(40, 52, (16, 16), 0.9)
        assert torch.equal(pixels, view.show(expected[index], "bicubic"))


def test_large_images_have_the_parameters_for_224_pixels_and_small_ones_those_that_suit_them() -> None:
    generator = torch.Generator().manual_seed(2)
    for side, table in ((300, 224), (130, 224), (70, 64), (33, 32)):
        pixels = torch.randint(0, 256, (1, 3, side, side + 20), dtype=torch.uint8, generator=generator)
        found = CorruptedImages(DecodedImages(pixels, "file"), Corrupt("gaussian_noise", 3)).read(0)
        assert torch.equal(found, Corrupt("gaussian_noise", 3, table=table)(pixels)[0])
    given = CorruptedImages(DecodedImages(pixels, "file"), Corrupt("gaussian_noise", 3, table=299)).read(0)
    assert torch.equal(given, Corrupt("gaussian_noise", 3, table=299)(pixels)[0])


def test_a_turned_photograph_is_corrupted_upright(tmp_path: Path) -> None:
    folder = tmp_path / "photos" / "train"
    folder.mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "0.jpg", exif=exif)
    source = read_source(str(folder.parent), targets="none").source
    assert source.train is not None
    found = CorruptedImages(source.train.images, CORRUPT).read(0)
    assert found.shape == (3, 40, 24)
    assert torch.equal(found, CORRUPT(read_image(folder / "0.jpg")[None])[0])


def test_they_are_not_taken_for_the_clean_images_or_those_of_another_severity(clean: DecodedImages) -> None:
    targets = SemanticTargets(torch.zeros(4, 40, 52, dtype=torch.uint8), np.arange(4))
    collections = [
        clean,
        CorruptedImages(clean, CORRUPT),
        CorruptedImages(clean, Corrupt("plasma_noise", 5, seed=3)),
        CorruptedImages(clean, Corrupt("plasma_noise", 4)),
    ]
    splits = [on_disk(all_of(images, targets)) for images in collections]
    preparation = Preparation(16, (0.5,) * 3, (0.25,) * 3)
    prints = [split_fingerprint(OpenedSplit("scenes", ("a",), split, preparation)) for split in splits]
    assert len(set(prints)) == 4
    assert [images.identity(2) for images in collections] == ["2"] * 4


def test_targets_stay_while_images_are_corrupted(clean: DecodedImages) -> None:
    chance = torch.Generator().manual_seed(1)
    maps = torch.randint(0, 2, (4, 40, 52), dtype=torch.uint8, generator=chance)
    split = InMemory(clean.pixels.contiguous(memory_format=torch.channels_last), SemanticTargets(maps, np.arange(4)))
    examples = examples_of(split)
    corrupted = on_disk(all_of(CorruptedImages(examples.images, CORRUPT), examples.targets))
    preparation = Preparation((40, 52), (0.5,) * 3, (0.25,) * 3)
    opened = OpenedSplit("scenes", ("a", "b"), corrupted, preparation)
    loader = make_loader(
        opened,
        corrupted,
        batch_size=4,
        device=torch.device("cpu"),
        augmentation=None,
        preparation=preparation,
        workers=0,
    )
    (batch,) = loader.batches()
    assert torch.equal(batch.targets.to(torch.uint8), maps)
    assert torch.equal(batch.images, preparation.normalise(CORRUPT(clean.pixels)))
