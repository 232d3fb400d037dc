"""What MAE's encoder sees, where its decoder puts what it got, and what it refuses."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from modernet.errors import InputError
from modernet.models import create_model
from modernet.models.vit import VisionTransformer
from modernet.pretraining.mae import MaskedViT, sincos_positions
from modernet.pretraining.masked import masked_loss, random_cells
from modernet.weights import load_weights


def vit(name: str = "vit_test", **fields: Any) -> VisionTransformer:
    encoder = create_model(name, **{"image_size": 32, "patch_size": 8, **fields})
    assert isinstance(encoder, VisionTransformer)
    return encoder


def masked_vit(**fields: Any) -> MaskedViT:
    torch.manual_seed(0)
    network = MaskedViT(vit(**fields), decoder_dim=64, decoder_depth=2)
    for parameter in network.parameters():  # biases and norms too, so that none of them can be forgotten
        if parameter.requires_grad and parameter.ndim == 1:
            nn.init.normal_(parameter, 0.5, 0.2)
    return network


def drawn(network: MaskedViT, *, share: float = 0.75, size: tuple[int, int] = (32, 32)) -> tuple[Tensor, Tensor]:
    """Return two images, and other cells hidden in each."""
    generator = torch.Generator().manual_seed(1)
    cells = size[0] // network.cell * (size[1] // network.cell)
    return torch.randn(2, 3, *size, generator=generator), random_cells(torch.rand(2, cells, generator=generator), share)


@pytest.mark.parametrize(("grid", "dim"), [((2, 3), 8), ((3, 2), 4), ((4, 4), 48)])
def test_positions_are_a_plain_reading_of_the_release(grid: tuple[int, int], dim: int) -> None:
    found, quarter = sincos_positions(grid, dim), dim // 4
    assert found.shape == (1, 1 + grid[0] * grid[1], dim)
    assert not found[0, 0].any()
    for row in range(grid[0]):
        for column in range(grid[1]):
            expected = []
            for index in (column, row):  # the column first
                angles = [index / 10_000 ** (i / quarter) for i in range(quarter)]
                expected += [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]
            torch.testing.assert_close(found[0, 1 + row * grid[1] + column], torch.tensor(expected))


def by_cells(network: MaskedViT, image: Tensor, hidden: Tensor) -> Tensor:
    """The prediction for one image, cell by cell, with a list of tokens in place of every shuffle."""
    encoder = network.encoder
    weight, bias = encoder.patch_embed.proj.weight, encoder.patch_embed.proj.bias
    positions, cell, columns = encoder.pos_embed[0], network.cell, image.shape[2] // network.cell
    tokens = [encoder.cls_token[0, 0] + positions[0]]
    visible = [number for number in range(len(hidden)) if not hidden[number]]
    for number in visible:
        row, column = divmod(number, columns)
        pixels = image[:, row * cell : (row + 1) * cell, column * cell : (column + 1) * cell]
        tokens.append((weight * pixels).sum((1, 2, 3)) + bias + positions[1 + number])
    x = torch.stack(tokens)[None]
    for block in encoder.blocks:
        x = block(x)
    encoded = list(network.decoder_embed(encoder.norm(x))[0])
    seen = dict(zip(visible, encoded[1:], strict=True))
    all_tokens = [encoded[0], *(seen.get(number, network.mask_token[0, 0]) for number in range(len(hidden)))]
    x = torch.stack(all_tokens)[None] + network.decoder_pos_embed
    for block in network.decoder_blocks:
        x = block(x)
    predictions: Tensor = network.decoder_pred(network.decoder_norm(x))[0, 1:]
    return predictions


@pytest.mark.parametrize("share", [0.0, 0.3, 0.75, 1.0])
@torch.no_grad()
def test_predictions_are_those_of_a_reading_cell_by_cell(share: float) -> None:
    network = masked_vit()
    images, hidden = drawn(network, share=share)
    assert not torch.equal(hidden[0], hidden[1]) or share in (0.0, 1.0)
    found = network(images, hidden)
    for image, cells, each in zip(images, hidden, found, strict=True):
        torch.testing.assert_close(each, by_cells(network, image, cells), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_hidden_pixels_are_seen_by_the_loss_alone() -> None:
    network = masked_vit()
    images, hidden = drawn(network)
    of_pixels = hidden.reshape(2, 1, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3)
    changed = images.masked_fill(of_pixels, float("inf"))
    predictions = network(images, hidden)
    assert torch.equal(network(changed, hidden), predictions)
    changed = torch.where(of_pixels, images + torch.randn(images.shape), images)
    losses = [masked_loss(predictions, each, hidden, network.cell, norm_pixels=True) for each in (images, changed)]
    assert losses[0] != losses[1]
    changed = torch.where(of_pixels, images, images + 1)
    assert masked_loss(predictions, changed, hidden, network.cell, norm_pixels=True) == losses[0]
    assert not torch.allclose(network(changed, hidden), predictions)


@torch.no_grad()
def test_the_encoder_computes_visible_tokens_only() -> None:
    network, lengths = masked_vit(), []
    for block in network.encoder.blocks:
        block.register_forward_hook(lambda _, inputs, output: lengths.append((inputs[0].shape[1], output.shape[1])))
    network(*drawn(network))
    assert lengths == [(1 + 4, 1 + 4)] * 2


@torch.no_grad()
def test_without_positions_hidden_cells_are_one_and_the_same() -> None:
    network = masked_vit()
    network.decoder_pos_embed.zero_()
    images, hidden = drawn(network)
    for each, cells in zip(network(images, hidden), hidden, strict=True):
        torch.testing.assert_close(each[cells], each[cells][:1].expand(12, -1), rtol=1e-5, atol=1e-5)
        assert not torch.allclose(each[~cells][0], each[~cells][1])


def test_gradients_reach_every_parameter_but_positions() -> None:
    network = masked_vit()
    images, hidden = drawn(network)
    masked_loss(network(images, hidden), images, hidden, network.cell, norm_pixels=True).backward()
    without = {name for name, each in network.named_parameters() if each.grad is None or not each.grad.any()}
    assert without == {"encoder.pos_embed", "decoder_pos_embed"}
    assert not {name for name, each in network.named_parameters() if name in without and each.requires_grad}


def test_it_learns_the_hidden_cells_of_a_batch() -> None:
    torch.manual_seed(0)
    network = MaskedViT(vit(), decoder_dim=64, decoder_depth=1)
    wave = torch.sin(torch.arange(32) / 16 * 2 * math.pi)
    images = torch.stack([wave.expand(3, 32, 32), wave[:, None].expand(3, 32, 32)])
    hidden, optimizer = drawn(network)[1], torch.optim.AdamW(network.parameters(), 3e-3)
    losses = []
    for _ in range(80):
        loss = masked_loss(network(images, hidden), images, hidden, network.cell, norm_pixels=False)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * images.square().mean() < losses[0]


@torch.no_grad()
def test_bfloat16_predicts_nearly_the_same() -> None:
    network = masked_vit()
    images, hidden = drawn(network)
    expected = network(images, hidden)
    with torch.autocast("cpu", torch.bfloat16):
        found = network(images, hidden)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, rtol=0.05, atol=0.05 * expected.abs().max().item())


@torch.no_grad()
def test_images_of_another_size_are_seen_as_by_a_network_made_for_them() -> None:
    network = masked_vit()
    larger = MaskedViT(vit(image_size=48), decoder_dim=64, decoder_depth=2)
    report = load_weights(larger, network.state_dict(), resample=True)
    assert set(report.resampled) == {"encoder.pos_embed", "decoder_pos_embed"}
    inputs = drawn(network, size=(48, 48))
    torch.testing.assert_close(network(*inputs), larger(*inputs), rtol=1e-5, atol=1e-5)
    assert network(*drawn(network, size=(32, 48))).shape == (2, 24, 192)


def test_weights_start_as_published() -> None:
    torch.manual_seed(0)
    network = MaskedViT(vit(dim=64), decoder_dim=128, decoder_depth=1)
    for name, each in network.named_parameters():
        module = name.rpartition(".")[0]
        if each.ndim == 1:
            assert torch.equal(each, torch.full_like(each, float("norm" in module and name.endswith("weight")))), name
        elif name.endswith("weight"):
            bound = math.sqrt(6 / (each.shape[0] + each[0].numel()))
            assert each.abs().max() <= bound, name
            assert each.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05), name
        elif "token" in name:
            assert each.std().item() == pytest.approx(0.02, rel=0.3), name
    assert torch.equal(network.encoder.pos_embed, sincos_positions((4, 4), 64))
    assert network.decoder_blocks[0].attn.heads == 4
    assert network.encoder.num_classes == 0


@pytest.mark.parametrize(
    ("fields", "decoder", "message"),
    [
        ({"name": "deit_test"}, {}, "MAE knows no distillation token; give a plain ViT"),
        ({"global_pool": "avg"}, {}, "MAE needs the norm of all tokens, and this ViT has one of their mean; give"),
        ({"dim": 30}, {}, "dim is 30; sines and cosines of two axes need a multiple of 4"),
        ({}, {"decoder_dim": 48}, "decoder_dim is 48; give a multiple of 32, the width of its heads"),
        ({}, {"decoder_depth": 0}, "decoder_depth is 0; give 1 or more"),
    ],
)
def test_what_cannot_be_built_is_refused(fields: dict[str, Any], decoder: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        MaskedViT(vit(**fields), **decoder)


@pytest.mark.parametrize(
    ("size", "hidden", "message"),
    [
        ((32, 36), torch.ones(2, 20) > 0, "images are 32x36; give height and width as multiples of 8"),
        ((32, 32), torch.ones(2, 15) > 0, r"hidden is \(2, 15\); give a row of 16 cells for each of 2 images"),
        ((32, 32), torch.arange(32).reshape(2, 16) < 20, "4 to 16 cells of an image are hidden; hide as many of every"),
    ],
)
def test_cells_that_do_not_suit_the_images_are_refused(size: tuple[int, int], hidden: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        masked_vit()(torch.zeros(2, 3, *size), hidden)
