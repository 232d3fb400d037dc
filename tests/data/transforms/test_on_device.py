from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import stats
from timm.data.random_erasing import RandomErasing
from timm.data.transforms import RandomResizedCropAndInterpolation

from modernet.data.chance import seeded
from modernet.data.transforms.erasing import erase, erasing_rectangles, inside
from modernet.data.transforms.moves import Moves, draw_moves, resample, shift_and_flip
from modernet.data.transforms.random_crops import random_box, random_crops
from modernet.recipes import Augmentation

OFF = Augmentation(flip=0.0)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def move(images: torch.Tensor, augmentation: Augmentation, generator: np.random.Generator) -> torch.Tensor:
    moves = draw_moves(len(images), images.shape[-2:], augmentation, generator)
    return images if moves is None else moves.apply(images)


def random_images(b: int, h: int, w: int | None = None) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (b, 3, h, h if w is None else w), dtype=torch.uint8, generator=generator)


def shifted_and_flipped(image: np.ndarray, down: int, right: int, flipped: bool) -> np.ndarray:
    """The definition, for one image."""
    _, h, w = image.shape
    padded = np.pad(image, ((0, 0), (h - 1, h - 1), (w - 1, w - 1)), mode="reflect")
    moved = padded[:, h - 1 - down : 2 * h - 1 - down, w - 1 - right : 2 * w - 1 - right]
    return moved[:, :, ::-1] if flipped else moved


@given(h=st.integers(2, 9), w=st.integers(2, 9), data=st.data())
@settings(deadline=None)
def test_shift_and_flip_follow_their_definition(h: int, w: int, data: st.DataObject) -> None:
    b = 3
    down = data.draw(st.lists(st.integers(1 - h, h - 1), min_size=b, max_size=b))
    right = data.draw(st.lists(st.integers(1 - w, w - 1), min_size=b, max_size=b))
    flipped = data.draw(st.lists(st.booleans(), min_size=b, max_size=b))
    images = random_images(b, h, w)
    result = shift_and_flip(images, np.array(down), np.array(right), np.array(flipped))
    for i in range(b):
        expected = shifted_and_flipped(images[i].numpy(), down[i], right[i], flipped[i])
        np.testing.assert_array_equal(result[i].numpy(), expected)


