from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modernet.data.images import rle
from modernet.data.images.rle import Polygons, RleMaps, decode_window, encode
from modernet.errors import InputError

SQUARE = [2.0, 2, 6, 2, 6, 6, 2, 6]


def runs_of(mask: torch.Tensor) -> list[int]:
    """Count the runs of a mask one pixel after another."""
    runs, value = [0], False
    for pixel in mask.T.flatten().tolist():
        if pixel != value:
            runs.append(0)
            value = pixel
        runs[-1] += 1
    return runs


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 90), st.sampled_from([0.0, 0.02, 0.5, 1.0]))
@settings(max_examples=60, deadline=None)
def test_masks_come_back_from_runs_in_every_form(seed: int, h: int, w: int, share: float) -> None:
    mask = torch.from_numpy(np.random.default_rng(seed).random((h, w)) < share)
    compressed = rle.encode(mask)
    assert torch.equal(rle.decode(compressed), mask)
    for counts in (compressed["counts"], compressed["counts"].decode(), runs_of(mask)):
        assert rle.parse_rle({"size": [h, w], "counts": counts}) == compressed
    assert rle.area(compressed) == int(mask.sum())


def test_a_long_run_takes_several_groups() -> None:
    mask = torch.zeros(2000, 3000).bool()
    mask[1500:, 2999] = True
    assert rle.parse_rle({"size": [2000, 3000], "counts": rle.encode(mask)["counts"]}) == rle.encode(mask)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({"size": [5, 4], "counts": [6, 2, 3, 2, 2]}, r"runs of 15 pixels in all, and a size of 5 x 4 = 20"),
        ({"size": [5, 4], "counts": [6, 2, 3, 2, 10**30]}, "runs of 1"),
        ({"size": [5, 5], "counts": "62304"}, r"runs of 20 pixels in all, and a size of 5 x 5 = 25"),
        ({"size": [5, 4], "counts": [30, -10]}, "damaged"),
        ({"size": [5, 4], "counts": b"abc~~~"}, "damaged"),
        ({"size": [5, 4], "counts": "6230o"}, "damaged"),
        ({"size": [5, 4], "counts": "o" * 30 + "0"}, "damaged"),
        ({"size": [5, 4], "counts": "62é04"}, "damaged"),
        ({"size": [5, 4], "counts": ""}, "damaged"),
        ({"size": [5, 4], "counts": [1.5, 18.5]}, "no counts"),
        ({"size": [5, 4]}, "no counts"),
        ({"size": [5], "counts": "62304"}, r"the size \[5\]"),
        ({"counts": "62304"}, "the size None"),
    ],
)
def test_damaged_runs_are_refused(stored: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        rle.parse_rle(stored)


def test_a_square_has_cocos_pixels() -> None:
    mask = rle.decode(rle.from_polygons([SQUARE], (10, 12)))
    assert mask.shape == (10, 12)
    assert mask.nonzero().min(0).values.tolist() == [2, 2]
    assert int(mask.sum()) == 16  # not the 25 of cv2.fillPoly, which fills the far edges too
    assert rle.box_xyxy(rle.encode(mask)) == (2, 2, 6, 6)


def test_overlapping_parts_are_one_object() -> None:
    moved = [value + 2 for value in SQUARE]
    mask = rle.decode(rle.from_polygons([SQUARE, moved], (10, 12)))
    assert mask[5, 5]
    assert int(mask.sum()) == 16 + 16 - 4


def test_corners_far_outside_need_no_memory() -> None:
    mask = rle.decode(rle.from_polygons([[-1e12, -1e12, 1e12, -1e12, 1e12, 1e12, -1e12, 1e12]], (10, 12)))
    assert mask.all()


def test_maps_read_polygons_and_runs_and_survive_pickling() -> None:
    mask = torch.zeros(10, 12).bool()
    mask[1:4, 5:9] = True
    masks = [Polygons([SQUARE, [8, 1, 11, 1, 11, 4]], (10, 12)), rle.encode(mask), Polygons([SQUARE], (7, 12))]
    for maps in (RleMaps(masks), pickle.loads(pickle.dumps(RleMaps(masks)))):
        assert len(maps) == 3
        assert torch.equal(maps.read(0), rle.decode(rle.from_polygons(masks[0].parts, (10, 12))))
        assert torch.equal(maps.read(1), mask)
        assert maps.rle(1) == masks[1]
        assert maps.read(2).shape == (7, 12)
    assert len(RleMaps([])) == 0


def test_masks_that_differ_have_another_identity() -> None:
    parts = [*SQUARE, *SQUARE]
    different = [
        Polygons([parts], (10, 12)),
        Polygons([SQUARE, SQUARE], (10, 12)),
        Polygons([SQUARE], (10, 12)),
        Polygons([SQUARE], (12, 10)),
        rle.from_polygons([SQUARE], (10, 12)),
    ]
    maps, again = RleMaps(different), RleMaps([*different, *different])
    identities = [maps.identity(index) for index in range(5)]
    assert len(set(identities)) == 5
    assert [again.identity(index) for index in range(10)] == 2 * identities


@given(
    h=st.integers(1, 9),
    w=st.integers(1, 9),
    seed=st.integers(0, 10_000),
    share=st.sampled_from([0.0, 0.05, 0.3, 0.9, 1.0]),
)
@settings(deadline=None)
def test_a_window_is_the_smallest_that_holds_the_mask(h: int, w: int, seed: int, share: float) -> None:
    mask = torch.rand(h, w, generator=torch.Generator().manual_seed(seed)) < share
    (top, left, height, width), part = decode_window(encode(mask))
    assert part.shape == (height, width)
    whole = torch.zeros_like(mask)
    whole[top : top + height, left : left + width] = part
    assert torch.equal(whole, mask)
    if mask.any():
        assert all(bool(edge.any()) for edge in (part[0], part[-1], part[:, 0], part[:, -1]))
    else:
        assert (height, width) == (0, 0)
