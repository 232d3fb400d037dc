from __future__ import annotations

import numpy as np
import torch

from modernet.data.transforms.photometric import distort


def images(n: int) -> torch.Tensor:
    return torch.randint(60, 190, (n, 3, 8, 9), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_a_distortion_is_a_function_of_its_generator() -> None:
    (image,) = images(1)
    first, again = (distort(image, np.random.default_rng(3)) for _ in range(2))

    assert first.dtype == torch.uint8
    assert first.shape == image.shape
    assert torch.equal(first, again)


def test_each_change_happens_half_of_the_time_and_within_its_range() -> None:
    grey = torch.full((3, 4, 4), 100, dtype=torch.uint8)  # grey has no hue, and stays grey
    levels, rng = [], np.random.default_rng(0)
    for _ in range(400):
        distorted = distort(grey, rng)
        assert distorted.unique().numel() == 1
        levels.append(int(distorted[0, 0, 0]))

    assert 0.17 < np.mean(np.array(levels) == 100) < 0.34  # neither brightness nor contrast: 1/4
    assert min(levels) >= (100 - 32) // 2
    assert max(levels) <= (100 + 32) * 1.5
    assert max(levels) - min(levels) > 90


def test_hues_turn_by_at_most_a_tenth_of_the_circle() -> None:
    red = torch.tensor([200, 20, 20], dtype=torch.uint8)[:, None, None].expand(3, 4, 4)
    seen = torch.stack([distort(red, np.random.default_rng(seed))[:, 0, 0] for seed in range(200)]).long()

    assert (seen[:, 0] >= seen[:, 1:].amax(1)).all()  # 36 degrees from red is still nearest to red
    assert ((seen[:, 1] - seen[:, 2]).abs() > 20).any()
