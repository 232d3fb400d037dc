from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from modernet.data import IGNORE, InMemory, SemanticTargets
from modernet.data.loading.whole import whole_images


def split(n: int) -> InMemory:
    images = torch.arange(n, dtype=torch.uint8)[:, None, None, None].expand(n, 3, 4, 6).contiguous()
    return InMemory(images, SemanticTargets(images[:, 0].clone() % 3, np.arange(n)))


def numbers(images: Tensor) -> list[int]:
    return images[:, 0, 0, 0].tolist()


def test_images_come_in_order_with_their_maps() -> None:
    batches = list(whole_images(split(7), 3, 1000))

    assert [numbers(batch.images_u8) for batch in batches] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [batch.positions for batch in batches] == [[0, 1, 2], [3, 4, 5], [6]]
    assert all(torch.equal(batch.maps, batch.images_u8[:, 0] % 3) for batch in batches)


def test_a_batch_has_no_more_pixels_than_allowed() -> None:
    assert [len(batch.positions) for batch in whole_images(split(5), 4, 2 * 4 * 6)] == [2, 2, 1]
    assert [len(batch.positions) for batch in whole_images(split(2), 4, 1)] == [1, 1]


@pytest.mark.parametrize("n", [4, 5, 6])
def test_processes_share_the_images_and_take_as_many_steps(n: int) -> None:
    of_each = [list(whole_images(split(n), 2, 1000, rank=rank, world=3)) for rank in range(3)]

    assert len({len(batches) for batches in of_each}) == 1
    positions = [position for batches in of_each for batch in batches for position in batch.positions]
    assert sorted(position for position in positions if position >= 0) == list(range(n))
    known = [
        number
        for batches in of_each
        for batch in batches
        for number, semantic in zip(numbers(batch.images_u8), batch.maps, strict=True)
        if (semantic != IGNORE).all()
    ]
    assert sorted(known) == list(range(n))
