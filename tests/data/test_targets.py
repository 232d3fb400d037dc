from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from modernet.data.images.views import IGNORE, Box, View
from modernet.data.targets import (
    BoxBatch,
    BoxTargets,
    ClassTargets,
    InstanceMasks,
    NoTargets,
    SemanticTargets,
    Targets,
    class_labels,
    transfer,
    varied_view,
)
from modernet.data.transforms.moves import Moves
from modernet.errors import InputError

H, W = 6, 8


class ReadOnce:
    """Maps that are read one by one."""

    def __init__(self, maps: torch.Tensor) -> None:
        self.maps, self.seen = maps, []

    def __len__(self) -> int:
        return len(self.maps)

    def identity(self, index: int) -> str:
        return str(index)

    def read(self, index: int) -> torch.Tensor:
        self.seen.append(index)
        return self.maps[index]

    def window(self, index: int) -> tuple[Box, torch.Tensor]:
        return Box(0, 0, H, W), self.read(index)


def semantic(n: int = 4) -> SemanticTargets:
    maps = torch.arange(n * H * W, dtype=torch.uint8).view(n, H, W)
    return SemanticTargets(maps, np.arange(n))


def boxes(masks: bool = True) -> BoxTargets:
    """Three images with 2, 0 and 1 boxes."""
    corners = torch.tensor([[0, 0, 4, 3], [4, 3, 8, 6], [1, 1, 3, 5]], dtype=torch.float32)
    filled = torch.zeros(3, H, W, dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(filled, corners.int().tolist(), strict=True):
        mask[y0:y1, x0:x1] = True
    offsets = np.array([0, 2, 2, 3])
    crowd = torch.tensor([False, True, False])
    numbers = np.arange(3), np.array([12.0, 12.0, 8.0]), np.array([11, 12, 13]), tuple(range(10))
    return BoxTargets(corners, torch.tensor([5, 6, 7]), crowd, offsets, filled if masks else None, *numbers)


EVERY_KIND = [ClassTargets(torch.tensor([1, 0, 2])), semantic(3), boxes(), boxes(masks=False), NoTargets(3)]
IDENTITY = View(Box(0, 0, H, W), (H, W))
ids = [type(targets).__name__ for targets in EVERY_KIND]


def values(batch: object) -> list[object]:
    """A batch of targets as plain lists, to compare."""
    if isinstance(batch, torch.Tensor):
        return batch.tolist()
    if isinstance(batch, InstanceMasks):
        return [batch.windows.tolist(), batch.pixels.tolist()]
    return [values(column) for column in batch] if isinstance(batch, tuple) else [batch]


@pytest.mark.parametrize("targets", EVERY_KIND, ids=ids)
def test_every_kind_of_targets_keeps_the_contract(targets: Targets) -> None:
    assert len(targets) == 3
    assert len(targets.take(np.array([2, 0, 0, 1]))) == 4
    shown = targets.show([IDENTITY] * 3)
    assert values(shown.take(np.array([2, 0])).take(np.array([1])).collate()) == values(
        targets.take(np.array([0])).show([IDENTITY]).collate()
    )
    assert values(shown.show([IDENTITY] * 3).collate()) == values(shown.collate())
    assert values(shown.to(torch.device("cpu")).collate()) == values(shown.collate())
    assert values(transfer(shown.collate(), torch.device("cpu"))) == values(shown.collate())
    if not isinstance(targets, BoxTargets):  # they are known before they are shown, and move with a batch
        assert values(targets.collate()) == values(shown.collate())
        still = Moves((H, W), np.zeros(3, np.int64), np.zeros(3, np.int64), np.zeros(3, np.bool_))
        assert values(targets.move(targets.collate(), still)) == values(targets.collate())
    strata = targets.strata()
    assert strata is None or (strata.dtype, len(strata)) == (np.int64, 3)
    assert targets.digest() == targets.take(np.arange(3)).digest()
    assert targets.digest() != targets.take(np.array([0, 1])).digest()
    flipped = View(IDENTITY.box, (H, W), flipped=True)
    assert targets.spatial == (values(targets.show([flipped] * 3).collate()) != values(shown.collate()))


def test_the_digest_sees_one_changed_target() -> None:
    maps = semantic().maps.clone()
    maps[2, 3, 3] += 1
    assert SemanticTargets(maps, np.arange(4)).digest() != semantic().digest()
    other = boxes()
    other.labels[1] = 0
    assert other.digest() != boxes().digest()
    filled = boxes()
    filled.masks[0, 5, 5] = True
    assert filled.digest() != boxes().digest()


def test_semantic_maps_are_mapped_by_the_view_of_their_image() -> None:
    left, beyond = View(Box(0, 0, H, 4), (H, 4)), View(Box(0, 6, H, 4), (H, 4), flipped=True)
    shown = semantic().take(np.array([3, 1])).show([left, beyond]).collate()
    assert torch.equal(shown[0], semantic().maps[3, :, :4])
    assert torch.equal(shown[1, :, 2:], semantic().maps[1, :, 6:].flip(1))
    assert (shown[1, :, :2] == IGNORE).all()


def test_maps_on_disk_are_read_when_they_are_shown() -> None:
    maps = ReadOnce(semantic().maps)
    targets = SemanticTargets(maps, np.arange(4)).take(np.array([2, 0]))
    targets.digest()
    assert maps.seen == []
    assert torch.equal(targets.show([IDENTITY] * 2).collate(), semantic().maps[[2, 0]])
    assert maps.seen == [2, 0]
    masks = ReadOnce(boxes().masks)
    lazy = replace(boxes(), masks=masks)
    shown = lazy.take(np.array([2])).show([IDENTITY]).collate()
    assert masks.seen == [2]
    assert torch.equal(shown.masks.whole((H, W)), boxes().masks[2:])


def test_boxes_of_a_batch_say_which_image_they_are_in() -> None:
    batch = boxes().take(np.array([2, 1, 0, 2])).show([IDENTITY] * 4).collate()
    assert batch.image.tolist() == [0, 2, 2, 3]
    assert batch.labels.tolist() == [7, 5, 6, 7]
    assert batch.crowd.tolist() == [False, False, True, False]
    assert batch.masks.whole((H, W)).shape == (4, H, W)
    assert batch.sizes.tolist() == [[H, W]] * 4
    nothing = boxes().take(np.array([1])).show([IDENTITY]).collate()
    assert [len(column) for column in nothing] == [0, 0, 0, 0, 0, 1]
    assert nothing.masks.whole((H, W)).shape == (0, H, W)


@pytest.mark.parametrize("masks", [True, False])
def test_boxes_that_a_view_does_not_show_are_dropped_with_all_that_is_known_of_them(masks: bool) -> None:
    upper_left = View(Box(0, 0, 3, 4), (6, 8))
    shown = boxes(masks).show([upper_left] * 3).collate()
    assert shown.boxes_xyxy.tolist() == [[0, 0, 8, 6], [2, 2, 6, 6]]
    assert shown.labels.tolist() == [5, 7]
    assert shown.image.tolist() == [0, 2]
    if masks:
        first, second = shown.masks.whole((6, 8))
        assert first.all()
        assert second.nonzero().min(0).values.tolist() == [2, 2]


def test_boxes_of_less_than_a_pixel_are_dropped() -> None:
    smaller = View(Box(0, 0, H, W), (2, 4))
    shown = boxes().show([smaller] * 3).collate()
    assert shown.boxes_xyxy.tolist() == [
        [0, 0, 2, 1],
        [2, 1, 4, 2],
        [0.5, pytest.approx(1 / 3), 1.5, pytest.approx(5 / 3)],
    ]
    half = View(Box(0, 0, H, W), (1, 4))
    assert boxes().show([half] * 3).collate().boxes_xyxy.tolist() == []


def test_a_box_may_be_all_that_is_known_of_an_object() -> None:
    known = replace(boxes(), mask_of=np.array([1, -1, 2]))
    shown = known.show([IDENTITY] * 3).collate()
    assert shown.masks.known.tolist() == [True, False, True]
    assert torch.equal(
        shown.masks.whole((H, W)), torch.stack([boxes().masks[1], torch.zeros(H, W) > 0, boxes().masks[2]])
    )
    assert known.digest() != boxes().digest()
    again = known.show([IDENTITY] * 3).show([View(Box(0, 0, H, W), (H, W), flipped=True)] * 3).collate()
    assert again.masks.known.tolist() == [True, False, True]
    assert torch.equal(again.masks.whole((H, W))[2], boxes().masks[2].flip(1))


@pytest.mark.parametrize(
    ("targets", "classes", "message"),
    [
        (NoTargets(3), (), None),
        (boxes(), ("cat",), None),
        (boxes(), (), "^set has no class of objects; a detector needs at least one$"),
        (semantic(), ("ground",), "^set has 1 classes of pixels; segmentation needs at least two$"),
        (
            ClassTargets(torch.tensor([0, 0])),
            ("cat",),
            "^set has only the class 'cat'; a classifier needs at least two$",
        ),
        (
            ClassTargets(torch.tensor([0, 0])),
            ("cat", "dog"),
            "^set has no training image of the class 'dog'; add some, or remove the class$",
        ),
        (
            replace(boxes(), crowd=torch.ones(3, dtype=torch.bool)),
            ("cat",),
            "^set has no object in train to learn from",
        ),
    ],
)
def test_targets_that_nothing_can_be_learned_from_are_refused(
    targets: Targets, classes: tuple[str, ...], message: str | None
) -> None:
    if message is None:
        targets.check(classes, "set")
    else:
        with pytest.raises(InputError, match=message):
            targets.check(classes, "set")


def test_only_class_targets_have_labels() -> None:
    with pytest.raises(AssertionError, match="NoTargets are not classes"):
        class_labels(NoTargets(3))


def test_a_batch_of_boxes_is_chosen_from_column_by_column() -> None:
    chosen = boxes(masks=False).show([IDENTITY] * 3).collate().take(torch.tensor([True, False, True]))
    assert isinstance(chosen, BoxBatch)
    assert (chosen.labels.tolist(), chosen.masks) == ([5, 7], None)


def test_a_view_is_drawn_again_while_one_class_fills_it() -> None:
    semantic = torch.zeros(8, 8, dtype=torch.uint8)
    semantic[:, 6:] = 1
    semantic[0] = IGNORE
    targets = SemanticTargets(semantic[None], np.array([0]))
    offered = iter([0, 1, 2, 5, 0])

    def choose(h: int, w: int) -> View:
        assert (h, w) == (8, 8)
        return View(Box(0, next(offered), 8, 3), (8, 3))

    view = varied_view(8, 8, choose=choose, maps=targets, position=0, share=0.75)
    assert view.box.left == 5  # the first with two classes, neither of which has three quarters

    offered = iter(range(20))
    last = varied_view(
        8, 8, choose=lambda h, w: View(Box(0, 0, next(offered) + 1, 3), (8, 3)), maps=targets, position=0, share=0.5
    )
    assert last.box.height == 10
