"""Pictures of predictions."""

from __future__ import annotations

import pytest
import torch

from modernet.preparation import Preparation
from modernet.pretraining.drawing import drawn_reconstructions
from modernet.pretraining.hiding import hidden_cells
from modernet.pretraining.masked import cell_targets

PREPARATION = Preparation((8, 12), (0.2, 0.4, 0.6), (0.2, 0.25, 0.3))


@pytest.mark.parametrize("norm_pixels", [True, False])
def test_right_predictions_are_drawn_as_the_image_itself(norm_pixels: bool) -> None:
    pixels = torch.randint(256, (2, 3, 8, 12), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    images, hidden = PREPARATION.normalise(pixels), hidden_cells([0, 1], 6, 0.5, seed=0)
    right = cell_targets(images, 4, norm_pixels=norm_pixels)
    drawn = drawn_reconstructions(right, images, hidden, 4, PREPARATION, norm_pixels=norm_pixels)

    assert drawn.shape == (2, 3, 8, 4 * 12 + 3 * 4)
    image, masked, all_cells, both = (drawn[..., start : start + 12] for start in range(0, 64, 16))
    assert torch.equal(image, pixels)
    assert torch.equal(all_cells, pixels)
    assert torch.equal(both, pixels)
    hide = hidden.view(2, 1, 2, 3).repeat_interleave(4, 2).repeat_interleave(4, 3)
    assert torch.equal(masked, pixels.where(~hide, 128))


def test_only_hidden_cells_are_predicted_among_the_visible_ones() -> None:
    images, hidden = torch.zeros(1, 3, 8, 12), hidden_cells([3], 6, 0.5, seed=1)
    drawn = drawn_reconstructions(torch.ones(1, 6, 48), images, hidden, 4, PREPARATION, norm_pixels=False)
    image, both = drawn[..., :12], drawn[..., 48:]

    changed = (image != both).any(1)[0, ::4, ::4].flatten()
    assert torch.equal(changed, hidden[0])
