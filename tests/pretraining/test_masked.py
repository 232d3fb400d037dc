"""What all masked autoencoders share: cells, what is hidden, and the loss."""

from __future__ import annotations

import statistics
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from modernet.models import create_model
from modernet.models.convnext import Block as ConvNeXtBlock
from modernet.models.vit import Block as ViTBlock
from modernet.pretraining.build import masked_autoencoder
from modernet.pretraining.masked import masked_loss, order_of, patchify, random_cells, unpatchify


def cell_by_cell(predictions: Tensor, images: Tensor, hidden: Tensor, cell: int, norm_pixels: bool) -> float:
    """The loss from lists of numbers."""
    losses = []
    for number, image in enumerate(images.double()):
        columns = image.shape[2] // cell
        for place in range(hidden.shape[1]):
            if not hidden[number, place]:
                continue
            row, column = place // columns * cell, place % columns * cell
            rows, across = range(row, row + cell), range(column, column + cell)
            target = [image[colour, y, x].item() for y in rows for x in across for colour in range(3)]
            if norm_pixels:
                mean, variance = statistics.mean(target), statistics.variance(target)  # of n - 1
                target = [(value - mean) / (variance + 1e-6) ** 0.5 for value in target]
            pairs = zip(predictions[number, place].tolist(), target, strict=True)
            losses.append(statistics.mean((found - wanted) ** 2 for found, wanted in pairs))
    return statistics.mean(losses)


def example() -> tuple[Tensor, Tensor, Tensor]:
    """Predictions, images of 2x3 cells of 4 pixels, and what is hidden."""
    generator = torch.Generator().manual_seed(0)
    images, predictions = torch.randn(2, 3, 8, 12, generator=generator), torch.randn(2, 6, 48, generator=generator)
    return predictions, 2 * images + 1, random_cells(torch.rand(2, 6, generator=generator), 0.5)


@pytest.mark.parametrize("norm_pixels", [True, False])
def test_the_loss_is_that_of_hidden_cells_one_by_one(norm_pixels: bool) -> None:
    predictions, images, hidden = example()
    found = masked_loss(predictions, images, hidden, 4, norm_pixels=norm_pixels)
    assert found.item() == pytest.approx(cell_by_cell(predictions, images, hidden, 4, norm_pixels), rel=1e-5)


@pytest.mark.parametrize("norm_pixels", [True, False])
def test_predictions_in_bfloat16_are_compared_with_targets_in_float32(norm_pixels: bool) -> None:
    predictions, images, hidden = example()
    predictions = predictions.bfloat16()
    found = masked_loss(predictions, images, hidden, 4, norm_pixels=norm_pixels)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(cell_by_cell(predictions, images, hidden, 4, norm_pixels), rel=1e-5)


def test_cells_return_to_their_places() -> None:
    images = torch.arange(2 * 3 * 8 * 12.0).view(2, 3, 8, 12)
    cells = patchify(images, 4)
    assert torch.equal(cells[1, 5].view(4, 4, 3), images[1, :, 4:, 8:].permute(1, 2, 0))
    assert torch.equal(unpatchify(cells, (2, 3)), images)


@pytest.mark.parametrize(
    ("cells", "share", "visible"), [(196, 0.75, 49), (49, 0.6, 19), (100, 0.9, 10), (16, 0.0, 16), (16, 1.0, 0)]
)
def test_as_many_cells_stay_visible_as_asked_for(cells: int, share: float, visible: int) -> None:
    noise = torch.rand(3, cells, generator=torch.Generator().manual_seed(0))
    hidden = random_cells(noise, share)
    assert hidden.logical_not().sum(1).tolist() == [visible] * 3
    for row, values in zip(hidden, noise, strict=True):
        assert not visible or visible == cells or values[~row].max() < values[row].min()


def test_the_order_is_of_visible_cells_then_of_hidden_ones() -> None:
    hidden = torch.tensor([[True, False, True, False], [False, False, True, True]])
    assert order_of(hidden).tolist() == [[1, 3, 0, 2], [0, 1, 2, 3]]


@pytest.mark.parametrize(
    ("name", "fields"),
    [("vit_test", {"image_size": 32, "patch_size": 8}), ("convnextv2_test", {"depths": (1, 2), "dims": (8, 16)})],
)
def test_checkpointing_runs_every_block_again_and_gives_the_same_gradients(name: str, fields: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network = masked_autoencoder(create_model(name, drop_path_rate=0.5, **fields), decoder_dim=32, decoder_depth=2)
    for parameter in network.parameters():
        if parameter.requires_grad:
            nn.init.uniform_(parameter, -0.2, 0.25)
    images, runs = torch.randn(4, 3, 32, 32), []
    hidden = random_cells(torch.rand(4, (32 // network.cell) ** 2), 0.5)
    blocks = [module for module in network.modules() if isinstance(module, ViTBlock | ConvNeXtBlock)]
    for block in blocks:
        block.register_forward_pre_hook(lambda *_: runs.append(1))

    def gradients() -> list[Tensor]:
        torch.manual_seed(1)  # of drop path
        loss = masked_loss(network(images, hidden), images, hidden, network.cell, norm_pixels=True)
        return list(torch.autograd.grad(loss, [each for each in network.parameters() if each.requires_grad]))

    expected = gradients()
    assert len(runs) == len(blocks)
    network.set_grad_checkpointing()
    for one, other in zip(gradients(), expected, strict=True):
        torch.testing.assert_close(one, other)
    assert len(runs) == 3 * len(blocks)
