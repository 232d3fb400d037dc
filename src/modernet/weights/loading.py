"""Load weights of any known project: recognise the scheme, compare every tensor, and only then change the network."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from modernet.errors import InputError
from modernet.models import MODELS, Backbone, create_model
from modernet.progress import track
from modernet.weights.checkpoint_file import read_foreign_weights
from modernet.weights.resampling import resampled
from modernet.weights.schemes import Scheme, schemes_of

_PREFIXES = ("", "module.", "_orig_mod.", "backbone.", "encoder.", "model.", "module.backbone.", "base_model.")
"""Prefixes that training scripts and larger networks put before every name."""
_COUNTERS = "num_batches_tracked"  # older files lack it, and no result depends on it
_SHOWN = 6


@dataclass(frozen=True)
class Fit:
    """How stored tensors fit a network, before anything is loaded."""

    scheme: Scheme
    weights: dict[str, Tensor]
    """Every tensor that fits, under its name and in its shape in the network."""
    missing: dict[str, str] = field(default_factory=dict)
    """Name in the network -> the stored name that was looked for."""
    unexpected: list[str] = field(default_factory=list)
    """Stored names that no tensor of the network has."""
    misshapen: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    """Name in the network -> stored shape, shape in the network."""
    resampled: list[str] = field(default_factory=list)
    """Names of tensors that were resampled to the network's image size."""
    new: list[str] = field(default_factory=list)
    """Names of tensors of the head that keep their values: not looked for, or not found, with `skip_head`."""

    @property
    def is_whole(self) -> bool:
        """Whether every tensor of both sides has a counterpart of its shape."""
        return not (self.missing or self.unexpected or self.misshapen)

    @property
    def faults(self) -> int:
        """Number of tensors without one."""
        return len(self.missing) + len(self.unexpected) + len(self.misshapen)


@dataclass(frozen=True)
class LoadReport:
    """The result of a load."""

    project: str
    """The project whose names were used: `original`, `timm`, `torchvision`, `transformers`, `openmmlab`, `sparse`."""
    found_under: str
    """Key of the weights in the file, such as `model_ema`; empty if they are at the top level."""
    resampled: tuple[str, ...]
    """Parameters that were resampled to the network's image size."""
    new: tuple[str, ...]
    """Parameters of the head that kept their values."""


def load_weights(
    network: nn.Module,
    source: str | os.PathLike[str] | Mapping[str, Tensor],
    *,
    resample: bool = False,
    skip_head: bool = False,
) -> LoadReport:
    """Load weights into a network of the zoo, under the names of any known project.

    These are the original releases, timm, torchvision, Hugging Face transformers and OpenMMLab, for the network alone
    or as the backbone of a larger one. If anything does not fit, nothing is changed.

    Args:
        network: a network of the zoo.
        source: a `.safetensors` file, a PyTorch checkpoint (read without running the code in it), or named tensors.
        resample: resample position embeddings, relative position biases and global filters of another image size.
        skip_head: leave the classifier as it is, and other layers of the head that the weights lack.

    Raises:
        InputError: the file cannot be read or does not fit; the message shows both sides' names and the likely cause.

    >>> network = modernet.create_model("convnext_tiny")  # doctest: +SKIP
    >>> load_weights(network, "convnext_tiny_1k_224_ema.pth")  # doctest: +SKIP
    """
    if isinstance(source, Mapping):
        tensors, found_under, what = dict(source), "", "these weights"
    else:
        file = read_foreign_weights(Path(source))
        tensors, found_under, what = file.tensors, file.found_under, str(file.path)
    fit = best_fit(network, tensors, resample=resample, skip_head=skip_head)
    check_fit(network, tensors, fit, what, resample=resample)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name in fit.weights:
                tensor.copy_(fit.weights[name])
    return LoadReport(fit.scheme.project, found_under, tuple(fit.resampled), tuple(fit.new))


def best_fit(
    network: nn.Module, tensors: Mapping[str, Tensor], *, resample: bool = False, skip_head: bool = False
) -> Fit:
    """Compare stored tensors with a network under the scheme that explains most of their names; nothing is loaded."""
    ours = network.state_dict()
    candidates = [variant for scheme in schemes_of(network) for variant in _variants(scheme)]

    def explained(scheme: Scheme) -> int:
        return sum(stored in tensors for name in ours for stored in scheme.stored_names(name))

    best = max(candidates, key=explained)
    return _compare(best, network, ours, tensors, skip_head=skip_head, resample=resample)


def check_fit(
    network: nn.Module, tensors: Mapping[str, Tensor], fit: Fit, what: str, *, resample: bool = False
) -> None:
    """Check that every tensor fits.

    Args:
        what: the name of the weights in the message.

    Raises:
        InputError: it shows both sides' names and the likely cause.
    """
    if not fit.is_whole:
        raise InputError(_explain(network, tensors, fit, what, resample=resample))


