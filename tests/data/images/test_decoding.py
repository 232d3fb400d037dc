from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import PIL
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from modernet.data import UnreadableImage, read_image
from modernet.data.images.decoding import grey_bits, stored_format, stored_size
from modernet.errors import InputError


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


def one_colour(image: torch.Tensor) -> list[int]:
    colours = image.flatten(1).unique(dim=1)
    assert colours.shape == (3, 1), "more than one colour"
    return colours[:, 0].tolist()


def test_an_image_is_read_pixel_by_pixel(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    image = read_image(saved(Image.fromarray(pixels), tmp_path / "a.png"))
    assert image.dtype == torch.uint8
    assert torch.equal(image, torch.from_numpy(pixels).permute(2, 0, 1))


@pytest.mark.parametrize(
    ("mode", "colour", "suffix", "rgb"),
    [
        ("L", 70, "png", [70, 70, 70]),
        ("1", 1, "png", [255, 255, 255]),
        ("I;16", 70 * 256 + 200, "png", [70, 70, 70]),
        ("RGBA", (10, 20, 30, 255), "png", [10, 20, 30]),
        ("RGBA", (10, 20, 30, 0), "png", [255, 255, 255]),
        ("LA", (40, 0), "png", [255, 255, 255]),
        ("CMYK", (0, 255, 255, 0), "tif", [255, 0, 0]),
        pytest.param(
            "YCbCr",
            (76, 85, 255),
            "tif",
            [254, 0, 0],
            marks=pytest.mark.skipif(PIL.__version__ < "13", reason="earlier releases cannot read what they write"),
        ),
    ],
)
def test_every_kind_of_pixel_becomes_rgb(
    tmp_path: Path, mode: str, colour: object, suffix: str, rgb: list[int]
) -> None:
    path = saved(Image.new(mode, (4, 4), colour), tmp_path / f"a.{suffix}")
    assert one_colour(read_image(path)) == rgb


GREY = [("I;16", np.uint16, "png"), ("I;16", np.uint16, "tif"), ("I;16B", ">u2", "tif"), ("I", np.int32, "tif")]


@pytest.mark.parametrize(("mode", "dtype", "suffix"), GREY)
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_of_deep_grey_the_upper_eight_bits_in_use_are_kept(
    tmp_path: Path, mode: str, dtype: str, suffix: str, bits: int
) -> None:
    levels = np.arange(256).reshape(16, 16)
    stored = (levels << (bits - 8)) + (2 ** (bits - 8) - 1)  # what is below the upper bits does not matter
    path = saved(Image.fromarray(stored.astype(dtype)), tmp_path / f"a.{suffix}")
    with Image.open(path) as image:
        assert image.mode == mode
    assert torch.equal(read_image(path), torch.from_numpy(levels).expand(3, -1, -1))
    assert grey_bits(path.read_bytes(), str(path)) == bits


def test_a_dark_image_of_a_known_range_stays_dark(tmp_path: Path) -> None:
    path = tmp_path / "a.pgm"
    path.write_bytes(b"P5 2 1 65535\n" + np.array([300, 4000], dtype=">u2").tobytes())
    assert read_image(path)[0].tolist() == [[1, 15]]
    assert grey_bits(saved(Image.new("L", (2, 2), 9), tmp_path / "b.png").read_bytes(), "b.png") is None


@pytest.mark.parametrize(("low", "high"), [(-1000, 3000), (0, 70_000), (0, 2**31 - 1)])
def test_integers_of_an_unknown_range_are_refused(tmp_path: Path, low: int, high: int) -> None:
    path = saved(Image.fromarray(np.array([[low, high]], dtype=np.int32)), tmp_path / "a.tif")
    with pytest.raises(UnreadableImage, match=rf"its pixels are integers from {low} to {high}, and their range is unk"):
        read_image(path)


def test_an_image_that_pil_would_warn_of_or_refuse_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(Image.new("RGB", (40, 30), "red"), tmp_path / "a.png")
    for limit in (700, 100):  # PIL warns, and refuses twice as many
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        assert one_colour(read_image(path)) == [255, 0, 0]
        assert limit == Image.MAX_IMAGE_PIXELS, "PIL's limit, which other code may rely on, was changed"


def test_a_larger_image_than_allowed_is_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(Image.new("L", (2000, 1100)), tmp_path / "a.png")
    monkeypatch.setenv("MODERNET_MAX_MEGAPIXELS", "2.1")
    with pytest.raises(UnreadableImage, match=r"1100 x 2000 pixels.* 2.1 megapixels.*set MODERNET_MAX_MEGAPIXELS=3$"):
        read_image(path)
    monkeypatch.setenv("MODERNET_MAX_MEGAPIXELS", "3")
    assert read_image(path).shape == (3, 1100, 2000)
    monkeypatch.setenv("MODERNET_MAX_MEGAPIXELS", "many")
    with pytest.raises(InputError, match=r"MODERNET_MAX_MEGAPIXELS is 'many'; give the size of the largest image"):
        read_image(path)


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    path = saved(Image.new("L", (9, 9)), tmp_path / "a.bmp")
    content = bytearray(path.read_bytes())
    content[18:26] = (30_000).to_bytes(4, "little") * 2  # width and height
    path.write_bytes(content)
    with pytest.raises(UnreadableImage, match=r"MODERNET_MAX_MEGAPIXELS=900"):
        read_image(path)


def test_a_palette_is_looked_up_and_its_transparent_entry_is_white(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([1, 2, 3, 4, 5, 6])
    image.putpixel((1, 0), 1)
    plain = read_image(saved(image, tmp_path / "plain.png"))
    assert plain[:, 0].T.tolist() == [[1, 2, 3], [4, 5, 6]]
    clear = read_image(saved(image, tmp_path / "clear.png", transparency=1))
    assert clear[:, 0].T.tolist() == [[1, 2, 3], [255, 255, 255]]


def test_the_first_frame_of_an_animation_is_taken(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("black", "white")]
    path = saved(frames[0], tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert one_colour(read_image(path)) == [0, 0, 0]


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_an_image_is_turned_as_its_exif_orientation_says(tmp_path: Path, suffix: str) -> None:
    image = Image.new("RGB", (16, 8), "black")
    image.paste("white", (0, 0, 8, 8))  # the left half
    exif = Image.Exif()
    exif[0x0112] = 6  # to be seen turned by 90 degrees clockwise
    upright = read_image(saved(image, tmp_path / f"a.{suffix}", exif=exif))
    assert upright.shape == (3, 16, 8)
    assert upright[:, :7].min() > 240
    assert upright[:, 9:].max() < 15


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "bmp"])
def test_a_truncated_image_is_unreadable(tmp_path: Path, suffix: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = saved(Image.fromarray(pixels), tmp_path / f"a.{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UnreadableImage, match=rf"cannot read the image {path}: .*truncated"):
        read_image(path)


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "the file is empty"), (b"a letter to a friend", "it is not an image")]
)
def test_what_is_no_image_is_named_with_its_path(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(UnreadableImage, match=rf"{path}: {reason}"):
        read_image(path)


def test_a_missing_image_is_named_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match=rf"{tmp_path}/no.jpg: No such file"):
        read_image(tmp_path / "no.jpg")


