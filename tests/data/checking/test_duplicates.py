from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from modernet.data.checking.duplicates import difference_hash, look_alikes, repeated


def scene(seed: int, side: int = 120) -> Tensor:
    """An image with large shapes, as photographs have."""
    coarse = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(seed)) * 255
    return torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic").clamp(0, 255)[0].to(torch.uint8)


def compressed(pixels: Tensor, scale: float, quality: int) -> Tensor:
    image = Image.fromarray(pixels.permute(1, 2, 0).numpy())
    buffer = io.BytesIO()
    image.resize((int(image.width * scale), int(image.height * scale))).save(buffer, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1)


def hashes(images: list[Tensor]) -> np.ndarray:
    return np.array([difference_hash(image) for image in images], dtype=np.uint64)


def test_the_hash_tells_where_it_gets_darker_to_the_right() -> None:
    falling = torch.arange(90, 0, -1, dtype=torch.uint8).expand(3, 80, 90)
    assert difference_hash(falling) == 2**64 - 1
    assert difference_hash(falling.flip(2)) == 0
    left_half_darkens = torch.cat([falling[:, :, :50], torch.full((3, 80, 40), 200, dtype=torch.uint8)], dim=2)
    assert difference_hash(left_half_darkens) == int("11110000" * 8, 2)


@pytest.mark.parametrize(("scale", "quality"), [(1.0, 60), (0.5, 90)])
def test_copies_that_were_compressed_or_scaled_look_alike(scale: float, quality: int) -> None:
    images = [scene(seed) for seed in range(30)]
    copies = [compressed(image, scale, quality) for image in reversed(images)]
    found = look_alikes(hashes(copies), hashes(images))
    assert len(found) >= 26
    assert all(other == 29 - position for position, other in found.items())


def test_different_images_and_plain_ones_do_not_look_alike() -> None:
    assert (
        look_alikes(hashes([scene(seed) for seed in range(50)]), hashes([scene(seed) for seed in range(50, 99)])) == {}
    )
    small = [scene(seed, side=8) for seed in range(2)]
    assert look_alikes(hashes(small), hashes(small)) == {}
    plain = [torch.full((3, 20, 20), value, dtype=torch.uint8) for value in (0, 128, 255)]
    assert look_alikes(hashes(plain), hashes(plain)) == {}


def test_three_bits_may_differ_wherever_they_are() -> None:
    pattern = 0x0F0F33335555FF00
    flipped = [0, 0b111, 1 | 1 << 20 | 1 << 63, 0b1111, 1 | 1 << 16 | 1 << 32 | 1 << 48]
    found = look_alikes(np.array([pattern ^ bits for bits in flipped], dtype=np.uint64), np.uint64([pattern]))
    assert found == {0: 0, 1: 0, 2: 0}
    nearest = look_alikes(np.uint64([pattern]), np.uint64([pattern ^ 0b110, pattern ^ 0b100, pattern ^ 0b111]))
    assert nearest == {0: 1}


def test_equal_digests_are_found_in_their_order() -> None:
    assert repeated([b"a", None, b"b", b"a", None, b"c", b"b", b"a"]) == [[0, 3, 7], [2, 6]]
