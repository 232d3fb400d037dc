"""Convert weights between the names of two projects, bit by bit the same."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from modernet.errors import InputError, unknown_name
from modernet.files.atomic import whole_file
from modernet.models import Backbone, create_model
from modernet.weights.checkpoint_file import read_foreign_weights
from modernet.weights.loading import best_fit, check_fit, head_names, identify
from modernet.weights.schemes import Scheme, schemes_of


def convert(
    source: str | os.PathLike[str], target: str | os.PathLike[str], to: str, *, model: str | None = None
) -> tuple[str, str]:
    """Write the weights of a file under the names of another project.

    Args:
        source: a file in any scheme that `load_weights` knows.
        target: the file to write: `.safetensors`, or `.pth` with a plain state dict.
        to: the project: `original`, `timm`, `torchvision`, `transformers`, `openmmlab`.
        model: the network of the zoo; by default recognised by the names and shapes of its weights.

    Returns:
        The name of the network, and the project whose names the source uses.

    Raises:
        InputError: the file cannot be read, fits no network of the zoo, or `to` has no scheme for its family.
    """
    out = Path(target)
    if out.suffix not in (".safetensors", ".pth", ".pt"):
        raise InputError(f"cannot write {out}: give a path that ends in .safetensors or .pth")
    file = read_foreign_weights(Path(source))
    name = model or _identified(file.tensors, file.path)
    network = network_for(name, file.tensors)
    fit = best_fit(network, file.tensors, skip_head=network.num_classes == 0)
    check_fit(network, file.tensors, fit, str(file.path))
    weights = scheme_named(network, to).to_stored(fit.weights)
    with whole_file(out) as unfinished:
        if out.suffix == ".safetensors":
            save_file(weights, unfinished, metadata={"format": "pt"})
        else:
            torch.save(weights, unfinished)
    return name, fit.scheme.project


def network_for(name: str, tensors: Mapping[str, Tensor]) -> Backbone:
    """Make a network of the zoo on the meta device with the weights' number of classes; 0 if they have no head."""
    with torch.device("meta"):
        network = create_model(name)
        assert isinstance(network, Backbone)
        fit = best_fit(network, tensors)
        head = set(head_names(network))
        classes = {shape[0] for each, (shape, _) in fit.misshapen.items() if each in head and each.endswith("bias")}
        if head and head <= set(fit.missing):
            classes = {0}
        if classes:
            network.reset_classifier(max(classes))
    return network


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


def _identified(tensors: Mapping[str, Tensor], path: Path) -> str:
    names = identify(tensors)
    if not names:
        raise InputError(f"{path} fits no network of the zoo; give --model NAME to see how it differs from one")
    return names[0]