def test_floating_point_pixels_are_refused_since_their_range_is_unknown(tmp_path: Path) -> None:
    path = saved(Image.new("F", (4, 4), 0.5), tmp_path / "a.tif")
    with pytest.raises(UnreadableImage, match=r"floating-point numbers; save it with 8 or 16 bits a channel"):
        read_image(path)


@given(position=st.integers(0, 400), value=st.integers(0, 255))
@settings(max_examples=60, deadline=None)
def test_a_damaged_byte_is_survived_or_reported_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int
) -> None:
    path = saved(Image.new("RGB", (9, 9), "red"), tmp_path_factory.mktemp("damage") / "a.png")
    content = bytearray(path.read_bytes())
    content[position % len(content)] = value
    path.write_bytes(content)
    message = ""
    try:
        read_image(path)
    except UnreadableImage as error:
        message = str(error)
    assert "\n" not in message


def test_an_unreadable_image_survives_the_way_out_of_a_worker() -> None:
    error = pickle.loads(pickle.dumps(UnreadableImage("a.jpg", "it is torn")))
    assert isinstance(error, UnreadableImage)
    assert (error.name, error.reason, str(error)) == (
        "a.jpg",
        "it is torn",
        "cannot read the image a.jpg: it is torn",
    )


def test_the_size_comes_from_the_header_of_even_a_truncated_image(tmp_path: Path) -> None:
    path = saved(Image.new("RGB", (30, 20)), tmp_path / "a.bmp")
    path.write_bytes(path.read_bytes()[:100])
    assert stored_size(path.read_bytes(), str(path)) == (20, 30)
    with pytest.raises(UnreadableImage, match=r"b\.png: it is not an image"):
        stored_size(b"no", "b.png")


def test_the_format_comes_from_the_content_whatever_the_suffix(tmp_path: Path) -> None:
    path = saved(Image.new("RGB", (30, 20)), tmp_path / "a.bmp").rename(tmp_path / "a.jpg")
    assert stored_format(path.read_bytes()[:100], str(path)) == "BMP"
    with pytest.raises(UnreadableImage, match=r"b\.png: it is not an image"):
        stored_format(b"no", "b.png")