def bilinear(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The definition of a resampled box, pixel by pixel; pixel i covers i to i + 1, and the border goes on for ever."""
    c, h, w = image.shape
    top, left, height, width = box * (h, w, h, w)
    result = np.zeros((c, h, w))
    for i in range(h):
        for j in range(w):
            y = np.clip(top + height * (i + 0.5) / h - 0.5, 0, h - 1)
            x = np.clip(left + width * (j + 0.5) / w - 0.5, 0, w - 1)
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, h - 1), min(x0 + 1, w - 1)
            upper = image[:, y0, x0] * (1 - (x - x0)) + image[:, y0, x1] * (x - x0)
            lower = image[:, y1, x0] * (1 - (x - x0)) + image[:, y1, x1] * (x - x0)
            result[:, i, j] = upper * (1 - (y - y0)) + lower * (y - y0)
    return result


def test_a_crop_follows_its_definition() -> None:
    images = random_images(4, 7)
    boxes = np.array([[0, 0, 1, 1], [0.25, 0.1, 0.5, 0.6], [0, 0.5, 0.3, 0.5], [0.6, 0.6, 0.4, 0.4]])
    result = resample(images, boxes)
    for i in range(4):
        np.testing.assert_allclose(result[i].numpy(), bilinear(images[i].numpy(), boxes[i]), atol=1e-3)
    torch.testing.assert_close(result[0], images[0].float(), atol=1e-3, rtol=0)


def test_a_cubic_crop_stays_among_colours() -> None:
    images = (random_images(1, 8) > 127) * torch.tensor(255, dtype=torch.uint8)
    box = np.array([[0.1, 0.1, 0.5, 0.5]])
    cubic, linear = resample(images, box, "bicubic"), resample(images, box)
    assert cubic.min() == 0
    assert cubic.max() == 255
    assert 1 < (cubic - linear).abs().max() < 80


@given(seed=st.integers(0, 1000), low=st.floats(0.02, 0.9))
@settings(deadline=None)
def test_crops_lie_inside_with_the_area_and_ratio_asked_for(seed: int, low: float) -> None:
    top, left, height, width = random_crops(50, low, rng(seed)).T
    assert min(top.min(), left.min()) >= 0
    assert max((top + height).max(), (left + width).max()) <= 1 + 1e-12
    whole = (height < 1) & (width < 1)  # the others may have been cut to fit
    area, ratio = height * width, width / height
    assert (area[whole] >= low - 1e-9).all()
    assert ((ratio[whole] >= 3 / 4 - 1e-9) & (ratio[whole] <= 4 / 3 + 1e-9)).all()


@given(seed=st.integers(0, 1000), h=st.integers(1, 60), w=st.integers(1, 60), low=st.floats(0.05, 0.99))
def test_a_box_lies_inside_its_image(seed: int, h: int, w: int, low: float) -> None:
    box = random_box(h, w, low, rng(seed))
    assert min(box.top, box.left) >= 0
    assert min(box.height, box.width) >= 1
    assert box.top + box.height <= h
    assert box.left + box.width <= w


def alike(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Columns of the same distributions: none of the tests of Kolmogorov and Smirnov sees a difference."""
    for one, other in zip(ours.T, theirs.T, strict=True):
        assert stats.ks_2samp(one, other).pvalue > 1e-3


@pytest.mark.parametrize(("h", "w"), [(60, 80), (30, 100), (90, 40)])
def test_boxes_have_the_distribution_of_timms_random_resized_crop(h: int, w: int) -> None:
    image, generator = Image.new("L", (w, h)), rng(1)
    ours = np.array([random_box(h, w, 0.08, generator) for _ in range(2000)])
    with seeded(1):
        draw = RandomResizedCropAndInterpolation.get_params
        theirs = np.array([draw(image, (0.08, 1.0), (3 / 4, 4 / 3)) for _ in range(2000)])
    alike(ours, theirs)


def test_the_box_of_a_panorama_is_in_its_centre_as_timms() -> None:
    for h, w in ((10, 400), (400, 10)):
        with seeded(0):
            theirs = RandomResizedCropAndInterpolation.get_params(Image.new("L", (w, h)), (0.9, 1.0), (3 / 4, 4 / 3))
        assert random_box(h, w, 0.9, rng()) == theirs


def test_the_boxes_of_a_wide_view_are_wide() -> None:
    boxes = np.array([random_box(200, 400, 0.1, generator, shape=2.0) for generator in [rng()] for _ in range(500)])
    ratios = boxes[:, 3] / boxes[:, 2] / 2
    assert 0.7 < ratios.min() < 0.8
    assert 1.25 < ratios.max() < 1.4
    assert random_box(400, 10, 0.9, rng(), shape=2.0)[2:] == (7, 10)


def test_erased_rectangles_have_the_distribution_of_timms() -> None:
    side, n = 24, 2000
    ours = erasing_rectangles(n, (side, side + 8), rng(1))
    erasing = RandomErasing(probability=1.0, mode="pixel", device="cpu")
    images = torch.full((n, 1, side, side + 8), 5.0)
    with seeded(1):
        erasing(images)
    rows, columns = (images[:, 0] != 5.0).any(2), (images[:, 0] != 5.0).any(1)
    places = [rows.int().argmax(1), columns.int().argmax(1), rows.sum(1), columns.sum(1)]
    alike(ours, torch.stack(places, 1).numpy())


def test_a_small_smallest_area_crops_more_than_a_large_one() -> None:
    small, large = random_crops(500, 0.2, rng()), random_crops(500, 0.9, rng())
    assert small[:, 2:].mean() < large[:, 2:].mean() - 0.1


@given(top=st.integers(-5, 9), left=st.integers(-5, 9), height=st.integers(0, 12), width=st.integers(0, 12))
def test_inside_is_a_slice_cut_at_the_border(top: int, left: int, height: int, width: int) -> None:
    mask = inside(*(np.array([value]) for value in (top, left, height, width)), (8, 6), torch.device("cpu"))
    expected = torch.zeros(1, 1, 8, 6, dtype=torch.bool)
    expected[:, :, max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)] = True
    assert torch.equal(mask, expected)


