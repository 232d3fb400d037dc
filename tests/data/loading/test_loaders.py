from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from modernet.data import Batch, ImageDataset, Loader, Place, fit_image, image_name, make_loader, open_dataset
from modernet.data.loading import workers as read_ahead
from modernet.errors import InputError
from modernet.machine import cores
from modernet.recipes import Augmentation

CPU = torch.device("cpu")
EVERYTHING = Augmentation(
    flip=0.5,
    shift=0.2,
    crop_scale=0.4,
    rand_augment="rand-m9-mstd0.5",
    erasing=0.5,
    cutout=0.2,
    mixup=0.8,
    cutmix=1.0,
    mix_prob=0.7,
    mix_mode="pair",
)
OFF = Augmentation(flip=0.0)
# newer Pythons warn when a process with threads forks, and torch when a machine has fewer cores than workers
forking = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
]


@pytest.fixture(params=["in memory", "on disk"])
def dataset(request: pytest.FixtureRequest, tmp_path: Path, write_folder) -> ImageDataset:
    """46 + 4 + 20 images of 12x12."""
    write_folder(tmp_path / "train", n=23, size=(12, 12))
    write_folder(tmp_path / "validation", n=2, size=(12, 12))
    write_folder(tmp_path / "test", n=10, size=(12, 12))
    return open_dataset(str(tmp_path), memory_limit_mb=100 if request.param == "in memory" else 0)


def loader(
    dataset: ImageDataset, augmentation: Augmentation | None, batch_size: int = 8, seed: int = 0, workers: int = 0
) -> Loader:
    return make_loader(
        dataset, dataset.train, batch_size=batch_size, device=CPU, augmentation=augmentation, seed=seed, workers=workers
    )


def same(one: list[Batch], other: list[Batch]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a.images, b.images) and torch.equal(a.targets, b.targets) for a, b in zip(one, other, strict=True)
    )


def images(batches: list[Batch]) -> set[bytes]:
    return {image.contiguous().numpy().tobytes() for batch in batches for image in batch.images}


def test_evaluation_shows_every_image_once_in_order_and_normalised(dataset: ImageDataset, tmp_path: Path) -> None:
    loaded = make_loader(dataset, dataset.test, batch_size=8, device=CPU, augmentation=None, workers=0)
    batches = list(loaded.batches())
    assert [len(batch.images) for batch in batches] == [8, 8, 4]
    assert (loaded.steps_per_epoch, loaded.samples_per_epoch) == (3, 20)
    assert torch.equal(torch.cat([batch.targets for batch in batches]), dataset.test.labels)
    source = open_dataset(str(tmp_path))
    mean, std = (torch.tensor(values)[:, None, None] for values in (dataset.preparation.mean, dataset.preparation.std))
    expected = (source.test.images / 255 - mean) / std
    torch.testing.assert_close(torch.cat([batch.images for batch in batches]), expected, atol=1e-5, rtol=1e-5)
    assert same(batches, list(loaded.batches(epoch=3)))


@pytest.mark.parametrize("batch_size", [0, -8])
def test_a_batch_has_at_least_one_image(dataset: ImageDataset, batch_size: int) -> None:
    with pytest.raises(InputError, match=rf"^batch_size is {batch_size}; give 1 or more$"):
        loader(dataset, None, batch_size=batch_size)


def test_batches_are_float32_in_channels_last(dataset: ImageDataset) -> None:
    for augmentation in (None, OFF, EVERYTHING):
        batch = next(loader(dataset, augmentation).batches())
        assert batch.images.dtype == torch.float32
        assert batch.images.shape == (8, 3, 12, 12)
        assert batch.images.is_contiguous(memory_format=torch.channels_last)


def test_training_shuffles_and_shows_every_image_once(dataset: ImageDataset) -> None:
    loaded = loader(dataset, OFF)
    assert (loaded.steps_per_epoch, loaded.samples_per_epoch, loaded.micro_batches_per_step) == (6, 46, 1)
    first, second = list(loaded.batches(0)), list(loaded.batches(1))
    assert [len(batch.images) for batch in first] == [8, 8, 8, 8, 7, 7]
    assert images(first) == images(list(loader(dataset, None).batches()))
    assert len(images(first)) == 46
    assert not same(first, second)
    assert not same(first, list(loader(dataset, OFF, seed=1).batches()))
    assert same(first, list(loaded.batches(0)))


