from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from found_objects import truth
from modernet.data.targets import BoxTargets
from modernet.detection.detections import Detections
from modernet.detection.drawing import draw, draw_miss, save
from modernet.detection.pairing import pair
from modernet.palette import palette

CLASSES = ("cat", "a dog")
CAT, DOG = (torch.from_numpy(colour.copy()) for colour in palette(2))
GREY = 100


def grey(h: int = 120, w: int = 160) -> Tensor:
    return torch.full((3, h, w), GREY, dtype=torch.uint8)


def boxes(*corners: tuple[float, float, float, float]) -> Tensor:
    return torch.tensor(corners).view(-1, 4)


def is_colour(drawn: Tensor, colour: Tensor) -> Tensor:
    """Return where a drawing has a colour, bool (h, w)."""
    return (drawn == colour[:, None, None]).all(0)


def truth_of(boxes_xyxy: Tensor, labels: list[int], crowd: list[bool] | None = None) -> BoxTargets:
    corners = [(left, top, right, bottom) for left, top, right, bottom in boxes_xyxy.tolist()]
    return truth(corners, labels, crowd)


def test_a_box_is_a_line_in_the_colour_of_its_class_and_nothing_else_changes() -> None:
    image = grey()
    drawn = draw(image, boxes((20, 40, 60, 90)), torch.tensor([0]), None, None, CLASSES)
    line = torch.zeros(120, 160, dtype=torch.bool)
    line[40:90, 20:60] = True
    line[41:89, 21:59] = False
    plate = torch.zeros_like(line)
    plate[20:40, 20:50] = True  # of the name, above the box

    assert is_colour(drawn, CAT)[line].all()
    assert (drawn[:, ~line & ~plate] == GREY).all()
    assert is_colour(drawn, CAT)[plate].any()
    assert (image == GREY).all()