def test_what_is_off_is_not_computed() -> None:
    images = random_images(4, 8)
    assert move(images, OFF, rng()) is images
    values = images.float()
    version = values._version
    assert erase(values, OFF, rng()) is values
    assert values._version == version


@pytest.mark.parametrize("flip", [0.0, 0.3, 1.0])
def test_flips_happen_with_their_probability(flip: float) -> None:
    images = random_images(1, 8).expand(2000, -1, -1, -1)
    moved = move(images, Augmentation(flip=flip), rng())
    flipped = (moved == images.flip(-1)).flatten(1).all(1)
    assert torch.equal(~flipped, (moved == images).flatten(1).all(1))
    assert flipped.float().mean().item() == pytest.approx(flip, abs=0.04)


def test_shifts_reach_every_offset_up_to_their_share_of_the_side_equally_often() -> None:
    ramp = torch.arange(16, dtype=torch.uint8).expand(5000, 3, 16, 16)
    moved = move(ramp, Augmentation(flip=0.0, shift=0.125), rng())
    right = 8 - moved[:, 0, 0, 8].int()  # what stands in column 8 came from column 8 - right
    counts = torch.bincount(right + 2, minlength=5)
    assert len(counts) == 5
    assert (counts / 5000 - 0.2).abs().max() < 0.03


def test_a_shift_by_the_whole_side_still_reflects_once() -> None:
    images = random_images(50, 4)
    assert move(images, Augmentation(flip=0.0, shift=1.0), rng()).shape == images.shape


def erased_pixels(images: torch.Tensor, augmentation: Augmentation, seed: int = 0) -> torch.Tensor:
    """Which pixels were replaced; 5 is a value that noise does not take."""
    return (erase(torch.full_like(images, 5.0), augmentation, rng(seed)) != 5.0).any(1)


def test_erasing_replaces_one_rectangle_of_the_right_area_and_shape() -> None:
    masks = erased_pixels(torch.zeros(300, 3, 32, 32), Augmentation(flip=0.0, erasing=1.0))
    for mask in masks:
        rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
        height, width = len(rows), len(columns)
        assert mask.sum() == height * width, "not a rectangle"
        assert rows[-1] - rows[0] + 1 == height, "not one rectangle"
        assert 0.015 < height * width / 32**2 < 0.36  # 2 to 33 %, rounded to pixels
        assert 0.22 < width / height < 4.5


def test_erasing_happens_with_its_probability_and_leaves_noise_of_unit_deviation() -> None:
    images = torch.full((2000, 3, 16, 16), 5.0)
    erased = erase(images.clone(), Augmentation(flip=0.0, erasing=0.25), rng())
    touched = (erased != 5.0).flatten(1).any(1)
    assert touched.float().mean().item() == pytest.approx(0.25, abs=0.03)
    noise = erased[erased != 5.0]
    assert noise.mean().item() == pytest.approx(0, abs=0.02)
    assert noise.std().item() == pytest.approx(1, abs=0.02)


def test_cutout_blanks_a_square_around_any_pixel() -> None:
    masks = erased_pixels(torch.zeros(400, 3, 16, 16), Augmentation(flip=0.0, cutout=0.25))
    blanked = erase(torch.full((400, 3, 16, 16), 5.0), Augmentation(flip=0.0, cutout=0.25), rng())
    assert set(blanked.unique().tolist()) == {0.0, 5.0}
    areas = masks.flatten(1).sum(1)
    assert areas.max() == 4 * 4
    assert areas.min() == 2 * 2  # in a corner, where it hangs over both borders
    assert masks.any(0).all(), "some pixel is never blanked"


def test_augmentations_are_a_function_of_the_generator_alone() -> None:
    everything = Augmentation(flip=0.5, shift=0.2, crop_scale=0.3, erasing=0.5, cutout=0.2)
    images = random_images(8, 12)

    def augmented(seed: int) -> torch.Tensor:
        generator = rng(seed)
        return erase(move(images, everything, generator).float(), everything, generator)

    torch.manual_seed(0)
    one = augmented(3)
    torch.manual_seed(1)
    assert torch.equal(one, augmented(3))
    assert not torch.equal(one, augmented(4))