def test_a_batch_says_where_its_images_are_in_the_split(dataset: ImageDataset) -> None:
    plain = torch.cat([batch.images for batch in loader(dataset, None).batches()])
    for batch in loader(dataset, OFF).batches():
        assert torch.equal(batch.images, plain[batch.positions])
        assert torch.equal(batch.targets, dataset.train.labels[batch.positions])


@pytest.mark.medium
@pytest.mark.parametrize("world", [1, 2, 4])
def test_a_step_shows_the_same_images_whoever_takes_its_micro_batches(dataset: ImageDataset, world: int) -> None:
    def served(rank: int, world: int) -> Loader:
        return make_loader(
            dataset, dataset.train, batch_size=12, device=CPU, augmentation=EVERYTHING,
            workers=0, place=Place(4, rank, world),
        )  # fmt: skip

    alone = list(served(0, 1).batches(1))
    assert len(alone) == 4 * served(0, 1).steps_per_epoch
    for rank in range(world):
        assert served(rank, world).micro_batches_per_step == 4 // world
        assert same(list(served(rank, world).batches(1)), alone[rank::world])


def test_micro_batches_of_a_step_are_augmented_differently(tmp_path: Path, write_image) -> None:
    for name in ("a", "b"):
        for number in range(4):
            write_image(tmp_path / name / f"{number}.png", (64, 64))  # all alike
    for limit in (100, 0):
        dataset = open_dataset(str(tmp_path), memory_limit_mb=limit)
        n = len(dataset.train)
        loaded = make_loader(
            dataset, dataset.train, batch_size=n, device=CPU, augmentation=Augmentation(crop_scale=0.2),
            workers=0, place=Place(2),
        )  # fmt: skip
        assert len(images(list(loaded.batches()))) == n


def test_a_process_without_an_image_gets_one_that_does_not_count(dataset: ImageDataset) -> None:
    last = [
        list(
            make_loader(
                dataset, dataset.test, batch_size=9, device=CPU, augmentation=None, workers=0, place=Place(3, rank, 3)
            ).batches()
        )[-1]
        for rank in range(3)
    ]
    assert [batch.positions.tolist() for batch in last] == [[18], [19], [18]]
    assert [batch.counted for batch in last] == [1, 1, 0]


def test_evaluation_shows_the_middle_at_the_size_of_the_test(tmp_path: Path, write_folder) -> None:
    write_folder(tmp_path, n=10, size=(16, 16))
    for limit in (100, 0):
        dataset = open_dataset(str(tmp_path), memory_limit_mb=limit)
        smaller = replace(dataset.preparation, image_size=20, crop=0.5, interpolation="bicubic")
        batch = next(
            make_loader(
                dataset, dataset.test, batch_size=2, device=CPU, augmentation=None, preparation=smaller, workers=0
            ).batches()
        )
        whole = open_dataset(str(tmp_path)).test.images[0]
        expected = fit_image(whole, 20, crop=0.5, interpolation="bicubic")
        mean, std = (
            torch.tensor(values)[:, None, None] for values in (dataset.preparation.mean, dataset.preparation.std)
        )
        torch.testing.assert_close(batch.images[0], (expected / 255 - mean) / std, atol=1e-5, rtol=1e-5)


def test_a_message_can_name_an_image_of_a_batch(tmp_path: Path, write_folder) -> None:
    write_folder(tmp_path, n=10)
    assert image_name(open_dataset(str(tmp_path)).train, 3) == "image 3 of the training split"
    train = open_dataset(str(tmp_path), memory_limit_mb=0).train
    assert image_name(train, 3) == train.images.name(int(train.indices[3]))


def test_a_split_smaller_than_a_batch_is_one_batch(dataset: ImageDataset) -> None:
    loaded = loader(dataset, OFF, batch_size=1000)
    assert (loaded.steps_per_epoch, loaded.samples_per_epoch) == (1, 46)
    assert [len(batch.images) for batch in loaded.batches()] == [46]


@pytest.mark.parametrize("first_step", [1, 3, 6])
def test_an_epoch_can_be_entered_in_the_middle(dataset: ImageDataset, first_step: int) -> None:
    whole = list(loader(dataset, EVERYTHING).batches(epoch=2))
    rest = list(loader(dataset, EVERYTHING).batches(epoch=2, first_step=first_step))
    assert same(rest, whole[first_step:])


def test_batches_neither_use_nor_move_the_global_generators(dataset: ImageDataset) -> None:
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - the global state is what is tested
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    one = list(loader(dataset, EVERYTHING).batches())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
    torch.manual_seed(1)
    assert same(one, list(loader(dataset, EVERYTHING).batches()))