def test_lines_and_text_grow_with_the_image() -> None:
    def measured(factor: int) -> tuple[int, int]:
        box = torch.tensor([[20.0, 60, 120, 110]]) * factor
        drawn = is_colour(draw(grey(250 * factor, 250 * factor), box, torch.tensor([1]), None, None, CLASSES), DOG)
        middle = drawn[:, 118 * factor]
        return int(drawn[80 * factor, : 60 * factor].sum()), int(middle[60 * factor :][: 25 * factor].sum())

    assert measured(1) == (1, 1)
    assert measured(4) == (4, 4)

    def height_of_plate(side: int) -> int:
        drawn = draw(grey(side, side), boxes((0, side / 2, side, side)), torch.tensor([0]), None, None, CLASSES)
        return int(is_colour(drawn, CAT)[: side // 2, 0].sum())

    assert height_of_plate(2000) == pytest.approx(2.5 * height_of_plate(800), rel=0.05)


@pytest.mark.parametrize(
    "box", [(0, 0, 9, 9), (150, 0, 160, 8), (155, 112, 160, 120), (-40, -9, 300, 200), (70, 5, 70, 5)]
)
@pytest.mark.parametrize("name", ["cat", "a name that is far too long for an image of this size"])
def test_the_text_is_inside_the_image(box: tuple[float, float, float, float], name: str) -> None:
    def drawn(corners: tuple[float, float, float, float]) -> Tensor:
        return draw(grey(), boxes(corners), torch.tensor([0]), torch.tensor([0.875]), None, (name,))

    reference = drawn((0, 60, 160, 100))
    height, width = int((reference[0, :60, 0] != GREY).sum()), int((reference[0, 59] != GREY).sum())
    plate = reference[:, 60 - height : 60, :width]
    assert (height, width <= 160) == (14, True)
    places = drawn(box).unfold(1, height, 1).unfold(2, width, 1) == plate[:, None, None]
    assert places.all(0).flatten(2).all(2).sum() == 1


def test_of_objects_that_overlap_the_first_is_on_top() -> None:
    masks = torch.zeros(2, 120, 160, dtype=torch.bool)
    masks[0, 50:80, 30:60] = True
    masks[1, 50:80, 50:90] = True
    asked: list[int] = []

    def one_by_one() -> Iterator[Tensor]:
        for index in range(2):
            asked.append(index)
            yield masks[index]

    corners = boxes((30, 50, 60, 80), (50, 50, 90, 80))
    drawn = draw(grey(), corners, torch.tensor([0, 1]), torch.tensor([0.9, 0.6]), one_by_one(), CLASSES)

    first, second = ((GREY + colour.float()) / 2 for colour in (CAT, DOG))
    assert asked == [0, 1]
    for x, expected in ((40, first), (55, first), (70, second)):
        assert (drawn[:, 72, x] - expected).abs().max() <= 0.5
    assert drawn[:, 72, 59].tolist() == CAT.tolist()  # the line of the first over the mask of the second
    assert (drawn[:, 85:] == GREY).all()


def test_text_is_black_on_light_colours_and_white_on_dark_ones() -> None:
    for label, colour in ((0, 255), (1, 0)):
        drawn = draw(grey(999, 999), boxes((40, 60, 90, 100)), torch.tensor([label]), None, None, CLASSES)
        text = torch.full((3,), colour)
        assert is_colour(drawn, text).sum() > 10
        assert not is_colour(drawn, 255 - text).any()


def test_an_image_without_objects_stays_as_it_is() -> None:
    nothing = boxes(), torch.zeros(0, dtype=torch.int64)
    assert torch.equal(draw(grey(), *nothing, torch.zeros(0), iter(()), CLASSES), grey())
    assert torch.equal(
        draw_miss(grey(), Detections(nothing[0], torch.zeros(0), nothing[1]), truth_of(boxes(), []), ()), grey()
    )


def test_a_miss_shows_what_was_there_dashed_and_fills_what_was_not_found() -> None:
    corners = boxes((10, 30, 50, 70), (60, 30, 100, 70), (110, 30, 150, 70), (10, 80, 40, 110))
    truth = truth_of(corners, [0, 0, 1, 1], [False, False, False, True])
    found = Detections(
        boxes((10, 30, 50, 70), (60, 30, 100, 71), (110, 30, 150, 70)),
        torch.tensor([0.9, 0.2, 0.3]),  # the second is unsure
        torch.tensor([0, 0, 0]),  # the third is of another class
    )
    drawn = draw_miss(grey(), found, truth, CLASSES)
    blue = (GREY + CAT.float()) / 2

    assert (drawn[:, 40:65, 15:45] == GREY).all()  # found
    assert (drawn[:, 65, 80] - blue).abs().max() <= 1
    assert (drawn[:, 40:65, 115:145] == GREY).all()  # found, though as another class
    assert (drawn[:, 80:] == GREY).all()  # a crowd
    bottom = drawn[:, 69, 60:100]
    dashes = is_colour(drawn, CAT)[69, 60:100]
    assert [int(dashes[start : start + 4].sum()) for start in range(0, 40, 4)] == [4, 0] * 5
    assert (bottom[:, ~dashes] == 255).all()


def test_a_drawing_names_what_is_counted_as_a_mistake() -> None:
    """A cat found, found again, a dog found as a cat, and one in a crowd of cats."""
    there = truth_of(boxes((10, 30, 50, 70), (90, 30, 130, 70), (90, 80, 150, 110)), [0, 1, 0], [False, False, True])
    corners = boxes((10, 30, 50, 70), (10, 33, 50, 70), (90, 30, 130, 70), (92, 82, 140, 108))
    found = Detections(corners, torch.tensor([0.9, 0.8, 0.7, 0.6]), torch.tensor([0, 0, 0, 0]))
    pairs = pair(found, there)
    assert (pairs.found.tolist(), pairs.taken.tolist(), pairs.missed.tolist()) == ([0, 1, 2], [0, -1, 1], [])

    def drawn(*chosen: int) -> Tensor:
        return draw_miss(grey(), found.take(torch.tensor(chosen)), there, CLASSES)

    assert (drawn(0)[:, :30, :60] == GREY).all()  # right: no text
    assert is_colour(drawn(0, 1), CAT)[:30, :60].sum() > 100  # the plate of a text
    assert is_colour(drawn(0, 2), CAT)[:30].sum() > is_colour(drawn(0, 1), CAT)[:30].sum()  # a dog taken for a cat
    assert torch.equal(drawn(0, 1, 2, 3), drawn(0, 1, 2))


def test_a_miss_is_scaled_down_before_it_is_drawn() -> None:
    image = torch.cat([grey(300, 400), torch.zeros(3, 300, 400, dtype=torch.uint8)], 2)
    truth = truth_of(boxes((400, 100, 800, 300)), [0])
    nothing = Detections(boxes(), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    drawn = draw_miss(image, nothing, truth, CLASSES, most_pixels=200 * 75)

    assert drawn.shape == (3, 75, 200)
    assert torch.equal(drawn[:, :, :95], grey(75, 95))
    dashes = is_colour(drawn, CAT)
    assert dashes[74, 100]
    assert not dashes[74, 99]
    same_size = grey()[0].numel()
    assert torch.equal(draw_miss(grey(), nothing, truth_of(boxes(), []), CLASSES, most_pixels=same_size), grey())


def test_a_drawing_is_saved_as_it_is(tmp_path: Path) -> None:
    drawn = draw(grey(), boxes((20, 40, 60, 90)), torch.tensor([0]), None, None, CLASSES)
    save(tmp_path / "a.png", drawn)
    with Image.open(tmp_path / "a.png") as image:
        assert np.array_equal(np.asarray(image).transpose(2, 0, 1), drawn.numpy())


def test_a_small_image_is_enlarged_by_a_whole_factor_before_it_is_drawn_on() -> None:
    image = torch.zeros(3, 64, 64, dtype=torch.uint8)
    image[:, 10, 20] = 200
    nothing = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    drawn = draw_miss(image, nothing, truth([], []), ["cat"], most_pixels=320 * 240)
    assert drawn.shape == (3, 256, 256)
    assert (drawn[:, 40:44, 80:84] == 200).all()
    assert drawn.count_nonzero() == 3 * 16