def test_the_ratio_of_crops_is_symmetric() -> None:
    boxes = random_crops(5000, 0.2, rng())
    boxes = boxes[(boxes[:, 2:] < 1).all(1)]  # the others may have been cut to fit
    assert abs(np.log(boxes[:, 3] / boxes[:, 2]).mean()) < 0.02
    assert np.abs(np.log(boxes[:, 3] / boxes[:, 2])).max() <= math.log(4 / 3) + 1e-9


moves = st.builds(
    lambda seed, crop: draw_moves(6, (9, 12), Augmentation(flip=0.5, shift=0.4, crop_scale=crop), rng(seed)),
    st.integers(0, 1000),
    st.sampled_from([1.0, 0.3]),
)


@given(moves=moves)
@settings(deadline=None)
def test_semantic_maps_move_as_images_do(moves: Moves) -> None:
    """Where the neighbourhood has one colour, interpolated pixels are the nearest ones."""
    semantic = torch.arange(2, dtype=torch.uint8).repeat_interleave(5)[:9, None].expand(6, 9, 12).contiguous()
    semantic[:, :, 7:] += 2
    images = (semantic * 50)[:, None].expand(6, 3, 9, 12)
    moved = moves.apply(images)[:, 0]
    mapped = moves.map_semantic(semantic)
    assert mapped.dtype == torch.uint8
    sure = (moved % 50).abs() < 1e-3 if moves.crops is None else torch.isclose(moved, moved.round()) & (moved % 50 == 0)
    assert sure.any()
    assert torch.equal(mapped[sure], (moved[sure] / 50).to(torch.uint8))


@given(moves=moves, y=st.integers(0, 5), x=st.integers(0, 8))
@settings(deadline=None)
def test_boxes_and_masks_move_together(moves: Moves, y: int, x: int) -> None:
    masks = torch.zeros(6, 9, 12, dtype=torch.bool)
    masks[:, y : y + 3, x : x + 4] = True
    moved = moves.map_mask(masks)
    boxes = moves.map_boxes(torch.tensor([[x, y, x + 4, y + 3]] * 6, dtype=torch.float32))
    near = 1e-3
    rows, columns = torch.arange(9) + 0.5, torch.arange(12) + 0.5
    for mask, (left, top, right, bottom) in zip(moved, boxes.tolist(), strict=True):
        expected = (
            ((rows > top - near) & (rows < bottom + near))[:, None] & (columns > left - near) & (columns < right + near)
        )
        certain = (
            ((rows > top + near) & (rows < bottom - near))[:, None] & (columns > left + near) & (columns < right - near)
        )
        assert not (mask & ~expected).any()
        assert not (certain & ~mask).any()


def test_reflections_at_the_border_keep_their_class_but_belong_to_no_instance() -> None:
    semantic = torch.zeros(1, 4, 4, dtype=torch.uint8)
    semantic[:, 1] = 1
    down = Moves((4, 4), np.array([2]), np.array([0]), np.array([False]))
    assert down.map_semantic(semantic)[0, :, 0].tolist() == [0, 1, 0, 1]
    assert down.map_mask(semantic == 1)[0, :, 0].tolist() == [False, False, False, True]
    assert down.map_boxes(torch.tensor([[0.0, 1.0, 4.0, 2.0]])).tolist() == [[0, 3, 4, 4]]


def test_moves_are_taken_by_image() -> None:
    everything = draw_moves(5, (8, 8), Augmentation(flip=0.5, shift=0.3, crop_scale=0.5), rng())
    images = random_images(5, 8)
    order = np.array([3, 0, 3])
    assert torch.equal(everything.take(order).apply(images[order]), everything.apply(images)[order])


def test_images_need_not_be_square() -> None:
    everything = Augmentation(flip=0.5, shift=0.2, crop_scale=0.3, erasing=1.0, cutout=0.3)
    images = random_images(40, 8, 20)
    moves = draw_moves(40, (8, 20), everything, rng())
    assert abs(moves.down).max() == 2
    assert abs(moves.right).max() == 4
    moved = moves.apply(images)
    assert moved.shape == images.shape
    assert erase(moved, everything, rng()).shape == images.shape
