from __future__ import annotations

import copy
import importlib
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from modernet.errors import InputError
from modernet.models import create_model
from modernet.models.convnext import ConvNeXt
from modernet.models.fused import use_kernels
from modernet.pretraining.fcmae import MaskedConvNeXt
from modernet.pretraining.masked import masked_loss, random_cells
from modernet.pretraining.visible import VisibleCells
from sparse_convnext import predict

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
NETWORKS = {
    "V1": ("convnext_test", {}),
    "V2": ("convnextv2_test", {}),
    "V2, stem of stride 1": ("convnextv2_test", {"stem_stride": 1}),
    "large kernels": ("convnext_large_kernel_test", {}),
}


def masked(name: str = "convnextv2_test", **fields: int) -> MaskedConvNeXt:
    """Return a network in double precision, none of whose parameters has a value that hides an error."""
    torch.manual_seed(0)
    encoder = create_model(name, **fields)
    assert isinstance(encoder, ConvNeXt)
    model = MaskedConvNeXt(encoder, decoder_dim=16).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.4 * torch.rand_like(parameter) - 0.2)
    return model


def example(model: MaskedConvNeXt, grid: tuple[int, int] = (3, 2)) -> tuple[Tensor, Tensor]:
    """Return two images, and which half of their cells are hidden: others in each."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(2, 3, *(side * model.cell for side in grid), dtype=torch.float64, generator=generator)
    return images, random_cells(torch.rand(2, grid[0] * grid[1], generator=generator), 0.5)


def outcome(model: nn.Module, images: Tensor, predictions: Tensor) -> list[Tensor]:
    """Return predictions, and the gradients of images and parameters."""
    torch.manual_seed(2)
    leaves = [images, *model.parameters()]
    return [predictions.detach(), *torch.autograd.grad((predictions * torch.randn_like(predictions)).sum(), leaves)]


@pytest.mark.medium
@pytest.mark.parametrize("name", NETWORKS)
def test_predictions_and_gradients_are_those_of_a_loop_over_visible_positions_of_each_image_alone(name: str) -> None:
    model_name, fields = NETWORKS[name]
    model = masked(model_name, **fields)
    images, hidden = example(model)
    images.requires_grad_()
    found = outcome(model, images, model(images, hidden))
    alone = [predict(model, *each) for each in zip(images, hidden, strict=True)]
    for one, other in zip(found, outcome(model, images, torch.stack(alone)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", NETWORKS)
def test_dense_masking_gives_the_same_predictions_and_gradients(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    dense = importlib.import_module("masked_convnext").dense_masking
    model_name, fields = NETWORKS[name]
    model = masked(model_name, **fields)
    images, hidden = example(model, (3, 4))
    images.requires_grad_()
    found = outcome(model, images, model(images, hidden))
    for one, other in zip(found, outcome(model, images, dense(model, images, hidden)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


def test_hidden_pixels_are_not_read() -> None:
    model = masked()
    images, hidden = example(model)
    expected = model(images, hidden)
    covered = hidden.view(2, 1, 3, 2).repeat_interleave(model.cell, 2).repeat_interleave(model.cell, 3)
    assert torch.equal(model(images.masked_fill(covered, float("nan")), hidden), expected)


def test_an_image_in_a_batch_is_answered_as_alone() -> None:
    model = masked()
    images, hidden = example(model)
    torch.testing.assert_close(model(images, hidden)[1:], model(images[1:], hidden[1:]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["convnext_test", "convnextv2_test"])
def test_with_everything_visible_the_features_are_those_of_the_encoder(name: str) -> None:
    model = masked(name)
    images, hidden = example(model)
    cells = VisibleCells(torch.zeros_like(hidden), (3, 2))
    found = cells.spread(model.features(images, cells))
    torch.testing.assert_close(found, model.encoder.forward_features(images))


def test_cells_return_to_their_places() -> None:
    maps = torch.arange(2 * 3 * 4 * 6.0).view(2, 3, 4, 6)  # 2x3 cells of 2x2 positions
    hidden = torch.tensor([[True, False, True, True, True, False], [False, True, True, False, True, True]])
    cells = VisibleCells(hidden, (2, 3))
    strips = cells.strip(maps)
    assert torch.equal(strips[0], torch.cat([maps[0, :, :2, 2:4], maps[0, :, 2:, 4:]], 1))
    assert torch.equal(strips[1], torch.cat([maps[1, :, :2, :2], maps[1, :, 2:, :2]], 1))
    covered = hidden.view(2, 1, 2, 3).repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.equal(cells.spread(strips), maps.masked_fill(covered, 0))


def test_every_parameter_learns_and_starts_small() -> None:
    torch.manual_seed(0)
    encoder = create_model("convnextv2_test")
    assert isinstance(encoder, ConvNeXt)
    model = MaskedConvNeXt(encoder, decoder_dim=64, decoder_depth=2)
    images, hidden = (x.float() if x.is_floating_point() else x for x in example(model))
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 and "grn" not in name:
            assert 0.014 < parameter.std().item() < 0.026, name
    predictions = model(images, hidden)
    assert predictions.shape == (2, 6, 32 * 32 * 3)
    masked_loss(predictions, images, hidden, model.cell, norm_pixels=True).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_kernels_change_no_prediction() -> None:
    model = masked()
    images, hidden = example(model)
    fused = use_kernels(copy.deepcopy(model), backend="reference")
    torch.testing.assert_close(fused(images, hidden), model(images, hidden))


def test_what_cannot_be_masked_is_refused() -> None:
    model = masked()
    images, hidden = example(model)
    with pytest.raises(InputError, match="images are 90x64; give height and width as multiples of 32"):
        model(images[:, :, :90], hidden)
    with pytest.raises(InputError, match="all 3x2 cells of an image are hidden; hide fewer, or give larger images"):
        model(images, torch.ones_like(hidden))
    for wrong in (hidden[:1], hidden[:, :4]):
        with pytest.raises(InputError, match=r"hidden is \(., .\); give a row of 6 cells for each of 2 images"):
            model(images, wrong)
    hidden[0] = False
    with pytest.raises(InputError, match="0 to 3 cells of an image are hidden; hide as many of every image"):
        model(images, hidden)
