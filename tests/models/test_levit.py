from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from timm.models.levit import LevitDistilled
from torch import Tensor, nn

from modernet.errors import InputError
from modernet.models import create_model
from modernet.models.levit import LeViT, fuse_norms
from modernet.weights import load_weights

SMALL = {"image_size": 96, "dims": (32, 48, 64), "depths": (1, 2, 1), "heads": (2, 3, 4), "key_dim": 8}


def randomised(network: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    for name, tensor in network.state_dict().items():
        if name.endswith(("running_var", "bn.weight")):
            nn.init.uniform_(tensor, 0.5, 1.5, generator=generator)
        elif name.endswith(("bias", "running_mean")):
            nn.init.uniform_(tensor, -0.3, 0.3, generator=generator)
        elif name.endswith("attention_biases"):
            nn.init.normal_(tensor, generator=generator)
    return network.eval()


def images(size: int) -> Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))


def pair(name: str) -> tuple[LeViT, LevitDistilled, int]:
    """Return ours and timm's with the same weights, and the image size."""
    if name == "small":
        reference = LevitDistilled(img_size=96, embed_dim=(32, 48, 64), depth=(1, 2, 1), num_heads=(2, 3, 4), key_dim=8)
        ours, size = create_model("levit_test", num_classes=1000, **SMALL), 96
    else:
        reference, ours, size = timm.create_model(name), create_model(name), 224
    assert isinstance(ours, LeViT)
    load_weights(ours, randomised(reference).state_dict())
    return ours.eval(), reference, size


@pytest.mark.parametrize("name", ["small", "levit_128s"])
def test_scores_equal_timm(name: str) -> None:
    ours, reference, size = pair(name)
    expected = reference(images(size))
    torch.testing.assert_close(ours(images(size)), expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


@pytest.mark.medium
@pytest.mark.parametrize("name", ["small", "levit_128s"])
def test_each_head_equals_timms_in_training(name: str) -> None:
    ours, reference, size = pair(name)
    ours.double().train()  # double: the heads' BatchNorms see two vectors and amplify rounding
    reference.double().train()
    reference.set_distilled_training(True)
    x = images(size).double()
    expected = reference(x)
    vector = ours.forward_head(ours.forward_features(x), pre_logits=True)
    for classifier, scores in zip(ours.classifier_names(), expected, strict=True):
        torch.testing.assert_close(ours.get_submodule(classifier)(vector), scores)


def test_norms_fold_into_adjacent_layers() -> None:
    network = create_model("levit_test", num_classes=5, depths=(1, 2, 1))
    assert isinstance(network, LeViT)
    randomised(network)
    fused = fuse_norms(network)
    assert not any(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in fused.modules())
    assert any(isinstance(module, nn.BatchNorm1d) for module in network.modules())
    expected = network(images(96))
    torch.testing.assert_close(fused(images(96)), expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


def test_attention_between_stages_is_a_softmax_over_keys_with_distance_biases() -> None:
    network = create_model("levit_test")
    layer = network.get_submodule("blocks.2")
    randomised(layer)
    x = torch.randn(1, 36, 32)
    k, v = layer.kv(x).unflatten(2, (4, -1)).split([8, 32], dim=3)  # type: ignore[operator]
    q = layer.q[1](x[:, [6 * y + x for y in (0, 2, 4) for x in (0, 2, 4)]]).unflatten(2, (4, -1))  # type: ignore[index,operator]
    out = torch.zeros(1, 9, 4, 32)
    for query in range(9):
        for head in range(4):
            scores = torch.empty(36)
            for key in range(36):
                dy, dx = abs(2 * (query // 3) - key // 6), abs(2 * (query % 3) - key % 6)
                bias = layer.attention_biases[head, 6 * dy + dx]  # type: ignore[index]
                scores[key] = q[0, query, head] @ k[0, key, head] / 8**0.5 + bias
            out[0, query, head] = scores.softmax(0) @ v[0, :, head]
    torch.testing.assert_close(layer(x), layer.proj(out.flatten(2)), rtol=1e-4, atol=1e-5)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_size": 100}, "image_size is 100; give a multiple of 16"),
        ({"depths": (1, 1)}, "give one number in each for each stage"),
        ({"heads": (1, 0, 1)}, "give 1 or more for each"),
        ({"dims": (32, 48, 60)}, "give multiples of 8, at least key_dim"),
    ],
)
def test_invalid_configs_raise(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        create_model("levit_test", **fields)
