"""Corruptions depend on the image, the severity and the seed alone."""

from __future__ import annotations

import pickle

import pytest
import torch

from modernet.data.transforms.corruptions import CORRUPTIONS, Corrupt
from modernet.errors import InputError


def images(n: int = 5, h: int = 40, w: int = 33) -> torch.Tensor:
    noise = torch.randint(256, (n, 3, h // 4 + 1, w // 4 + 1), generator=torch.Generator().manual_seed(0))
    return noise.to(torch.uint8).repeat_interleave(4, 2).repeat_interleave(4, 3)[..., :h, :w].contiguous()


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_an_image_is_corrupted_alike_in_every_batch(name: str) -> None:
    corrupt, batch = Corrupt(name, 3), images()
    whole = corrupt(batch)
    assert whole.dtype == torch.uint8
    assert whole.shape == batch.shape
    shuffled = pickle.loads(pickle.dumps(corrupt))(batch.flip(0)).flip(0)
    assert torch.equal(shuffled, whole)
    alone = torch.cat([corrupt(image[None].contiguous(memory_format=torch.channels_last)) for image in batch])
    assert torch.equal(alone, whole)


def test_a_batch_too_large_for_a_cache_is_corrupted_in_parts() -> None:
    batch = images(3, 300, 290)
    whole = Corrupt("fog", 3)(batch, [5, 6, 7])
    assert torch.equal(whole, torch.cat([Corrupt("fog", 3)(batch[i : i + 1], [5 + i]) for i in range(3)]))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_keys_replace_the_content(name: str) -> None:
    batch = images(1).repeat(2, 1, 1, 1)
    same, other = Corrupt(name, 3)(batch, [7, 7]), Corrupt(name, 3)(batch, [8, 8])
    assert torch.equal(same[0], same[1])
    assert torch.equal(other[0], other[1])


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (50, 3)])
def test_tiny_images_keep_their_size(name: str, size: tuple[int, int]) -> None:
    for severity in (1, 5):
        assert Corrupt(name, severity)(images(2, *size)).shape == (2, 3, *size)


def test_what_does_not_exist_is_refused() -> None:
    with pytest.raises(InputError, match="no corruption is called 'contrst'; did you mean contrast"):
        Corrupt("contrst", 1)
    with pytest.raises(InputError, match="severity is 6; give 1 to 5"):
        Corrupt("contrast", 6)
    assert Corrupt("contrast", 1)(images(0)).shape == (0, 3, 40, 33)


def test_the_nearest_table_is_taken() -> None:
    contrast = CORRUPTIONS["contrast"]
    assert contrast.parameters(1, 16) == contrast.parameters(1, 45) == (0.75,)  # that of 32
    assert contrast.parameters(1, 46) == (0.4,)  # that of 64
