"""Vision Transformers: equal to timm, any image size, two heads."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from timm.layers import resample_abs_pos_embed
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from modernet.errors import InputError
from modernet.layers import resample_position_embedding
from modernet.models import create_model

SMALL = {"patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 4, "num_classes": 5}
OURS = {"patch_size": 8, "dim": 32, "depth": 2, "heads": 4, "num_classes": 5}


def images(height: int, width: int | None = None) -> Tensor:
    return torch.randn(2, 3, height, width or height, generator=torch.Generator().manual_seed(0))


def randomised(network: nn.Module) -> Any:
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        nn.init.uniform_(parameter, -0.4, 0.6, generator=generator)
    return network.eval()


@pytest.mark.parametrize(
    ("model", "fields", "make_reference"),
    [
        ("vit_test", {}, lambda: VisionTransformer(img_size=32, **SMALL)),
        ("vit_test", {"global_pool": "avg"}, lambda: VisionTransformer(img_size=32, global_pool="avg", **SMALL)),
        ("deit_test", {}, lambda: VisionTransformerDistilled(img_size=32, **SMALL)),
    ],
    ids=["class token", "mean of the patches", "distilled"],
)
def test_scores_and_maps_equal_timm_under_the_same_names(
    model: str, fields: dict[str, Any], make_reference: Any
) -> None:
    reference = randomised(make_reference())
    network = create_model(model, image_size=32, **OURS, **fields).eval()
    network.load_state_dict(reference.state_dict())
    x = images(32)
    torch.testing.assert_close(network(x), reference(x), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        network.forward_intermediates(x, intermediates_only=True),
        reference.forward_intermediates(x, intermediates_only=True),
        rtol=1e-5,
        atol=1e-4,
    )


@pytest.mark.parametrize(("height", "width"), [(48, 32), (36, 44), (16, 16)])
def test_other_image_sizes_equal_timm(height: int, width: int) -> None:
    reference = randomised(VisionTransformer(img_size=32, dynamic_img_size=True, dynamic_img_pad=True, **SMALL))
    network = create_model("vit_test", image_size=32, **OURS).eval()
    network.load_state_dict(reference.state_dict())
    x = images(height, width)
    torch.testing.assert_close(network(x), reference(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "timm_name"),
    [
        ("vit_large_patch16", "vit_large_patch16_224"),
        ("deit_tiny", "deit_tiny_patch16_224"),
        ("deit_base_384", "deit_base_patch16_384"),
        ("deit_base_distilled", "deit_base_distilled_patch16_224"),
    ],
)
def test_names_and_shapes_equal_the_releases(name: str, timm_name: str) -> None:
    with torch.device("meta"):
        expected = timm.create_model(timm_name).state_dict()
        actual = create_model(name).state_dict()
    assert {name: x.shape for name, x in actual.items()} == {name: x.shape for name, x in expected.items()}


@pytest.mark.parametrize("new_grid", [(4, 4), (3, 7), (9, 6)])
def test_position_embeddings_are_resampled_as_in_timm(new_grid: tuple[int, int]) -> None:
    embedding = torch.randn(1, 1 + 16, 8, generator=torch.Generator().manual_seed(0))
    expected = resample_abs_pos_embed(embedding, list(new_grid), [4, 4], num_prefix_tokens=1)
    torch.testing.assert_close(resample_position_embedding(embedding, (4, 4), new_grid, 1), expected)


def test_resetting_the_classifier_resets_both_heads_of_a_distilled_network() -> None:
    network = create_model("deit_test").eval()
    network.reset_classifier(3)
    assert network.head.out_features == network.head_dist.out_features == 3
    tokens = network.forward_features(images(64))
    expected = (network.head(tokens[:, 0]) + network.head_dist(tokens[:, 1])) / 2
    torch.testing.assert_close(network(images(64)), expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"depth": 0}, "depth is 0; give 1 or more"),
        ({"image_size": 60}, "image_size is 60 and patch_size 16; give a multiple of the patch size"),
        ({"heads": 3}, "dim is 32 and heads 3; give a multiple of the heads"),
        ({"mlp_ratio": 0.0}, "mlp_ratio is 0.0; give a number above 0"),
    ],
)
def test_invalid_configs_raise(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        create_model("vit_test", **fields)


def test_a_distilled_network_does_not_pool_patches() -> None:
    with pytest.raises(InputError, match="global_pool is 'avg'; give 'token', or ''"):
        create_model("deit_test", global_pool="avg")
