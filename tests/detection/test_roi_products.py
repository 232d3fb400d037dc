"""RoIAlign as matrix products equals torchvision's."""

from __future__ import annotations

import pytest
import torch
from torchvision.ops import roi_align

from modernet.detection.roi_products import align


def boxes(n: int, h: int, w: int) -> torch.Tensor:
    """Return boxes of all sizes, some of them partly or wholly outside of the map, or without area."""
    chance = torch.Generator().manual_seed(0)
    centre = (torch.rand(n, 2, generator=chance) * 1.6 - 0.3) * torch.tensor([w, h])
    size = torch.rand(n, 2, generator=chance) ** 3 * torch.tensor([w, h]) * 2
    size[::10] = 0
    size[5] = -size[5]
    return torch.cat((torch.randint(2, (n, 1), generator=chance), centre - size / 2, centre + size / 2), 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [(40, 61), (1, 1), (2, 200)])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_it_equals_torchvision(dtype: torch.dtype, size: tuple[int, int], memory_format: torch.memory_format) -> None:
    x = torch.randn(2, 5, *size, generator=torch.Generator().manual_seed(1)).to(dtype)
    rois = boxes(200, *size).to(dtype)
    rois[:, 1:] *= 4
    found = align(x.contiguous(memory_format=memory_format), rois, 7, 1 / 4)
    expected = roi_align(x, rois, 7, 1 / 4, sampling_ratio=0, aligned=True)
    torch.testing.assert_close(found, expected)
    assert expected.abs().amax((1, 2, 3)).count_nonzero() > 20  # others are outside or without area


def test_no_boxes_have_no_features() -> None:
    assert align(torch.zeros(1, 3, 8, 8), torch.zeros(0, 5), 7, 0.25).shape == (0, 3, 7, 7)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_part_of_a_batch_is_not_taken_for_its_first_images(memory_format: torch.memory_format) -> None:
    x = torch.randn(3, 4, 9, 8, generator=torch.Generator().manual_seed(2)).contiguous(memory_format=memory_format)
    rois = torch.tensor([[0.0, 1, 1, 7, 6], [1.0, 0, 2, 5, 9]])
    expected = roi_align(x[1:], rois, 7, 1.0, sampling_ratio=0, aligned=True)
    torch.testing.assert_close(align(x[1:], rois, 7, 1.0), expected)


def test_autocast_does_not_round_it() -> None:
    x = torch.randn(2, 4, 9, 8, generator=torch.Generator().manual_seed(3))
    rois = torch.tensor([[0.0, 1, 1, 7, 6], [1.0, 0, 2, 5, 9]])
    expected = align(x, rois, 7, 1.0)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(align(x, rois, 7, 1.0), expected)
