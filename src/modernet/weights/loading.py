"""Load weights of any known project: recognise the scheme, compare every tensor, and only then change the network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from modernet.errors import InputError
from modernet.weights.checkpoint_file import CheckpointFile, entries_of, read_foreign_weights
from modernet.weights.fitting import best_fit, some_of
from modernet.weights.misfit import check_fit


@dataclass(frozen=True)
class LoadReport:
    """The result of a load."""

    project: str
    """The project whose names were used: `original`, `timm`, `torchvision`, `transformers`, `openmmlab`, `sparse`; or
    the owner of a repository."""
    found_under: str
    """Where the weights were: keys in the file, then the prefix of the names, such as `state_dict.teacher.backbone`;
    empty if there is neither.
    """
    resampled: tuple[str, ...]
    """Parameters that were resampled to the network's image size."""
    adapted: tuple[str, ...]
    """The first convolution, if the weights are for another number of channels."""
    new: tuple[str, ...]
    """Parameters of the head that kept their values."""


def load_weights(
    network: nn.Module,
    source: str | os.PathLike[str] | Mapping[str, Any],
    *,
    entry: str | None = None,
    resample: bool = False,
    skip_head: bool = False,
) -> LoadReport:
    """Load weights into a network of the zoo, under the names of any known project.

    These are the original releases, timm, torchvision, Hugging Face transformers and OpenMMLab, for the network alone
    or as a part of a larger one. If anything does not fit, nothing is changed.

    Wrappers may have put any prefixes before the names (`module.`, `_orig_mod.`, `model.net.`, ...), and a checkpoint
    may have the weights in any dictionary. Those that fit the network best are taken; of several, the averaged ones
    (`ema`, `swa`, `teacher`, ...). A first convolution for another number of channels is adapted as in timm: summed
    for one channel, repeated and rescaled for more.

    Args:
        network: a network of the zoo.
        source: a `.safetensors` file, a PyTorch checkpoint (read without running the code in it), the index of a
            sharded one, a folder of `save_pretrained`, or named tensors.
        entry: take the weights there: keys in the file, then the prefix of the names, such as `"model.student"`.
        resample: resample position embeddings, relative position biases and global filters of another image size.
        skip_head: leave the classifier as it is, and other layers of the head that the weights lack; leave out those
            that the network lacks. Of a detector or a segmenter, leave the layers that depend on the classes.

    Raises:
        InputError: the file cannot be read or does not fit; the message shows both sides' names and the likely cause.
            Or two sets of weights fit equally well; the message names both.

    >>> network = modernet.create_model("convnext_tiny")  # doctest: +SKIP
    >>> load_weights(network, "convnext_tiny_1k_224_ema.pth")  # doctest: +SKIP
    """
    return load_file(network, read_weights(source), entry=entry, resample=resample, skip_head=skip_head)


def read_weights(source: str | os.PathLike[str] | Mapping[str, Any]) -> CheckpointFile:
    """Return what `load_weights` takes as the dictionaries of tensors in it.

    Raises:
        InputError: the file cannot be read, or there are no tensors.
    """
    if isinstance(source, Mapping):
        entries = tuple(entries_of(source))
        if not entries:
            keys = some_of(list(map(str, source))) or "nothing"
            raise InputError(f"these weights have no tensors, only {keys}; give a state dict")
        return CheckpointFile("these weights", entries)
    return read_foreign_weights(Path(source))


def load_file(
    network: nn.Module,
    file: CheckpointFile,
    *,
    entry: str | None = None,
    resample: bool = False,
    skip_head: bool = False,
) -> LoadReport:
    """As `load_weights`, for a file that has been read."""
    fit = best_fit(network, file, entry=entry, resample=resample, skip_head=skip_head)
    check_fit(network, file, fit, resample=resample)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name in fit.weights:
                tensor.copy_(fit.weights[name])
    return LoadReport(fit.scheme.project, fit.found_under, tuple(fit.resampled), tuple(fit.adapted), tuple(fit.new))