def test_every_augmentation_reaches_the_batch(dataset: ImageDataset) -> None:
    plain = next(loader(dataset, OFF).batches())
    for augmentation in (
        Augmentation(flip=1.0),
        Augmentation(flip=0.0, shift=0.3),
        Augmentation(flip=0.0, crop_scale=0.3),
        Augmentation(flip=0.0, erasing=1.0),
        Augmentation(flip=0.0, cutout=0.3),
    ):
        batch = next(loader(dataset, augmentation).batches())
        assert torch.equal(batch.targets, plain.targets)
        assert not torch.equal(batch.images, plain.images), augmentation
    for augmentation in (Augmentation(flip=0.0, mixup=1.0), Augmentation(flip=0.0, cutmix=1.0)):
        batch = next(loader(dataset, augmentation).batches())
        assert batch.targets.shape == (8, 2)
        assert batch.targets.dtype == torch.float32


@pytest.mark.parametrize("memory_limit_mb", [100, 0])
@pytest.mark.parametrize(
    "augmentation", [Augmentation(crop_scale=0.2), Augmentation(erasing=1.0)], ids=["crop", "erasing"]
)
def test_augmentation_differs_between_images_steps_epochs_and_seeds(
    tmp_path: Path, write_image, augmentation: Augmentation, memory_limit_mb: int
) -> None:
    for number in range(10):
        for name in ("a", "b"):
            write_image(tmp_path / name / f"{number}.png", (64, 64), seed=0)  # all alike: only augmentation differs
    dataset = open_dataset(str(tmp_path), memory_limit_mb=memory_limit_mb)
    loaded = loader(dataset, augmentation)
    shown = [*loaded.batches(0), *loaded.batches(1), *loader(dataset, augmentation, seed=1).batches(0)]
    assert len(images(shown)) == 3 * len(dataset.train)


@pytest.mark.parametrize("augmentation", [Augmentation(rand_augment="rand-m9-p1"), Augmentation(color_jitter=0.4)])
def test_images_are_augmented_one_by_one_wherever_they_are(tmp_path: Path, write_folder, augmentation) -> None:
    write_folder(tmp_path, n=10, size=(16, 16))
    memory, disk = (
        list(loader(open_dataset(str(tmp_path), memory_limit_mb=limit), augmentation).batches()) for limit in (100, 0)
    )
    plain = list(loader(open_dataset(str(tmp_path)), Augmentation()).batches())
    assert same(memory, disk)
    assert torch.equal(memory[0].targets, plain[0].targets)
    assert len(images(memory) & images(plain)) < 4, "nothing was done to most images"


def test_a_wrong_notation_of_rand_augment_is_refused_before_training(dataset: ImageDataset) -> None:
    with pytest.raises(InputError, match=r"^rand_augment is 'm9'; give timm's notation"):
        loader(dataset, Augmentation(rand_augment="m9"))


def test_both_kinds_of_split_give_the_same_batches_without_crops(tmp_path: Path, write_folder) -> None:
    write_folder(tmp_path, n=20, size=(12, 12))
    augmentation = Augmentation(flip=0.5, shift=0.2, erasing=0.5, mixup=0.8)
    memory, disk = (
        list(loader(open_dataset(str(tmp_path), memory_limit_mb=limit), augmentation).batches()) for limit in (100, 0)
    )
    assert same(memory, disk)


@pytest.mark.parametrize("workers", [2], ids=["workers"])
class TestWorkers:
    """Decoding in other processes."""

    pytestmark = forking

    def test_batches_do_not_depend_on_the_number_of_workers(self, tmp_path: Path, write_folder, workers: int) -> None:
        write_folder(tmp_path, n=20, size=(12, 16))
        dataset = open_dataset(str(tmp_path), image_size=10, memory_limit_mb=0)
        here = list(loader(dataset, EVERYTHING).batches(first_step=1))
        assert same(here, list(loader(dataset, EVERYTHING, workers=workers).batches(first_step=1)))

    def test_workers_serve_epoch_after_epoch_also_where_one_was_left(
        self, tmp_path: Path, write_folder, workers: int
    ) -> None:
        write_folder(tmp_path, n=30, size=(12, 16))
        dataset = open_dataset(str(tmp_path), image_size=10, memory_limit_mb=0)
        here, there = (loader(dataset, EVERYTHING, batch_size=4, workers=count) for count in (0, workers))
        left = there.batches(0)
        first = [next(left), next(left)]
        assert same(first, list(here.batches(0))[:2])
        for epoch in (1, 0):
            assert same(list(there.batches(epoch)), list(here.batches(epoch)))
        assert same(first, list(here.batches(0))[:2]), "a batch was overwritten"

    def test_an_image_that_went_bad_is_named_in_one_line(self, tmp_path: Path, write_folder, workers: int) -> None:
        write_folder(tmp_path, n=20)
        dataset = open_dataset(str(tmp_path), memory_limit_mb=0)
        for path in tmp_path.rglob("*.png"):
            path.write_bytes(b"torn")
        with pytest.raises(
            InputError, match=r"cannot read the image .*png: it is not an image.*--skip-unreadable"
        ) as caught:
            list(loader(dataset, OFF, workers=workers).batches())
        assert "\n" not in str(caught.value)


