from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from modernet.data.sequences.encoding import pillow_grey, tensorflow_grey
from modernet.data.sequences.opening import open_sequences
from modernet.errors import InputError

N_TRAIN, N_TEST = 200, 20


def write(folder: Path, labels: np.ndarray | None = None) -> np.ndarray:
    """Write the binary version of CIFAR-10, and return the training images."""
    folder.mkdir(exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (N_TRAIN + N_TEST, 3072), dtype=np.uint8)
    classes = np.arange(N_TRAIN + N_TEST) % 10 if labels is None else labels
    records = np.concatenate([classes[:, None].astype(np.uint8), pixels], 1)
    records[:N_TRAIN].tofile(folder / "data_batch_1.bin")
    records[N_TRAIN:].tofile(folder / "test_batch.bin")
    return pixels[:N_TRAIN].reshape(-1, 3, 32, 32)


def test_the_last_tenth_of_the_training_images_is_validation(tmp_path: Path) -> None:
    images = write(tmp_path)
    dataset = open_sequences(f"image:{tmp_path}")
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [180, 20, 20]
    (ragged,) = dataset.validation.towers
    assert ragged.values.dtype == np.uint8
    assert np.array_equal(ragged[3], pillow_grey(images[183]).reshape(1024, 1))
    np.testing.assert_allclose((ragged.scale, ragged.shift), (1 / 61, -122.6 / 61))
    assert dataset.validation.labels.tolist() == [i % 10 for i in range(180, 200)]
    assert dataset.floors == {"the most frequent class": 10.0}


def test_tokens_are_tensorflows_grey_values(tmp_path: Path) -> None:
    grey = tensorflow_grey(write(tmp_path)[5]).reshape(-1)
    (tokens,), (arena,) = (open_sequences(f"{name}:{tmp_path}").train.towers for name in ("image_tokens", "image_lra"))
    assert np.array_equal(tokens[5], grey.astype(np.int16) + 1)
    assert np.array_equal(arena[5], grey)


def test_the_short_version_has_16_pixels_a_side(tmp_path: Path) -> None:
    write(tmp_path)
    dataset = open_sequences(f"image-nano:{tmp_path}")
    assert dataset.train.towers[0].lengths.tolist() == [256] * 180


def test_images_in_the_order_of_their_classes_are_refused(tmp_path: Path) -> None:
    write(tmp_path, np.repeat(np.arange(10), (N_TRAIN + N_TEST) // 10))
    with pytest.raises(
        InputError, match=r"^the last tenth of the training images in .* has none of 'airplane'; give CIFAR"
    ):
        open_sequences(f"image:{tmp_path}")


@pytest.mark.medium
@pytest.mark.data("cifar10")
def test_cifar_10_has_the_published_sizes(data_folder: Path) -> None:
    dataset = open_sequences(f"image-nano:{data_folder}")
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [8000, 1000, 2000]
