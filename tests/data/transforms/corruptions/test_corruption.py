"""Corruptions depend on the image, the severity and the seed alone."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from hashlib import sha256

import pytest
import torch

from data.transforms.corruptions.pictures import pictures
from modernet.data.transforms.corruptions import CORRUPTIONS, SEVERITIES, Corrupt, filters
from modernet.data.transforms.corruptions.bar import perlin
from modernet.errors import InputError

WITHOUT_CHANCE = {
    *("defocus_blur", "zoom_blur", "gaussian_blur", "brightness", "contrast", "saturate", "pixelate"),
    "jpeg_compression",
}


def images(n: int = 5, h: int = 40, w: int = 33) -> torch.Tensor:
    noise = torch.randint(256, (n, 3, h // 4 + 1, w // 4 + 1), generator=torch.Generator().manual_seed(0))
    return noise.to(torch.uint8).repeat_interleave(4, 2).repeat_interleave(4, 3)[..., :h, :w].contiguous()


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_an_image_is_corrupted_alike_in_every_batch(name: str, severity: int) -> None:
    corrupt, batch = Corrupt(name, severity), images()
    whole = corrupt(batch)
    assert whole.dtype == torch.uint8
    assert whole.shape == batch.shape
    shuffled = pickle.loads(pickle.dumps(corrupt))(batch.flip(0)).flip(0)
    assert torch.equal(shuffled, whole)
    alone = torch.cat([corrupt(image[None].contiguous(memory_format=torch.channels_last)) for image in batch])
    assert torch.equal(alone, whole)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_grey_images_need_no_memory_of_their_own_for_each_channel(name: str) -> None:
    grey = images()[:, :1].expand(-1, 3, -1, -1)
    for severity in (1, 5):
        corrupted = Corrupt(name, severity)(grey)
        assert torch.equal(corrupted, Corrupt(name, severity)(grey.contiguous()))
    assert torch.equal(grey, images()[:, :1].expand(-1, 3, -1, -1))  # it is unchanged


def digests() -> dict[str, str]:
    """Return a digest of what each corruption makes of images so large that torch divides its work among threads."""
    batch = pictures(2, 224, 224)
    return {name: sha256(Corrupt(name, 4)(batch).contiguous().numpy()).hexdigest() for name in CORRUPTIONS}


@pytest.mark.slow
def test_an_image_is_corrupted_alike_in_another_process_with_more_threads() -> None:
    code = (
        "import json, torch; from data.transforms.corruptions.test_corruption import digests;"
        "torch.set_num_threads(2); print(json.dumps(digests()))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "1"}
    other = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(other.stdout) == digests()


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_autocast_does_not_round_them(name: str) -> None:
    expected = Corrupt(name, 3)(images())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(Corrupt(name, 3)(images()), expected)


@pytest.mark.parametrize("name", ["perlin_noise", "gaussian_blur", "zoom_blur", "elastic_transform"])
def test_products_in_float64_as_on_a_gpu_give_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = pictures(2, 64, 64)
    expected = Corrupt(name, 3)(batch)
    for module in (filters, perlin):
        monkeypatch.setattr(module, "product_dtype", lambda dtype, device: torch.float64)
    off = (Corrupt(name, 3)(batch).int() - expected.int()).abs()
    assert off.max() <= 1
    assert (off > 0).float().mean() < 1e-3


@pytest.mark.gpu
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_gpu_corrupts_as_a_cpu(name: str) -> None:
    batch = pictures(4, 224, 224)
    expected = Corrupt(name, 3)(batch)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("high")  # TF32, which corruptions must not use
        with torch.autocast("cuda"):
            found = Corrupt(name, 3)(batch.cuda())
    finally:
        torch.set_float32_matmul_precision(before)
    off = (found.cpu().int() - expected.int()).abs()
    assert (off > 0).float().mean() < 1e-3
    assert (off > 1).float().mean() < 1e-4  # where an operation jumps, as refracted offsets and rings


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
    assert torch.equal(same, other) == (name in WITHOUT_CHANCE)


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
    with pytest.raises(InputError, match="table is 100; give 32, 64, 224, 299 or None"):
        Corrupt("contrast", 1, table=100)
    assert Corrupt("contrast", 1)(images(0)).shape == (0, 3, 40, 33)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (images().float() / 255, r"float32 \(5, 3, 40, 33\)"),
        (images()[:, :1], r"uint8 \(5, 1, 40, 33\)"),
        (images()[0], r"uint8 \(3, 40, 33\)"),
        (images(0).float(), r"float32 \(0, 3, 40, 33\)"),
    ],
)
def test_only_bytes_in_three_channels_are_corrupted(given: torch.Tensor, words: str) -> None:
    with pytest.raises(InputError, match=rf"images to corrupt are {words}; give uint8 \(b, 3, h, w\)"):
        Corrupt("contrast", 1)(given)


@pytest.mark.parametrize("keys", [[], [1], range(6)])
def test_every_image_has_one_key(keys: Sequence[int]) -> None:
    with pytest.raises(InputError, match=f"there are {len(keys)} keys for 5 images; give one for each"):
        Corrupt("contrast", 1)(images(), keys)


def test_the_nearest_table_is_taken() -> None:
    contrast = CORRUPTIONS["contrast"]
    assert contrast.parameters(1, 16) == contrast.parameters(1, 45) == (0.75,)  # that of 32
    assert contrast.parameters(1, 46) == (0.4,)  # that of 64
