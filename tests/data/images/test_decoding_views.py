from __future__ import annotations

import io
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter, ImageOps

from modernet.data import UnreadableImage, fit_image
from modernet.data.images.decoding import decode_image, decode_view
from modernet.data.images.views import Box, View, central_view
from modernet.preparation import Interpolation


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


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_view_is_the_same_bytes_as_a_box_of_what_pil_decodes(mode: str, orientation: int) -> None:
    data = photo(60, 90, mode, orientation)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    whole = torch.from_numpy(np.array(upright)).permute(2, 0, 1)
    assert torch.equal(decode_image(data, "a"), whole)
    for box in (Box(0, 0, 60, 60), Box(10, 5, 33, 41)):
        view = View(box, (32, 24))
        pixels, chosen = decode_view(data, "a", lambda h, w, view=view: view)
        assert chosen is view
        assert torch.equal(pixels, view.show(whole))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_that_is_decoded_smaller_gives_nearly_the_same_pixels(
    mode: str, interpolation: Interpolation, orientation: int
) -> None:
    data = photo(411, 333, mode, orientation)
    view = View(Box(20, 21, 300, 281), (32, 30), flipped=True)
    whole = view.show(decode_image(data, "a"), interpolation).float()
    pixels = decode_view(data, "a", lambda h, w: view, interpolation)[0].float()
    assert 0 < (pixels - whole).abs().mean() < 1
    shifted = View(view.box._replace(left=view.box.left + 4), view.size, flipped=True)
    near = shifted.show(decode_image(data, "a"), interpolation).float()
    assert (near - whole).abs().mean() > 2, "a shift by half a pixel of the view would not be seen"


@pytest.mark.parametrize(("side", "smaller"), [(255, False), (256, True)])
def test_only_what_is_much_too_large_is_decoded_smaller(side: int, smaller: bool) -> None:
    data = photo(300, 300)
    for size in ((64, 64), (64, 20), (20, 64)):
        view = View(Box(0, 0, side, side), size)
        whole = view.show(decode_image(data, "a"))
        assert torch.equal(decode_view(data, "a", lambda h, w, view=view: view)[0], whole) != smaller


def test_the_view_is_chosen_by_the_size_of_the_upright_image() -> None:
    seen: list[tuple[int, int]] = []

    def choose(h: int, w: int) -> View:
        seen.append((h, w))
        return central_view(h, w, (8, 8))

    for orientation in (1, 3, 6, 8):
        decode_view(photo(20, 30, orientation=orientation), "a", choose)
    assert seen == [(20, 30), (20, 30), (30, 20), (30, 20)]


@pytest.mark.parametrize("size", [16, 200], ids=["smaller", "whole"])
def test_a_truncated_photo_is_unreadable_at_any_size(size: int) -> None:
    with pytest.raises(UnreadableImage, match=r"^cannot read the image a.jpg: .*truncated"):
        decode_view(photo(300, 300)[:-200], "a.jpg", partial(central_view, size=(size, size)))


def test_images_without_loss_are_never_decoded_smaller() -> None:
    data = photo(200, 200, image_format="PNG")
    expected = fit_image(decode_image(data, "a"), 16)
    assert torch.equal(decode_view(data, "a", partial(central_view, size=(16, 16)))[0], expected)


def test_a_jpeg_is_decoded_smaller_also_beyond_its_border() -> None:
    data = photo(400, 300)
    view = View(Box(-100, 0, 800, 800), (64, 64))
    whole = view.show(decode_image(data, "a")).float()
    pixels = decode_view(data, "a", lambda h, w: view)[0].float()
    assert 0 < (pixels - whole).abs().mean() < 1
    assert (pixels[:, :7] == 128).all()
    assert (pixels[:, :, 25:] == 128).all()