def identify(tensors: Mapping[str, Tensor]) -> list[str]:
    """Return the networks of the zoo whose weights these are, whatever the number of classes."""
    size = sum(tensor.numel() for tensor in tensors.values())

    def plausible(name: str) -> bool:
        params = MODELS[name].published.params_m
        return params is None or 0.25 * size < params * 1e6 < 1.3 * size + 2e6  # a head of 21,841 classes is large

    names = [name for name in MODELS if plausible(name)]
    found = []
    for name in track(names, "looking for a network that fits", len(names)):
        with torch.device("meta"):
            network = create_model(name)
        if best_fit(network, tensors, skip_head=True).is_whole:
            found.append(name)
    return found


def _variants(scheme: Scheme) -> list[Scheme]:
    """Return a scheme and its variants in files: with a prefix, or of the body alone."""
    variants = [scheme, *(scheme.prefixed(prefix) for prefix in _PREFIXES[1:])]
    return [*variants, scheme.without_body()] if scheme.body else variants


def _compare(
    scheme: Scheme,
    network: nn.Module,
    ours: Mapping[str, Tensor],
    tensors: Mapping[str, Tensor],
    *,
    skip_head: bool,
    resample: bool,
) -> Fit:
    fit = Fit(scheme, {})
    classifier = set(head_names(network)) if skip_head else set()
    optional = network.head_modules if skip_head and isinstance(network, Backbone) else ()
    used = {stored for name in classifier for stored in scheme.stored_names(name)}
    for name, tensor in ours.items():
        stored_names = scheme.stored_names(name)
        used.update(stored_names)
        if name in classifier:
            fit.new.append(name)
            continue
        if not stored_names or any(stored not in tensors for stored in stored_names):
            if name.startswith(tuple(f"{module}." for module in optional)):
                fit.new.append(name)
            elif not name.endswith(_COUNTERS):
                fit.missing[name] = " + ".join(stored_names) or f"nothing in {scheme.project}"
            continue
        found = scheme.to_network(name, [tensors[stored] for stored in stored_names], tensor.shape)
        if found.shape != tensor.shape and resample:
            fitted = resampled(name, found, tensor.shape)
            if fitted is not None:
                found = fitted
                fit.resampled.append(name)
        if found.shape == tensor.shape:
            fit.weights[name] = found
        else:
            fit.misshapen[name] = (tuple(found.shape), tuple(tensor.shape))
    fit.unexpected.extend(name for name in tensors if name not in used and not scheme.is_ignored(name))
    return fit


def head_names(network: nn.Module) -> list[str]:
    """Return the names of the classifier's tensors, or those it would have if the network had one."""
    if not isinstance(network, Backbone):
        return []
    with torch.device("meta"):
        tensors = list(network.make_classifier(1).state_dict())
    return [f"{name}.{tensor}" for name in network.classifier_names() for tensor in tensors]


def _explain(network: nn.Module, tensors: Mapping[str, Tensor], fit: Fit, what: str, *, resample: bool) -> str:
    """Describe a mismatch: both sides' names and the likely cause."""
    kind = type(network).__name__
    if not fit.weights:
        return (
            f"{what} cannot be loaded into this {kind}: its names belong to no known project\n"
            f"  file:    {_some(tensors)}\n  network: {_some(network.state_dict())}\n"
            f"{_cause(network, tensors, fit, resample)}"
        )
    lines = [f"{what} cannot be loaded into this {kind} (names: {fit.scheme.project}); nothing was changed"]
    if fit.missing:
        pairs = [name if name == stored else f"{name} (in the file: {stored})" for name, stored in fit.missing.items()]
        lines.append(f"  missing ({len(pairs)}): {_some(pairs)}")
    if fit.unexpected:
        lines.append(f"  unexpected ({len(fit.unexpected)}): {_some(fit.unexpected)}")
    if fit.misshapen:
        pairs = [
            f"{name} is {_size(stored)} in the file and {_size(shape)} in the network"
            for name, (stored, shape) in fit.misshapen.items()
        ]
        lines.append(f"  of another shape ({len(pairs)}): {_some(pairs)}")
    return "\n".join([*lines, _cause(network, tensors, fit, resample)])


def _cause(network: nn.Module, tensors: Mapping[str, Tensor], fit: Fit, resample: bool) -> str:
    """Return the likely cause of a mismatch, and what to do."""
    head = set(head_names(network))
    faults = set(fit.missing) | set(fit.misshapen)
    if faults and faults <= head and not fit.unexpected:
        if faults <= set(fit.missing):
            return "these weights have no classifier: skip the head, and train a new one"
        classes = next(stored[0] for name, (stored, _) in fit.misshapen.items() if name.endswith("bias"))
        return f"these weights have {classes} classes: make the network with num_classes={classes}, or skip the head"
    if not resample and not fit.missing and not fit.unexpected and fit.misshapen:
        again = _compare(fit.scheme, network, network.state_dict(), tensors, skip_head=True, resample=True)
        if again.is_whole:
            return "these weights are for another image size: allow resampling, or make the network for that size"
    names = identify(tensors)
    if names:
        return f"these weights fit {' and '.join(names[:3])}"
    return "these weights fit no network of the zoo; see modernet models for the families and their sizes"


def _some(names: Sequence[str] | Mapping[str, object]) -> str:
    listed = list(names)
    more = f", and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more


def _size(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "a scalar"
