"""Targets of every kind, through the loader: what moves an image moves its target."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from modernet.data import (
    BoxBatch,
    BoxTargets,
    ClassTargets,
    ImageDataset,
    InMemory,
    NoTargets,
    OnDisk,
    Place,
    SemanticTargets,
)
from modernet.data.images.collection import DecodedImages
from modernet.data.images.views import IGNORE
from modernet.data.loading.loaders import Batch, Loader, make_loader
from modernet.data.reading import on_disk as stored
from modernet.data.sources.read import read_source
from modernet.errors import InputError
from modernet.preparation import Preparation
from modernet.recipes import Augmentation, DetectionAugmentation, SegmentationAugmentation

CPU = torch.device("cpu")
H, W = 24, 36
N = 20
STEP = 40  # grey levels from one class to the next
AUGMENTATIONS = {
    "still": Augmentation(flip=0.0),
    "flipped": Augmentation(),
    "shifted": Augmentation(shift=0.2),
    "cropped": Augmentation(shift=0.1, crop_scale=0.3, erasing=0.0),
}

FITTED = {
    "still": Augmentation(flip=0.0),
    "flipped": Augmentation(),
    "cropped": Augmentation(crop_scale=0.3),
    "jittered": DetectionAugmentation(scale_min=0.3, scale_max=2.0),
    "multi-scale": DetectionAugmentation(multi_scale=True),
}


def maps() -> torch.Tensor:
    """Semantic maps of rectangles on ground."""
    rng = np.random.default_rng(0)
    maps = torch.zeros(N, H, W, dtype=torch.uint8)
    for number in range(N):
        top, left = rng.integers(0, H - 12), rng.integers(0, W - 16)
        maps[number, top : top + 12, left : left + 16] = 1 + number % 5
    return maps


def dataset(targets: str, on_disk: bool) -> ImageDataset:
    """Images whose grey level is the class of each pixel, normalised so that a batch has the bytes themselves."""
    known = maps()
    images = (known[:, None] * STEP).expand(N, 3, H, W).contiguous(memory_format=torch.channels_last)
    corners = []
    for mask in known > 0:
        rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
        corners.append([int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1])
    labels = torch.arange(N) % 5
    kinds = {
        "classes": ClassTargets(labels),
        "semantic": SemanticTargets(known, np.arange(N)),
        "boxes": BoxTargets(
            torch.tensor(corners, dtype=torch.float32),
            labels,
            torch.zeros(N, dtype=torch.bool),
            np.arange(N + 1),
            known > 0,
            np.arange(N),
            (known > 0).flatten(1).sum(1).double().numpy(),
            np.arange(N),
            tuple(range(5)),
        ),
        "none": NoTargets(N),
    }
    split: InMemory | OnDisk = InMemory(images, kinds[targets])
    if on_disk:
        split = OnDisk(DecodedImages(images, "file"), torch.arange(N), kinds[targets])
    bytes_themselves = Preparation((H, W), (0.0,) * 3, (1 / 255,) * 3)
    return ImageDataset("rectangles", ("a", "b", "c", "d", "e"), bytes_themselves, split, split, split)


def loader(data: ImageDataset, augmentation: Augmentation | None, **options: object) -> Loader:
    return make_loader(
        data, data.train, device=CPU, augmentation=augmentation, **{"batch_size": 8, "workers": 0, **options}
    )


def batches(data: ImageDataset, augmentation: Augmentation | None, **options: object) -> list[Batch]:
    return [batch for epoch in (0, 1) for batch in loader(data, augmentation, **options).batches(epoch)]


@pytest.fixture(params=[False, True], ids=["in memory", "on disk"])
def on_disk(request: pytest.FixtureRequest) -> bool:
    return request.param


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_semantic_maps_follow_their_images(name: str, on_disk: bool) -> None:
    wrong = total = 0
    for batch in batches(dataset("semantic", on_disk), AUGMENTATIONS[name]):
        assert batch.targets.shape == (len(batch.images), H, W)
        assert batch.targets.dtype == torch.uint8
        grey = batch.images[:, 0].round()
        plain = grey % STEP == 0  # elsewhere scaling has mixed two classes
        wrong += int((grey[plain] != batch.targets[plain] * STEP).sum())
        total += grey.numel()
    # a crop is scaled by interpolation, which gives exact levels also a pixel beside an edge, by chance
    assert wrong <= (0 if name != "cropped" else 2e-3 * total)


@pytest.mark.parametrize("name", FITTED)
def test_boxes_and_masks_follow_their_images(name: str, on_disk: bool) -> None:
    seen, sizes = 0, set()
    for batch in batches(dataset("boxes", on_disk), FITTED[name]):
        targets = batch.targets
        h, w = batch.images.shape[2:]
        sizes |= {tuple(size) for size in targets.sizes.tolist()}
        assert targets.sizes.amax(0).tolist() == [h, w]
        for image, (height, width) in zip(batch.images, targets.sizes.tolist(), strict=True):
            assert not image[:, height:].any()
            assert not image[:, :, width:].any()
        for corners, label, mask, image in zip(*targets[:2], targets.masks.whole((h, w)), targets.image, strict=True):
            seen += 1
            level = (1 + int(label)) * STEP
            there = (batch.images[image, 0] - level).abs() < STEP / 2
            left, top, right, bottom = corners.tolist()
            rows, columns = torch.arange(h) + 0.5, torch.arange(w) + 0.5
            inside = ((rows > top + 1) & (rows < bottom - 1))[:, None] & (columns > left + 1) & (columns < right - 1)
            around = ((rows > top - 1) & (rows < bottom + 1))[:, None] & (columns > left - 1) & (columns < right + 1)
            assert there[inside].all()
            assert mask[inside].all()
            assert not mask[~around].any()
            assert not there[~around].any()
    assert seen > N
    assert (len(sizes) == 1) == (name in ("still", "flipped"))


def test_an_image_is_turned_together_with_boxes_and_masks(tmp_path: Path) -> None:
    upright = np.zeros((48, 40, 3), dtype=np.uint8)
    upright[16:40, 8:24] = 240
    exif = Image.Exif()
    exif[0x0112] = 6  # stored so that it must be turned clockwise
    Image.fromarray(np.rot90(upright).copy()).save(tmp_path / "a.jpg", exif=exif, quality=95)
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "height": 48, "width": 40}],
        "annotations": [
            {
                "image_id": 1,
                "category_id": 1,
                "bbox": [8, 16, 16, 24],
                "segmentation": [[8, 16, 24, 16, 24, 40, 8, 40]],
            }
        ],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    split = stored(read_source(str(tmp_path), targets="boxes").source.train)
    preparation = Preparation((48, 40), (0.0,) * 3, (1 / 255,) * 3)
    data = ImageDataset("turned", ("cat",), preparation, split, split, split)
    (batch,) = loader(data, FITTED["still"]).batches()
    assert batch.targets.boxes_xyxy.tolist() == [[8, 16, 24, 40]]
    assert torch.equal(batch.targets.masks.whole((48, 40))[0], batch.images[0, 0] > 120)


def test_what_is_erased_ends_where_padding_begins() -> None:
    padded = 0
    for batch in batches(dataset("boxes", True), DetectionAugmentation(scale_min=0.3, scale_max=1.0, erasing=1.0)):
        for image, (height, width) in zip(batch.images, batch.targets.sizes.tolist(), strict=True):
            padding = torch.cat([image[:, height:].flatten(), image[:, :height, width:].flatten()])
            assert not padding.any()
            padded += len(padding)
    assert padded > 1000


def test_boxes_cannot_be_shifted() -> None:
    with pytest.raises(InputError, match=r"^shift would reflect objects at the border, without boxes; set it to 0"):
        loader(dataset("boxes", False), Augmentation(shift=0.1))


def test_images_without_targets_have_none_in_a_batch(on_disk: bool) -> None:
    for batch in batches(dataset("none", on_disk), AUGMENTATIONS["cropped"]):
        assert batch.targets is None
        assert batch.images.shape == (len(batch.positions), 3, H, W)


def assert_same_boxes(one: BoxBatch, other: BoxBatch) -> None:
    assert torch.equal(one.masks.pixels, other.masks.pixels)
    for a, b in zip(one._replace(masks=one.masks.windows), other._replace(masks=other.masks.windows), strict=True):
        assert torch.equal(a, b)


def test_both_kinds_of_split_give_the_same_targets() -> None:
    memory, disk = (batches(dataset("boxes", kind), FITTED["multi-scale"]) for kind in (False, True))
    for one, other in zip(memory, disk, strict=True):
        assert torch.equal(one.images, other.images)
        assert_same_boxes(one.targets, other.targets)


def test_evaluation_shows_targets_at_the_size_of_the_test(on_disk: bool) -> None:
    data = dataset("semantic", on_disk)
    smaller = replace(data.preparation, image_size=16, crop=0.75)
    for batch in loader(data, None, preparation=smaller).batches():
        assert batch.targets.shape == (len(batch.images), 16, 16)
        grey = batch.images[:, 0].round()
        plain = grey % STEP == 0
        assert (grey[plain] != batch.targets[plain] * STEP).float().mean() < 0.02


@pytest.mark.parametrize("kind", ["classes", "semantic", "boxes", "none"])
def test_a_batch_says_how_many_of_its_images_count(kind: str, on_disk: bool) -> None:
    data = dataset(kind, on_disk)
    counted = [
        [batch.counted for batch in loader(data, None, batch_size=9, place=Place(4, rank, 4)).batches()]
        for rank in range(4)
    ]
    assert counted == [[3, 3, 1], [2, 2, 1], [2, 2, 0], [2, 2, 0]]
    assert all(batch.counted == len(batch.images) for batch in loader(data, Augmentation()).batches())


@pytest.mark.medium
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
@pytest.mark.parametrize("kind", ["semantic", "boxes", "none"])
def test_targets_come_from_workers_as_from_this_process(kind: str) -> None:
    data = dataset(kind, on_disk=True)
    augmentation = (FITTED if kind == "boxes" else AUGMENTATIONS)["cropped"]
    here, there = (batches(data, augmentation, workers=workers) for workers in (0, 2))
    for one, other in zip(here, there, strict=True):
        assert torch.equal(one.images, other.images)
        if kind == "semantic":
            assert torch.equal(one.targets, other.targets)
        elif kind == "boxes":
            assert_same_boxes(one.targets, other.targets)
        else:
            assert one.targets is other.targets is None


@pytest.mark.parametrize("kind", ["semantic", "boxes", "none"])
@pytest.mark.parametrize("mixing", [Augmentation(mixup=0.8), Augmentation(cutmix=1.0)], ids=["mixup", "cutmix"])
def test_only_classes_are_mixed(kind: str, mixing: Augmentation) -> None:
    with pytest.raises(InputError, match=r"^mixup and cutmix need class targets; set both to 0$"):
        loader(dataset(kind, False), mixing)


@pytest.mark.parametrize("kind", ["semantic", "boxes"])
def test_rand_augment_is_refused_where_targets_would_stay_behind(kind: str) -> None:
    with pytest.raises(
        InputError, match=r"^rand_augment would move pixels away from their targets; leave it out"
    ) as caught:
        loader(dataset(kind, False), Augmentation(rand_augment="rand-m9"))
    assert ("shift" in str(caught.value)) == (kind == "semantic")  # which boxes refuse, too
    loader(dataset("none", False), Augmentation(rand_augment="rand-m9"))
    jittered = batches(dataset(kind, False), Augmentation(color_jitter=0.3))
    assert sum(batch.counted for batch in jittered) == 2 * N


@pytest.mark.parametrize(
    "augmentation",
    [
        SegmentationAugmentation(flip=0.5, scale_min=0.5, scale_max=2.0, class_share=0.75),
        SegmentationAugmentation(flip=0.5, crop_scale=0.3, class_share=0.75, shift=0.1),
    ],
)
def test_crops_at_random_scales_take_maps_with_them_and_pad_them_with_unknown(
    augmentation: SegmentationAugmentation,
) -> None:
    rows, columns = torch.arange(40)[:, None] // 10, torch.arange(60)[None] // 15
    semantic = ((rows + columns) % 4).to(torch.uint8).expand(12, 40, 60)
    images = (60 * semantic)[:, None].expand(12, 3, 40, 60).contiguous()
    split = InMemory(images, SemanticTargets(semantic.contiguous(), np.arange(12)))
    preparation = Preparation((40, 60), (0.0,) * 3, (1 / 255,) * 3)
    dataset = ImageDataset("blocks", ("a", "b", "c", "d"), preparation, split, split, split)
    loader = make_loader(dataset, split, batch_size=6, device=CPU, augmentation=augmentation, workers=0)
    unknown = 0
    for batch in loader.batches():
        known = batch.targets != IGNORE
        unknown += int((~known).sum())
        error = (batch.images[:, 0] - 60 * batch.targets).abs()[known]
        assert float((error < 5).float().mean()) > 0.8  # but for soft edges
    assert (unknown > 0) == augmentation.rescales
