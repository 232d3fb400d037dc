"""Files in the layout of FCMAE's release, whose encoder runs on MinkowskiEngine."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from modernet.models import create_model
from modernet.models.convnext import ConvNeXt
from modernet.pretraining.fcmae import MaskedConvNeXt
from modernet.pretraining.masked import random_cells
from modernet.weights import load_weights
from modernet.weights.fitting import best_fit
from modernet.weights.loading import read_weights
from modernet.weights.pretrained import starting_weights


def network(decoder_dim: int = 8) -> MaskedConvNeXt:
    encoder = create_model("convnextv2_test")
    assert isinstance(encoder, ConvNeXt)
    return MaskedConvNeXt(encoder, decoder_dim=decoder_dim)


@pytest.fixture
def trained() -> MaskedConvNeXt:
    torch.manual_seed(0)
    model = network()
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -0.2, 0.25)
    return model


@pytest.fixture
def images() -> Tensor:
    return torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


def released(model: MaskedConvNeXt) -> dict[str, Tensor]:
    """Return the weights as the release stores them."""
    stored: dict[str, Tensor] = {}
    for name, weight in model.state_dict().items():
        owner, _, leaf = name.rpartition(".")
        layer = model.get_submodule(owner)
        sparse = name.startswith("encoder.") and not name.startswith("encoder.downsample_layers.0.")
        if sparse and isinstance(layer, nn.Conv2d):
            stored[f"{owner}.{'kernel' if leaf == 'weight' else leaf}"] = minkowski(weight)
        elif sparse and isinstance(layer, nn.LayerNorm | nn.Linear):
            stored[f"{owner}.{'ln' if isinstance(layer, nn.LayerNorm) else 'linear'}.{leaf}"] = weight
        else:
            stored[name] = weight.flatten()[None] if sparse else weight  # what is left of the sparse ones is of GRN
    return stored


def minkowski(weight: Tensor) -> Tensor:
    """Return a kernel (positions, in, out), depthwise (positions, channels), rows first; or a bias (1, channels)."""
    if weight.ndim == 1:
        return weight[None]
    (out, channels, height, width), depthwise = weight.shape, weight.shape[1] == 1
    kernel = torch.empty(height * width, *((out,) if depthwise else (channels, out)))
    for row in range(height):
        for column in range(width):
            at = weight[:, :, row, column]
            kernel[column * height + row] = at[:, 0] if depthwise else at.T
    return kernel


def test_the_layout_is_that_of_the_release(trained: MaskedConvNeXt) -> None:
    shapes = {name: tuple(weight.shape) for name, weight in released(trained).items()}
    assert shapes["encoder.downsample_layers.0.0.weight"] == (8, 3, 4, 4)
    assert shapes["encoder.downsample_layers.1.0.ln.weight"] == (8,)
    assert shapes["encoder.downsample_layers.1.1.kernel"] == (4, 8, 16)
    assert shapes["encoder.downsample_layers.1.1.bias"] == (1, 16)
    assert shapes["encoder.stages.2.1.dwconv.kernel"] == (49, 32)
    assert shapes["encoder.stages.2.1.pwconv1.linear.weight"] == (128, 32)
    assert shapes["encoder.stages.2.1.grn.gamma"] == (1, 128)
    assert shapes["decoder.0.grn.gamma"] == (1, 1, 1, 32)
    assert shapes["mask_token"] == (1, 8, 1, 1)


def test_the_encoder_starts_a_training(trained: MaskedConvNeXt, images: Tensor, tmp_path: Path) -> None:
    torch.save({"model": released(trained), "epoch": 1600}, tmp_path / "fcmae.pt")
    backbone = create_model("convnextv2_test", num_classes=5)
    report = starting_weights("convnextv2_test", tmp_path / "fcmae.pt").load_into(backbone)
    assert report.project == "sparse"
    assert report.new == ("norm.weight", "norm.bias", "head.weight", "head.bias")
    expected = trained.encoder.forward_features(images)
    torch.testing.assert_close(backbone.forward_features(images), expected, rtol=0, atol=0)


def test_the_whole_predicts_the_same(trained: MaskedConvNeXt, images: Tensor) -> None:
    other = network()
    assert load_weights(other, {"model": released(trained)}).project == "sparse"
    hidden = random_cells(torch.rand(2, 6), 0.5)
    assert torch.equal(other(images, hidden), trained(images, hidden))


def test_our_own_files_give_both(trained: MaskedConvNeXt, images: Tensor) -> None:
    other, backbone = network(), create_model("convnextv2_test", num_classes=0)
    assert load_weights(other, trained.state_dict()).project == "original"
    assert all(torch.equal(weight, other.state_dict()[name]) for name, weight in trained.state_dict().items())
    assert load_weights(backbone, trained.state_dict(), skip_head=True).found_under == "encoder"
    assert torch.equal(backbone.forward_features(images), trained.encoder.forward_features(images))


def test_a_file_without_a_decoder_does_not_fit_where_one_is_needed(trained: MaskedConvNeXt) -> None:
    encoder = {name: weight for name, weight in released(trained).items() if name.startswith("encoder.")}
    fit = best_fit(network(), read_weights(encoder))
    assert list(fit.missing) == [name for name in trained.state_dict() if not name.startswith("encoder.")]
    assert not fit.unexpected
