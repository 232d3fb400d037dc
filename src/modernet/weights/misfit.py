"""Why stored tensors do not fit a network: both sides' names, the likely cause, and what to do."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from modernet.errors import InputError
from modernet.models import DenseNetwork
from modernet.pretraining.masked import MaskedAutoencoder
from modernet.weights.checkpoint_file import CheckpointFile
from modernet.weights.fitting import Fit, compare, head_names, identify, some_of
from modernet.weights.resampling import sides

_NORMS = {f"{module}.{part}" for module in ("norm", "fc_norm") for part in ("weight", "bias")}
"""The last norms of a ViT: of all tokens, or of the mean of the patches."""


def check_fit(network: nn.Module, file: CheckpointFile, fit: Fit, *, resample: bool = False) -> None:
    """Check that every tensor fits.

    Raises:
        InputError: it shows both sides' names and the likely cause, or says in one line that a decoder is missing.
    """
    if isinstance(network, MaskedAutoencoder) and _lacks_decoder(network, fit):
        raise InputError(
            f"there is no decoder in {file.name}, and without one nothing can be reconstructed; give a file with a "
            "decoder, or load these into the encoder alone"
        )
    if not fit.is_whole:
        raise InputError(_explain(network, file, fit, resample=resample))


def _lacks_decoder(network: MaskedAutoencoder, fit: Fit) -> bool:
    decoder = {name for name in network.state_dict() if not name.startswith("encoder.")}
    return set(fit.missing) == decoder and fit.faults == len(decoder)


def _explain(network: nn.Module, file: CheckpointFile, fit: Fit, *, resample: bool) -> str:
    """Describe a mismatch: both sides' names and the likely cause."""
    kind, what, tensors = type(network).__name__, file.name, fit.entry.tensors
    if not fit.weights and not fit.misshapen:
        return (
            f"{what} cannot be loaded into this {kind}: its names belong to no known project\n"
            f"  file:    {some_of(tensors)}\n  network: {some_of(network.state_dict())}\n"
            f"{_cause(network, file, fit, resample)}"
        )
    lines = [f"{what} cannot be loaded into this {kind} (names: {fit.scheme.project}); nothing was changed"]
    if fit.missing:
        pairs = [name if name == stored else f"{name} (in the file: {stored})" for name, stored in fit.missing.items()]
        lines.append(f"  missing ({len(pairs)}): {some_of(pairs)}")
    if fit.unexpected:
        lines.append(f"  unexpected ({len(fit.unexpected)}): {some_of(fit.unexpected)}")
    if fit.misshapen:
        pairs = [
            f"{name} is {_size(stored)} in the file and {_size(shape)} in the network"
            for name, (stored, shape) in fit.misshapen.items()
        ]
        lines.append(f"  of another shape ({len(pairs)}): {some_of(pairs)}")
    return "\n".join([*lines, _cause(network, file, fit, resample)])


def _cause(network: nn.Module, file: CheckpointFile, fit: Fit, resample: bool) -> str:
    """Return the likely cause of a mismatch, and what to do."""
    head = set(head_names(network))
    faults = set(fit.missing) | set(fit.misshapen)
    if faults and faults <= head and not fit.unexpected:
        if faults <= set(fit.missing):
            return "these weights have no classifier: skip the head, and train a new one"
        if isinstance(network, DenseNetwork):
            return "these weights have another number of classes: make the network with theirs, or skip the head"
        classes = next((stored[0] for name, (stored, _) in fit.misshapen.items() if name.endswith("bias")), None)
        if classes is None:
            return "these weights have another kind of classifier: skip the head, and train a new one"
        return f"these weights have {classes} classes: make the network with num_classes={classes}, or skip the head"
    if faults - head and faults - head <= _NORMS and (pooling := _pooling(fit)):
        return pooling
    rest = {name: shapes for name, shapes in fit.misshapen.items() if name not in head}
    if rest and not fit.missing and not fit.unexpected and all(sides(name, *shapes) for name, shapes in rest.items()):
        again = compare(fit.scheme, fit.entry, network, network.state_dict(), skip_head=True, resample=True)
        way = "allow resampling, or " if again.is_whole and not resample else ""
        return f"these weights are for another image size: {way}make the network for that size"
    names = identify(file)
    if names:
        return f"these weights fit {' and '.join(names[:3])}"
    return "these weights fit no network of the zoo; see modernet models for the families and their sizes"


def _pooling(fit: Fit) -> str | None:
    """Return what to do where weights and network are ViTs that pool in different ways, or None."""

    def only_stored(name: str) -> bool:
        return not set(fit.scheme.stored_names(name)).isdisjoint(fit.unexpected)

    if "norm.weight" in fit.missing and only_stored("fc_norm.weight"):
        return "these weights are of a network that averages the patches: make this one with global_pool='avg'"
    if "fc_norm.weight" in fit.missing and only_stored("norm.weight"):
        return (
            "these weights are of a network that takes the class token: make this one with global_pool='token', or "
            "skip the head and train a new fc_norm, as pretrained=True does with another num_classes"
        )
    return None


def _size(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "a scalar"
