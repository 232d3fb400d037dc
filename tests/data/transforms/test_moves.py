from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modernet.data.transforms.erasing import erase
from modernet.data.transforms.moves import Moves, draw_moves, resample, shift_and_flip
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


def test_reflections_at_the_border_keep_their_class() -> None:
    semantic = torch.zeros(1, 4, 4, dtype=torch.uint8)
    semantic[:, 1] = 1
    down = Moves((4, 4), np.array([2]), np.array([0]), np.array([False]))
    assert down.map_semantic(semantic)[0, :, 0].tolist() == [0, 1, 0, 1]


def test_images_need_not_be_square() -> None:
    everything = Augmentation(flip=0.5, shift=0.2, crop_scale=0.3, erasing=1.0, cutout=0.3)
    images = random_images(40, 8, 20)
    moves = draw_moves(40, (8, 20), everything, rng())
    assert abs(moves.down).max() == 2
    assert abs(moves.right).max() == 4
    moved = moves.apply(images)
    assert moved.shape == images.shape
    assert erase(moved, everything, rng()).shape == images.shape
