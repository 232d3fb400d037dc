"""Weights of MAE: the release's files, parity with transformers' class, and what ours become elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import modernet
from modernet.errors import InputError
from modernet.models import create_model
from modernet.models.vit import VisionTransformer
from modernet.pretraining.mae import MaskedViT
from modernet.pretraining.masked import masked_loss, random_cells
from modernet.weights import convert, load_model, load_weights

HF = {
    "image_size": 64, "patch_size": 16, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 128, "decoder_hidden_size": 64, "decoder_num_hidden_layers": 2,
    "decoder_num_attention_heads": 2, "decoder_intermediate_size": 256, "layer_norm_eps": 1e-6,
}  # fmt: skip
IMAGES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
NOISE = torch.rand(2, 16, generator=torch.Generator().manual_seed(1))


def masked_vit(seed: int = 0) -> MaskedViT:
    torch.manual_seed(seed)
    return MaskedViT(vit(), decoder_dim=64, decoder_depth=2)


def vit(**fields: Any) -> VisionTransformer:
    network = create_model("vit_test", **fields)
    assert isinstance(network, VisionTransformer)
    return network


def randomised(network: nn.Module) -> Any:
    """Positions too, which are zeros in a new network of transformers."""
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        nn.init.uniform_(parameter.requires_grad_(False), -0.2, 0.25, generator=generator)
    return network.eval()


def assert_same_predictions(ours: MaskedViT, theirs: Any) -> None:
    hidden = random_cells(NOISE, 0.75)
    for norm_pixels in (False, True):
        theirs.config.norm_pix_loss = norm_pixels
        with torch.no_grad():
            output, predictions = theirs(IMAGES, noise=NOISE), ours(IMAGES, hidden)
        assert torch.equal(output.mask.bool(), hidden)
        torch.testing.assert_close(predictions, output.logits, rtol=1e-4, atol=1e-5)
        loss = masked_loss(predictions, IMAGES, hidden, ours.cell, norm_pixels=norm_pixels)
        torch.testing.assert_close(loss, output.loss, rtol=1e-5, atol=0.0)


@pytest.mark.medium
def test_transformers_weights_give_its_predictions_and_losses(tmp_path: Path) -> None:
    theirs = randomised(transformers.ViTMAEForPreTraining(transformers.ViTMAEConfig(**HF)))
    theirs.save_pretrained(tmp_path)
    on_disk = load_file(tmp_path / "model.safetensors")
    of_hub = {name.replace("decoder_encoder.layer.", "decoder_layers."): value for name, value in on_disk.items()}
    for source in (tmp_path, of_hub, theirs.state_dict()):  # names that version 5 writes, of older files, in memory
        ours = masked_vit()
        assert load_weights(ours, source).project == "transformers"
        assert_same_predictions(ours, theirs)
    encoder = vit(num_classes=0)
    load_weights(encoder, tmp_path)
    assert all(torch.equal(value, ours.encoder.state_dict()[name]) for name, value in encoder.state_dict().items())
    for project in ("original", "transformers"):
        convert(tmp_path / "model.safetensors", tmp_path / f"{project}.safetensors", project, model="vit_test")
    back = load_file(tmp_path / "transformers.safetensors")
    assert back.keys() == of_hub.keys()
    assert all(torch.equal(back[name], of_hub[name]) for name in of_hub)
    other = masked_vit()
    assert load_weights(other, tmp_path / "original.safetensors").project == "original"
    assert all(torch.equal(value, ours.state_dict()[name]) for name, value in other.state_dict().items())


@pytest.mark.medium
def test_ours_go_to_transformers_and_timm(tmp_path: Path) -> None:
    ours = masked_vit()
    save_file(ours.state_dict(), tmp_path / "ours.safetensors")
    convert(tmp_path / "ours.safetensors", tmp_path / "model.safetensors", "transformers", model="vit_test")
    transformers.ViTMAEConfig(**HF).save_pretrained(tmp_path)
    theirs, loading = transformers.ViTMAEForPreTraining.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(loading[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert_same_predictions(ours, theirs.eval())
    convert(tmp_path / "ours.safetensors", tmp_path / "timm.safetensors", "timm", model="vit_test")
    of_timm = timm.models.VisionTransformer(
        img_size=64, patch_size=16, embed_dim=32, depth=2, num_heads=2, num_classes=0
    )
    of_timm.load_state_dict(load_file(tmp_path / "timm.safetensors"))
    with torch.no_grad():
        found, expected = of_timm.eval()(IMAGES), ours.encoder(IMAGES)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def released(network: MaskedViT, *, decoder: bool) -> dict[str, Any]:
    """A checkpoint of the release: `mae_visualize_vit_large.pth`, or without decoder `mae_pretrain_vit_large.pth`."""
    weights = {name.removeprefix("encoder."): value for name, value in network.state_dict().items()}
    if not decoder:
        weights = {name: value for name, value in weights.items() if "decoder" not in name and name != "mask_token"}
    return {"model": weights}


@pytest.mark.parametrize("decoder", [True, False])
@pytest.mark.parametrize(("pool", "kept"), [("token", set()), ("avg", {"fc_norm.weight", "fc_norm.bias"})])
def test_encoders_of_the_release_begin_a_classifier(decoder: bool, pool: str, kept: set[str]) -> None:
    ours, network = masked_vit(), vit(num_classes=5, global_pool=pool)
    nn.init.normal_(network.head.weight)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    report = load_weights(network, released(ours, decoder=decoder), skip_head=True)
    assert set(report.new) == {"head.weight", "head.bias", *kept}
    for name, value in network.state_dict().items():
        expected = before[name] if name in report.new else ours.encoder.state_dict()[name]
        assert torch.equal(value, expected), name
    assert network.pos_embed.requires_grad


def test_weights_without_the_norm_of_the_networks_pooling_say_what_to_do(tmp_path: Path) -> None:
    pretrained, finetuned = tmp_path / "pretrain.pth", tmp_path / "finetuned.pth"
    torch.save(released(masked_vit(), decoder=False), pretrained)
    torch.save({"model": vit(num_classes=5, global_pool="avg").state_dict()}, finetuned)
    of_file = {"pretrained": True, "pretrained_cfg": {"file": str(pretrained)}}
    with pytest.raises(
        InputError, match="a network that takes the class token: make this one with global_pool='token'"
    ):
        modernet.create_model("vit_test", **of_file, global_pool="avg", num_classes=0)
    with pytest.raises(InputError, match="a network that averages the patches: make this one with global_pool='avg'"):
        load_weights(vit(num_classes=5), finetuned)
    assert modernet.create_model("vit_test", **of_file, num_classes=0)(IMAGES).shape == (2, 32)
    assert modernet.create_model("vit_test", **of_file, global_pool="avg", num_classes=5)(IMAGES).shape == (2, 5)


def test_a_pretrained_network_of_ours_begins_a_classifier() -> None:
    ours, network = masked_vit(), vit(num_classes=5, global_pool="avg")
    report = load_weights(network, ours.state_dict(), skip_head=True)
    assert report.found_under == "encoder"
    assert torch.equal(network.blocks[0].attn.qkv.weight, ours.encoder.blocks[0].attn.qkv.weight)


def test_files_with_a_decoder_reconstruct_and_those_without_are_refused() -> None:
    source, network = masked_vit(), masked_vit(seed=1)
    with pytest.raises(InputError, match="there is no decoder in these weights, and without one nothing can be"):
        load_weights(network, released(source, decoder=False))
    load_weights(network, released(source, decoder=True))
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in network.state_dict().items())


def test_fine_tuned_files_give_a_classifier_that_averages(tmp_path: Path) -> None:
    network = randomised(vit(num_classes=5, global_pool="avg"))
    torch.save({"model": network.state_dict(), "epoch": 99}, tmp_path / "mae_finetuned.pth")
    saved = load_model("vit_test", tmp_path / "mae_finetuned.pth")
    assert saved.spec.fields == {"global_pool": "avg"}
    assert saved.preparation.image_size == 64
    torch.testing.assert_close(saved.network(IMAGES), network(IMAGES))
    saved.spec.build(5).load_state_dict(network.state_dict())
    convert(tmp_path / "mae_finetuned.pth", tmp_path / "timm.safetensors", "timm", model="vit_test")
    stored: dict[str, Tensor] = load_file(tmp_path / "timm.safetensors")
    assert stored.keys() == network.state_dict().keys()
