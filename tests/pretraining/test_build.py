"""The masked autoencoder of a network, and how an optimizer sees it."""

from __future__ import annotations

import pytest
import torch

from modernet.errors import InputError
from modernet.models import create_model
from modernet.pretraining.build import masked_autoencoder
from modernet.training.steps.param_groups import parameter_groups


@pytest.mark.parametrize(
    ("name", "tokens"),
    [
        ("vit_test", {"encoder.cls_token", "mask_token"}),
        ("convnextv2_test", {"encoder.stages.2.1.grn.gamma", "decoder.0.grn.beta", "mask_token"}),
    ],
)
def test_all_but_vectors_decay_as_in_the_releases_and_the_decoder_is_the_last_layer(
    name: str, tokens: set[str]
) -> None:
    network = masked_autoencoder(create_model(name), decoder_dim=32, decoder_depth=1)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    free, decaying = (
        {
            names[id(parameter)]
            for group in parameter_groups(network, 0.05)
            for parameter in group["params"]
            if group["weight_decay"] == decay
        }
        for decay in (0, 0.05)
    )
    assert free == {name for name, parameter in network.named_parameters() if parameter.ndim == 1}
    assert tokens < decaying

    *encoder, decoder = network.layer_groups()
    assert sorted([*decoder, *(each for layer in encoder for each in layer)]) == sorted(names.values())
    assert {each.startswith("encoder.") for layer in encoder for each in layer} == {True}
    (first,) = {
        group["lr_scale"]
        for group in parameter_groups(network, 0.05, 0.5)
        for p in group["params"]
        if p is next(network.encoder.parameters())
    }
    assert first == 0.5 ** len(encoder)


@pytest.mark.parametrize("name", ["vit_test", "convnextv2_test", "convnext_test"])
def test_every_trained_parameter_has_a_gradient(name: str) -> None:
    torch.manual_seed(0)
    network = masked_autoencoder(create_model(name), decoder_dim=32, decoder_depth=1)
    side = 3 * network.cell
    hidden = torch.rand(2, 9).argsort(1) > 3
    network(torch.randn(2, 3, side, side), hidden).square().sum().backward()
    for parameter, value in network.named_parameters():
        assert (value.grad is not None) == value.requires_grad, parameter


@pytest.mark.parametrize("name", ["resnet18", "swin_test", "s4nd_convnext_test"])
def test_other_networks_are_refused(name: str) -> None:
    with torch.device("meta"):
        network = create_model(name)
    with pytest.raises(InputError, match="cannot be pre-trained with masked images; give a --model that is a ViT"):
        masked_autoencoder(network, decoder_dim=32, decoder_depth=1)
