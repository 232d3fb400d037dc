from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modernet.data import fit_image
from modernet.data.images.rle import decode_window, encode
from modernet.data.images.views import IGNORE, Box, View, central_view, cut


def one_colour(image: torch.Tensor) -> list[int]:
    colours = image.flatten(1).unique(dim=1)
    assert colours.shape == (3, 1), "more than one colour"
    return colours[:, 0].tolist()


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


@given(h=st.integers(1, 40), w=st.integers(1, 40), size=st.tuples(st.integers(2, 40), st.integers(2, 40)))
@settings(deadline=None)
def test_fitting_gives_the_size_asked_for_for_any_shape(h: int, w: int, size: tuple[int, int]) -> None:
    fitted = fit_image(torch.full((3, h, w), 7, dtype=torch.uint8), size)
    assert fitted.shape == (3, *size)
    assert one_colour(fitted) == [7, 7, 7]


def test_scaling_a_part_equals_scaling_a_copy_of_it() -> None:
    image = torch.randint(0, 256, (3, 30, 40), dtype=torch.uint8)
    box = Box(3, 5, 20, 24)
    for layout in (image, image.permute(1, 2, 0).contiguous().permute(2, 0, 1)):
        expected = torch.nn.functional.interpolate(
            image[None, :, 3:23, 5:29], size=(9, 9), mode="bilinear", antialias=True
        )
        assert torch.equal(cut(layout, box, (9, 9)), expected[0])


@given(h=st.integers(1, 60), w=st.integers(1, 60), size=st.tuples(st.integers(2, 40), st.integers(2, 40)))
def test_the_centre_is_the_largest_box_of_the_views_shape(h: int, w: int, size: tuple[int, int]) -> None:
    box = central_view(h, w, size).box
    assert box.height == h or box.width == w
    assert 0 <= box.top <= h - box.height
    assert 0 <= box.left <= w - box.width
    assert abs(box.height - box.width * size[0] / size[1]) <= max(0.5, size[0] / size[1] / 2) + 1e-9 or 1 in box[2:]


views = st.builds(
    View,
    st.builds(Box, st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 20), st.integers(1, 20)),
    st.tuples(st.integers(2, 20), st.integers(2, 20)),
    st.booleans(),
)


def whole_mask(view: View, mask: torch.Tensor) -> torch.Tensor:
    """A mapped mask, in the whole view."""
    window, part = view.map_mask(*decode_window(encode(mask)))
    top, left, height, width = window
    assert part.shape == (height, width)
    whole = torch.zeros(view.size, dtype=torch.bool)
    whole[top : top + height, left : left + width] = part
    rim = whole.clone()
    rim[top + (top > 0) : top + height - (top + height < view.size[0])] = False
    assert not rim.any(), "a margin above and below"
    return whole


@given(view=views)
@settings(deadline=None)
def test_a_view_pads_beyond_the_border_with_grey(view: View) -> None:
    h, w = 10, 12
    pixels = view.show(torch.full((3, h, w), 7, dtype=torch.uint8))
    assert pixels.shape == (3, *view.size)
    assert set(pixels.unique().tolist()) <= {7, 128}
    known = whole_mask(view, torch.ones(h, w, dtype=torch.bool))
    # both round the border to a pixel of the result
    assert ((pixels[0] == 7) != known).sum() <= sum(view.size) * 2


@given(view=views)
@settings(deadline=None)
def test_an_unscaled_view_shows_the_pixels_of_its_box(view: View) -> None:
    view = View(view.box, view.box[2:], view.flipped)
    image = torch.arange(3 * 10 * 12).to(torch.uint8).view(3, 10, 12)
    padded = torch.full((3, 60, 60), 128, dtype=torch.uint8)
    padded[:, 20:30, 20:32] = image
    expected = padded[:, view.box.top + 20 :, view.box.left + 20 :][:, : view.size[0], : view.size[1]]
    expected = expected.flip(-1) if view.flipped else expected
    assert torch.equal(view.show(image), expected)
    semantic = view.map_semantic(image)
    outside = whole_mask(view, torch.ones(10, 12, dtype=torch.bool)).logical_not()
    assert torch.equal(semantic.masked_fill(outside, 128), expected)
    assert set(semantic[:, outside].unique().tolist()) <= {IGNORE}


@given(view=views, corners=st.lists(st.integers(0, 10), min_size=4, max_size=4))
@settings(deadline=None)
def test_boxes_masks_and_semantic_maps_move_together(view: View, corners: list[int]) -> None:
    """The box of a mapped mask is the mapped box of the mask, up to the pixels that the map rounds to."""
    (y0, y1), (x0, x1) = sorted(corners[:2]), sorted(corners[2:])
    mask = torch.zeros(11, 11, dtype=torch.bool)
    mask[y0 : y1 + 1, x0 : x1 + 1] = True
    mapped = whole_mask(view, mask)
    semantic = view.map_semantic(mask.to(torch.uint8))
    assert torch.equal(semantic == 1, mapped)
    left, top, right, bottom = view.map_boxes(torch.tensor([[x0, y0, x1 + 1, y1 + 1]], dtype=torch.float32))[0].tolist()
    rows = torch.arange(view.size[0]) + 0.5
    columns = torch.arange(view.size[1]) + 0.5
    near = 1e-3
    certain = (
        ((rows > top + near) & (rows < bottom - near))[:, None] & (columns > left + near) & (columns < right - near)
    )
    possible = (
        ((rows > top - near) & (rows < bottom + near))[:, None] & (columns > left - near) & (columns < right + near)
    )
    assert not (certain & ~mapped).any()
    assert not (mapped & ~possible).any()


def test_pixels_and_targets_of_a_scaled_view_agree() -> None:
    """A bright rectangle stays under its box, mask and map, in a smaller view and in a larger one."""
    image = torch.zeros(3, 64, 80, dtype=torch.uint8)
    image[:, 16:40, 24:56] = 200
    mask = image[0] > 0
    box = torch.tensor([[24.0, 16.0, 56.0, 40.0]])
    for size in ((32, 32), (96, 120)):
        for flipped in (False, True):
            view = View(Box(8, 8, 48, 60), size, flipped)
            bright = view.show(image)[0] > 100
            assert (bright != whole_mask(view, mask)).sum() <= 2 * sum(size) * 0.1
            left, top, right, bottom = view.map_boxes(box)[0].round().int().tolist()
            rows, columns = bright.any(1).nonzero()[:, 0], bright.any(0).nonzero()[:, 0]
            found = [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]
            assert max(abs(a - b) for a, b in zip(found, [left, top, right, bottom], strict=True)) <= 1


def test_opencv_samples_four_pixels_however_much_an_image_shrinks() -> None:
    row = torch.tensor([0, 10, 20, 200, 0, 30, 100, 0], dtype=torch.uint8)
    image = row.expand(3, 4, 8).contiguous()
    view = View(Box(0, 0, 4, 8), (1, 2))
    assert view.show(image, "opencv").tolist() == [[[15, 65]]] * 3  # halfway between pixels 1 and 2, and 5 and 6
    assert view.show(image, "bilinear").tolist() != view.show(image, "opencv").tolist()
    larger = View(Box(0, 0, 4, 8), (4, 16)).show(image, "opencv")[0, 0].tolist()
    assert larger[:4] == [0, 2, 8, 12]
