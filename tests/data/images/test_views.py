from __future__ import annotations

import io
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter, ImageOps

from modernet.data import UnreadableImage, fit_image
from modernet.data.images.decode import DecodedImages, decode_image, decode_square
from modernet.data.images.views import Box, Interpolation, central_box, cut


def one_colour(image: torch.Tensor) -> list[int]:
    colours = image.flatten(1).unique(dim=1)
    assert colours.shape == (3, 1), "more than one colour"
    return colours[:, 0].tolist()


def photo(h: int, w: int, mode: str = "RGB", orientation: int = 1, image_format: str = "JPEG") -> bytes:
    """Soft shapes with sharp edges, as a file."""
    noise = np.random.default_rng(0).integers(0, 256, (h // 16 + 1, w // 16 + 1, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((w, h), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(3))
    image.paste("white", (w // 3, h // 3, w // 2, h // 2))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    image.convert(mode).save(stream, image_format, exif=exif)
    return stream.getvalue()


def test_fitting_a_square_of_the_right_size_changes_nothing() -> None:
    image = torch.randint(0, 256, (3, 6, 6), dtype=torch.uint8)
    assert torch.equal(fit_image(image, 6), image)


@pytest.mark.parametrize("turned", [False, True])
def test_fitting_keeps_the_centre(turned: bool) -> None:
    image = torch.zeros(3, 8, 20, dtype=torch.uint8)
    image[:, :, 6:14] = 200
    image = image.mT if turned else image
    assert one_colour(fit_image(image, 4)) == [200, 200, 200]


def test_fitting_smooths_when_it_shrinks() -> None:
    stripes = torch.zeros(3, 64, 64, dtype=torch.uint8)
    stripes[:, :, ::2] = 200
    middle = fit_image(stripes, 8)[:, :, 1:-1].float()
    assert (middle - 100).abs().max() < 20  # without antialiasing it is 0 or 200


@given(h=st.integers(1, 40), w=st.integers(1, 40), size=st.integers(2, 40))
@settings(deadline=None)
def test_fitting_gives_a_square_of_bytes_for_any_shape(h: int, w: int, size: int) -> None:
    fitted = fit_image(torch.full((3, h, w), 7, dtype=torch.uint8), size)
    assert fitted.shape == (3, size, size)
    assert one_colour(fitted) == [7, 7, 7]


def test_scaling_a_part_equals_scaling_a_copy_of_it() -> None:
    image = torch.randint(0, 256, (3, 30, 40), dtype=torch.uint8)
    box = Box(3, 5, 20, 24)
    for layout in (image, image.permute(1, 2, 0).contiguous().permute(2, 0, 1)):
        expected = torch.nn.functional.interpolate(
            image[None, :, 3:23, 5:29], size=(9, 9), mode="bilinear", antialias=True
        )
        assert torch.equal(cut(layout, box, 9), expected[0])


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_square_is_the_same_bytes_as_a_part_of_what_pil_decodes(mode: str, orientation: int) -> None:
    data = photo(60, 90, mode, orientation)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    whole = torch.from_numpy(np.array(upright)).permute(2, 0, 1)
    assert torch.equal(decode_image(data, "a"), whole)
    for box in (Box(0, 0, 60, 60), Box(10, 5, 33, 41)):
        assert torch.equal(decode_square(data, "a", lambda h, w, box=box: box, 32), cut(whole, box, 32))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_that_is_decoded_smaller_gives_nearly_the_same_square(
    mode: str, interpolation: Interpolation, orientation: int
) -> None:
    data = photo(411, 333, mode, orientation)
    box = Box(20, 21, 300, 281)
    whole = cut(decode_image(data, "a"), box, 32, interpolation).float()
    square = decode_square(data, "a", lambda h, w: box, 32, interpolation).float()
    assert 0 < (square - whole).abs().mean() < 1
    beside = cut(decode_image(data, "a"), box._replace(left=box.left + 4), 32, interpolation).float()
    assert (beside - whole).abs().mean() > 2, "a shift by half a pixel of the square would not be seen"


@pytest.mark.parametrize(("side", "smaller"), [(255, False), (256, True)])
def test_only_what_is_much_too_large_is_decoded_smaller(side: int, smaller: bool) -> None:
    data = photo(300, 300)
    choose = lambda h, w: Box(0, 0, side, side)  # noqa: E731
    whole = cut(decode_image(data, "a"), choose(300, 300), 64)
    assert torch.equal(decode_square(data, "a", choose, 64), whole) != smaller


def test_the_box_is_chosen_by_the_size_of_the_upright_image() -> None:
    seen: list[tuple[int, int]] = []

    def choose(h: int, w: int) -> Box:
        seen.append((h, w))
        return central_box(h, w)

    for orientation in (1, 3, 6, 8):
        decode_square(photo(20, 30, orientation=orientation), "a", choose, 8)
    assert seen == [(20, 30), (20, 30), (30, 20), (30, 20)]


@pytest.mark.parametrize("size", [16, 200], ids=["smaller", "whole"])
def test_a_truncated_photo_is_unreadable_at_any_size(size: int) -> None:
    with pytest.raises(UnreadableImage, match=r"^cannot read the image a.jpg: .*truncated"):
        decode_square(photo(300, 300)[:-200], "a.jpg", central_box, size)


def test_images_without_loss_are_never_decoded_smaller() -> None:
    data = photo(200, 200, image_format="PNG")
    expected = fit_image(decode_image(data, "a"), 16)
    assert torch.equal(decode_square(data, "a", central_box, 16), expected)


def test_a_square_of_decoded_images_is_cut_from_them(tmp_path: Path) -> None:
    pixels = torch.randint(0, 256, (2, 3, 10, 14), dtype=torch.uint8)
    choose = partial(central_box, crop=0.8)
    square = DecodedImages(pixels, "file").read_square(1, choose, 6, "bicubic")
    assert torch.equal(square, fit_image(pixels[1], 6, crop=0.8, interpolation="bicubic"))
