"""CoaT and CoaT-Lite against timm, and their configs."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from timm.models.coat import CoaT
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.errors import InputError
from modernet.models import Backbone, create_model
from modernet.models.backbone import Tokens
from modernet.models.coat import resampled
from modernet.weights import load_weights


def images(height: int, width: int) -> Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))


def randomise(network: nn.Module) -> None:
    """Norms, biases and class tokens too, so that swapped parameters show."""
    torch.manual_seed(0)
    for name, parameter in network.named_parameters():
        if parameter.ndim == 1:
            nn.init.uniform_(parameter, 0.5, 1.5)
        elif name.startswith("cls_token"):
            nn.init.normal_(parameter)


def equal(reference: Any, name: str, height: int, width: int, **fields: Any) -> None:
    randomise(reference.eval())
    ours = create_model(name, **fields).eval()
    assert isinstance(ours, Backbone)
    load_weights(ours, reference.state_dict())

    x = images(height, width)
    maps = reference.forward_intermediates(x, intermediates_only=True)
    for actual, expected in zip(
        [*ours.forward_intermediates(x, intermediates_only=True), ours(x)], [*maps, reference(x)], strict=True
    ):
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 64)])
def test_coat_lite_and_its_maps_equal_timm_under_the_same_names(height: int, width: int) -> None:
    fields: dict[str, Any] = {"dims": (16, 24, 32, 48), "depths": (1, 2, 2, 3), "mlp_ratios": (8.0, 4.0, 2.0, 3.0)}
    reference = CoaT(
        img_size=(height, width),  # type: ignore[arg-type]  # a pair works too
        patch_size=4,
        embed_dims=fields["dims"],
        serial_depths=fields["depths"],
        mlp_ratios=fields["mlp_ratios"],
    )
    equal(reference, "coat_lite_tiny", height, width, **fields)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 64)])
def test_coat_and_its_maps_equal_timm_under_the_same_names(height: int, width: int) -> None:
    fields: dict[str, Any] = {"dims": (16, 32, 32, 32), "depths": (1, 2, 1, 2), "mlp_ratios": (4.0, 3.0, 3.0, 3.0)}
    reference = CoaT(
        img_size=(height, width),  # type: ignore[arg-type]  # a pair works too
        patch_size=4,
        embed_dims=fields["dims"],
        serial_depths=fields["depths"],
        parallel_depth=3,
        mlp_ratios=fields["mlp_ratios"],
    )
    equal(reference, "coat_tiny", height, width, parallel_depth=3, **fields)


@pytest.mark.parametrize("name", ["coat_lite_tiny", "coat_tiny"])
def test_real_variants_equal_timm_under_the_same_names(name: str) -> None:
    equal(timm.create_model(name, img_size=64), name, 64, 64)


def test_resampling_a_grid_keeps_its_class_token() -> None:
    tokens = Tokens(torch.randn(2, 1 + 3 * 4, 5), (3, 4))
    assert resampled(*tokens, (3, 4)) is tokens.x
    actual = Tokens(resampled(*tokens, (7, 2)), (7, 2))
    torch.testing.assert_close(actual.x[:, 0], tokens.x[:, 0], rtol=0, atol=0)
    torch.testing.assert_close(actual.as_map(), F.interpolate(tokens.as_map(), (7, 2), mode="bilinear"))


@pytest.mark.parametrize("name", ["coat_lite_test", "coat_test"])
def test_incomplete_patches_are_cropped(name: str) -> None:
    network = create_model(name).eval()
    assert isinstance(network, Backbone)
    _, maps = network.forward_intermediates(images(75, 70))
    assert [tuple(x.shape[2:]) for x in maps] == [(18, 17), (9, 8), (4, 4), (2, 2)]
    # rows and columns beyond the last whole patch have no effect; first-scale patches are 4 wide
    torch.testing.assert_close(network(images(75, 70)), network(images(75, 70)[:, :, :72, :68]), rtol=0, atol=0)


def test_every_scale_of_a_coat_sees_the_others() -> None:
    network = create_model("coat_test", features_only=True).eval()
    x = images(64, 64)
    before = network(x)
    with torch.no_grad():
        network.get_parameter("backbone.parallel_blocks.0.factoratt_crpe2.proj.bias").add_(1.0)
    assert all(not torch.equal(old, new) for old, new in zip(before[1:], network(x)[1:], strict=True))
    torch.testing.assert_close(network(x)[0], before[0], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("coat_lite_test", {"depths": (1, 1)}, r"depths is \(1, 1\); give four numbers above 0, one for each scale"),
        ("coat_lite_test", {"depths": (1, 1, 0, 1)}, "depths is .* give four numbers above 0"),
        ("coat_lite_test", {"dims": (8, 8, 8)}, r"dims is \(8, 8, 8\); give four numbers above 0"),
        ("coat_lite_test", {"mlp_ratios": (1.0, 0.0, 1.0, 1.0)}, "mlp_ratios is .* give four numbers above 0"),
        ("coat_lite_test", {"windows": (3, 4)}, r"windows is \(3, 4\); give odd sizes above 0"),
        ("coat_lite_test", {"windows": (3, -1)}, r"windows is \(3, -1\); give odd sizes above 0"),
        ("coat_lite_test", {"windows": (3,)}, r"windows \(3,\) and window_heads \(1, 3\): give a number of heads for"),
        ("coat_lite_test", {"window_heads": (4, 0)}, "give a number of heads for each window"),
        ("coat_lite_test", {"windows": (), "window_heads": ()}, "give a number of heads for each window"),
        ("coat_lite_test", {"dims": (8, 16, 26, 32)}, r"dims is \(8, 16, 26, 32\); give multiples of the 4 heads"),
        ("coat_test", {"dims": (8, 16, 16, 24)}, "parallel blocks add scales 2 to 4 and share their MLP: give those"),
        ("coat_test", {"mlp_ratios": (4.0, 4.0, 2.0, 2.0)}, "mlp_ratios is .* give those scales equal values"),
        ("coat_test", {"parallel_depth": 0}, "parallel_depth is 0; give 1 or more"),
        ("coat_test", {"global_pool": "avg"}, "global_pool is 'avg'; give 'token', or ''"),
    ],
)
def test_invalid_configs_raise(name: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        create_model(name, **fields)


@pytest.mark.parametrize("index", [1, 2, 3])
def test_a_pruned_network_returns_the_tokens_of_the_scale_that_it_keeps(index: int) -> None:
    network = create_model("coat_test").eval()
    assert isinstance(network, Backbone)
    randomise(network)
    x = images(64, 64)
    [(expected, token)] = network.forward_intermediates(
        x, [index], norm=True, return_prefix_tokens=True, intermediates_only=True
    )
    assert token.shape == (2, 1, 16)
    network.prune_intermediate_layers([index])
    tokens = network.forward_features(x)
    torch.testing.assert_close(tokens, torch.cat([token, expected.flatten(2).transpose(1, 2)], 1), rtol=0, atol=0)
