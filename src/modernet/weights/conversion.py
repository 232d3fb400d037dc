"""Convert weights between the names of two projects, bit by bit the same."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from modernet.errors import InputError, unknown_name
from modernet.files.atomic import whole_file
from modernet.models import Backbone, create_model, get_entry
from modernet.models.vit import VisionTransformer
from modernet.pretraining.mae import MaskedViT
from modernet.weights.checkpoint_file import CheckpointFile, read_foreign_weights
from modernet.weights.fitting import best_fit, head_names, identify
from modernet.weights.misfit import check_fit
from modernet.weights.resampling import sides
from modernet.weights.schemes import Scheme, schemes_of
from modernet.weights.schemes.mae import MAE

_DECODER_BLOCK = re.compile(r"\bdecoder_(?:blocks|layers|encoder\.layer)\.(\d+)\.")  # here and in transformers


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    to: str,
    *,
    model: str | None = None,
    entry: str | None = None,
) -> tuple[str, str]:
    """Write the weights of a file under the names of another project.

    The decoder of a masked autoencoder is written too, where the project has one.

    Args:
        source: a file, or a folder, that `load_weights` can read.
        target: the file to write: `.safetensors`, or `.pth` with a plain state dict.
        to: the project: `original`, `timm`, `torchvision`, `transformers`, `openmmlab`.
        model: the network of the zoo; by default recognised by the names and shapes of its weights.
        entry: of several sets of weights in the file, the one there; as for `load_weights`.

    Returns:
        The name of the network, and the project whose names the source uses.

    Raises:
        InputError: the file cannot be read, fits no network of the zoo, or `to` has no scheme for its family.
    """
    out = Path(target)
    if out.suffix not in (".safetensors", ".pth", ".pt"):
        raise InputError(f"cannot write {out}: give a path that ends in .safetensors or .pth")
    file = read_foreign_weights(Path(source))
    name = model or _identified(file)
    encoder = network_for(name, file, entry=entry)
    network = with_decoder(encoder, file) if to in {scheme.project for scheme in MAE} else encoder
    fit = best_fit(network, file, entry=entry, skip_head=encoder.num_classes == 0)
    check_fit(network, file, fit)
    weights = scheme_named(network, to).to_stored(fit.weights)
    with whole_file(out) as unfinished:
        if out.suffix == ".safetensors":
            save_file(weights, unfinished, metadata={"format": "pt"})
        else:
            torch.save(weights, unfinished)
    return name, fit.scheme.project


def network_for(name: str, file: CheckpointFile, *, entry: str | None = None) -> Backbone:
    """Make a network of the zoo on the meta device, as `fields_for` says."""
    with torch.device("meta"):
        network = create_model(name, **fields_for(name, file, entry=entry))
    assert isinstance(network, Backbone)
    return network


def with_decoder(encoder: Backbone, file: CheckpointFile) -> nn.Module:
    """Return the masked autoencoder of a ViT whose decoder a file has, on the meta device; the ViT itself without one.

    Raises:
        InputError: the decoder has another shape than MAE's.
    """
    if type(encoder) is not VisionTransformer:
        return encoder
    for each in file.entries:
        widths = [tensor.shape[0] for name, tensor in each.tensors.items() if name.endswith("decoder_embed.weight")]
        blocks = {found[1] for name in each.tensors for found in [_DECODER_BLOCK.search(name)] if found}
        if widths and blocks:
            with torch.device("meta"):
                return MaskedViT(encoder, decoder_dim=widths[0], decoder_depth=len(blocks))
    return encoder


def fields_for(name: str, file: CheckpointFile, *, entry: str | None = None) -> dict[str, Any]:
    """Return the fields, other than the model's own, with which a network of the zoo takes weights as they are.

    These are `num_classes`, 0 if they have no classifier; `global_pool`, if they are of a ViT that averages;
    `in_chans`; and `image_size`, or the `window_size` of a Swin Transformer, if they are for another image size.
    """
    with torch.device("meta"):
        network = create_model(name)
    fit = best_fit(network, file, entry=entry)
    fields: dict[str, Any] = {}
    head = set(head_names(network))
    if "norm.weight" in fit.missing and set(fit.scheme.stored_names("fc_norm.weight")) & set(fit.unexpected):
        fields["global_pool"] = "avg"  # a ViT whose norm is after the mean, as MAE fine-tunes it
    classes = [stored[0] for each, (stored, _) in fit.misshapen.items() if each in head and each.endswith("bias")]
    if head and head <= set(fit.missing):
        fields["num_classes"] = 0
    elif classes:
        fields["num_classes"] = max(classes)
    for each in fit.adapted:
        fields["in_chans"] = fit.entry.tensors[fit.scheme.stored_names(each)[0]].shape[1]
    known = {field.name for field in dataclasses.fields(get_entry(name).config)}
    stored, ours = next(filter(None, (sides(each, *shapes) for each, shapes in fit.misshapen.items())), (1, 1))
    size, remainder = divmod(get_entry(name).published.image_size * stored, ours)
    if stored != ours and "window_size" in known:
        fields["window_size"] = stored
    elif stored != ours and "image_size" in known and not remainder:
        fields["image_size"] = size
    return fields


def scheme_named(network: nn.Module, project: str) -> Scheme:
    """Return the scheme of a project in which every parameter of a network can be stored.

    Raises:
        InputError: the project has no scheme for this family.
    """
    schemes = [scheme for scheme in schemes_of(network) if scheme.writable]
    for scheme in schemes:
        if scheme.project == project and scheme.fits(network.state_dict()):
            return scheme
    raise unknown_name(f"scheme for {type(network).__name__}", project, {scheme.project for scheme in schemes})


def _identified(file: CheckpointFile) -> str:
    names = identify(file)
    if not names:
        raise InputError(f"{file.name} fits no network of the zoo; give --model NAME to see how it differs from one")
    return names[0]