def test_images_are_decoded_by_our_share_of_the_machine(tmp_path: Path, write_folder, monkeypatch) -> None:
    dataset = open_dataset(str(write_folder(tmp_path)), memory_limit_mb=0)
    asked: list[int] = []

    def in_this_process(*args: Any, num_workers: int, **options: Any) -> DataLoader[Any]:
        asked.append(num_workers)
        return DataLoader(*args, **options | {"prefetch_factor": None, "persistent_workers": False})

    monkeypatch.setattr(read_ahead, "DataLoader", in_this_process)
    monkeypatch.setattr(cores, "usable_cores", lambda: 64)
    for threads in (32, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        loaded = make_loader(dataset, dataset.test, batch_size=8, device=CPU, augmentation=None)
        next(loaded.batches())
    assert asked == [8, 3]


def test_only_cuda_copies_while_the_buffer_may_be_read_into_again(tmp_path: Path, write_folder, monkeypatch) -> None:
    dataset = open_dataset(str(write_folder(tmp_path)), memory_limit_mb=0)
    asked: list[bool] = []
    to = torch.Tensor.to

    def watched(tensor: torch.Tensor, *args: Any, non_blocking: bool = False, **options: Any) -> torch.Tensor:
        asked.append(non_blocking)
        return to(tensor, *args, non_blocking=non_blocking, **options)

    monkeypatch.setattr(torch.Tensor, "to", watched)
    next(loader(dataset, OFF, workers=0).batches())
    assert asked
    assert not any(asked)


def test_crops_on_disk_are_taken_from_the_whole_image(tmp_path: Path) -> None:
    from PIL import Image

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(20):
            image = Image.new("RGB", (60, 20), "black")
            image.paste("white", (0, 0, 12, 20))  # outside of the square in the centre
            image.save(tmp_path / name / f"{number}.png")
    dataset = open_dataset(str(tmp_path), image_size=16, memory_limit_mb=0)
    plain = torch.cat([batch.images for batch in loader(dataset, OFF).batches()])
    cropped = torch.cat([batch.images for batch in loader(dataset, Augmentation(flip=0.0, crop_scale=0.1)).batches()])
    assert plain.unique().numel() == 1
    assert cropped.max() > plain.max() + 1


def test_too_little_shared_memory_is_refused_before_it_ends_in_a_bus_error(
    tmp_path: Path, write_folder, monkeypatch
) -> None:
    write_folder(tmp_path, n=10, size=(12, 12))
    data = open_dataset(str(tmp_path), memory_limit_mb=0)
    monkeypatch.setattr(read_ahead, "_SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(read_ahead.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))

    with pytest.raises(InputError, match=r"needs 0 MB of shared memory, and .* has 0 MB; give the container more"):
        next(loader(data, OFF, workers=1).batches())
    assert next(loader(data, OFF, workers=0).batches())


def invert_by_position(images: torch.Tensor, positions: np.ndarray) -> torch.Tensor:
    odd = torch.from_numpy(positions % 2 == 1)[:, None, None, None]
    return torch.where(odd, 255 - images, images)


@pytest.mark.medium
@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=forking)])
def test_a_transform_sees_images_at_their_final_size(dataset: ImageDataset, workers: int) -> None:
    smaller = replace(dataset.preparation, image_size=8, crop=0.9, mean=(0.0,) * 3, std=(1 / 255,) * 3)
    plain, changed = (
        make_loader(
            dataset, dataset.test, batch_size=8, device=CPU, augmentation=None,
            preparation=smaller, workers=workers, transform=transform,
        ).batches()
        for transform in (None, invert_by_position)
    )  # fmt: skip
    for one, other in zip(plain, changed, strict=True):
        odd = one.positions % 2 == 1
        torch.testing.assert_close(other.images[~odd], one.images[~odd])
        torch.testing.assert_close(other.images[odd], 255 - one.images[odd])
        assert torch.equal(one.targets, other.targets)
