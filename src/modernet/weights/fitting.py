"""How stored tensors fit a network: under whose names, in which dictionary, behind which prefix; nothing is loaded."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from modernet.errors import InputError
from modernet.models import MODELS, Backbone, DenseNetwork, create_model
from modernet.progress import track
from modernet.weights.channels import first_convolution, with_channels
from modernet.weights.checkpoint_file import CheckpointFile, Entry
from modernet.weights.resampling import resampled
from modernet.weights.schemes import Scheme, schemes_of

_WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""What DDP, compilation, FSDP and checkpointing insert into names, before a network or before its parts."""
_AVERAGED = re.compile(r"(^|[._])(ema|swa|averaged?|shadow|polyak|teacher)\d*($|[._])", re.IGNORECASE)
"""Keys and prefixes of averaged weights."""
_COUNTERS = "num_batches_tracked"  # older files lack it, and no result depends on it
_SHOWN = 6


@dataclass(frozen=True)
class Fit:
    """How stored tensors fit a network, before anything is loaded."""

    scheme: Scheme
    entry: Entry
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
    adapted: list[str] = field(default_factory=list)
    """Name of the first convolution, if it was adapted to the network's number of channels."""
    new: list[str] = field(default_factory=list)
    """Names of tensors of the head that keep their values: not looked for, or not found, with `skip_head`."""

    @property
    def found_under(self) -> str:
        """Where the weights are: keys of dictionaries, then the prefix of the names; empty if there is neither."""
        return _place(self.entry, self.scheme)

    @property
    def is_whole(self) -> bool:
        """Whether every tensor of both sides has a counterpart of its shape."""
        return not (self.missing or self.unexpected or self.misshapen)

    @property
    def faults(self) -> int:
        """Number of tensors without one."""
        return len(self.missing) + len(self.unexpected) + len(self.misshapen)


def best_fit(
    network: nn.Module,
    file: CheckpointFile,
    *,
    entry: str | None = None,
    resample: bool = False,
    skip_head: bool = False,
) -> Fit:
    """Compare stored tensors with a network; nothing is loaded.

    Every dictionary of the file, every scheme, and every prefix of the names is tried. The one that has most of the
    network's names is taken; among equals, that with the fewest tensors that do not fit; then the averaged weights.

    Raises:
        InputError: two different sets of weights remain, or there is no such entry.
    """
    return _chosen(_best_fits(network, file, entry, resample=resample, skip_head=skip_head), file.name)


def _best_fits(
    network: nn.Module, file: CheckpointFile, entry: str | None, *, resample: bool, skip_head: bool
) -> list[Fit]:
    """Return the fits that have most of the network's names, or one that has none."""
    ours = network.state_dict()
    head = set(head_names(network)) if skip_head else set()
    expected = [name for name in ours if name not in head and not name.endswith(_COUNTERS)]
    wrappers = [part for part in _WRAPPERS if not any(part in name.split(".") for name in ours)]
    entries = [Entry(each.key, _unwrapped(each.tensors, wrappers)) for each in file.entries]
    places = [
        (explained, scheme.prefixed(prefix) if prefix else scheme, each)
        for scheme in (variant for scheme in schemes_of(network) for variant in _variants(scheme))
        for stored in [{name for each in expected for name in scheme.stored_names(each)}]
        for each in entries
        for prefix, explained in _prefixes(each.tensors, stored).items()
    ]
    if entry is not None:
        places = [
            place for place in places if f"{_place(place[2], place[1])}.".startswith(f"{entry}." if entry else ".")
        ]
        if not places:
            others = [name for each in file.entries for name in each.tensors if _is_under(entry, each.key, name)]
            if others:
                kind = type(network).__name__
                raise InputError(f"{file.name} has no weights of a {kind} under {entry!r}, only {some_of(others)}")
            raise InputError(f"{file.name} has no weights under {entry!r}; there are {some_of(_keys(file))}")
    if not places:
        largest = max(entries, key=lambda each: len(each.tensors), default=Entry("", {}))
        places = [(0, schemes_of(network)[0], largest)]
    most = max(explained for explained, *_ in places)
    return [
        compare(scheme, each, network, ours, skip_head=skip_head, resample=resample)
        for explained, scheme, each in places
        if explained == most
    ]


def _place(entry: Entry, scheme: Scheme) -> str:
    """Return where weights are: keys of dictionaries, then the prefix of the names; empty if there is neither."""
    return ".".join(part for part in (entry.key, scheme.prefix.rstrip(".")) if part)


def _is_under(entry: str, key: str, name: str) -> bool:
    """Return whether a tensor is in the dictionary that `entry` names, or has the prefix that it names."""
    return key == entry or f"{key}.{name}".removeprefix(".").startswith(f"{entry}.")


def _keys(file: CheckpointFile) -> list[str]:
    return [each.key or "the file itself" for each in file.entries]


def _unwrapped(tensors: dict[str, Tensor], wrappers: Sequence[str]) -> dict[str, Tensor]:
    """Return the tensors without the wrappers in their names, unless two would get the same name."""
    names = {
        ".".join(part for part in name.split(".") if part not in wrappers): value for name, value in tensors.items()
    }
    return names if len(names) == len(tensors) else tensors


def _prefixes(names: Iterable[str], wanted: set[str]) -> Counter[str]:
    """Return the prefixes that are before some of the wanted names, and before how many."""
    found: Counter[str] = Counter()
    for name in names:
        parts = name.split(".")
        for start in range(len(parts)):
            if ".".join(parts[start:]) in wanted:
                found["".join(f"{part}." for part in parts[:start])] += 1
    return found


def _chosen(fits: Sequence[Fit], name: str) -> Fit:
    fewest = min(fit.faults for fit in fits)
    best = [fit for fit in fits if fit.faults == fewest]
    best = [fit for fit in best if _AVERAGED.search(fit.found_under)] or best
    for other in best[1:]:
        if fewest == 0 and other.found_under != best[0].found_under and not _equal(other.weights, best[0].weights):
            one, two = best[0].found_under, other.found_under
            raise InputError(
                f"{name}: two sets of weights fit, {one or 'those at the top'} and {two}; choose with "
                f"load_weights(entry={two!r}) or modernet convert --entry {two}"
            )
    return best[0]


def _equal(some: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> bool:
    return some.keys() == others.keys() and all(torch.equal(value, others[name]) for name, value in some.items())


def identify(file: CheckpointFile) -> list[str]:
    """Return the networks of the zoo whose weights these are, whatever the number of classes and channels.

    Those made for another image size come last.
    """
    size = max(  # a decoder may be larger than its encoder
        sum(tensor.numel() for name, tensor in entry.tensors.items() if "decoder" not in name) for entry in file.entries
    )

    def plausible(name: str) -> bool:
        params = MODELS[name].published.params_m
        return params is None or 0.25 * size < params * 1e6 < 1.3 * size + 2e6  # a head of 21,841 classes is large

    names = [name for name in MODELS if plausible(name)]
    found: list[str] = []
    for_another_size: list[str] = []
    for name in track(names, "looking for a network that fits", len(names)):
        with torch.device("meta"):
            network = create_model(name)
        fits = [fit for fit in _best_fits(network, file, None, resample=True, skip_head=True) if fit.is_whole]
        if fits:
            (for_another_size if fits[0].resampled else found).append(name)
    return found + for_another_size


def _variants(scheme: Scheme) -> list[Scheme]:
    """Return a scheme and its variant in files of the body alone."""
    return [scheme, scheme.without_body()] if scheme.body else [scheme]


def compare(
    scheme: Scheme,
    entry: Entry,
    network: nn.Module,
    ours: Mapping[str, Tensor],
    *,
    skip_head: bool,
    resample: bool,
) -> Fit:
    """Compare the tensors of one dictionary, under the names of one scheme, with a network's."""
    tensors, convolution = entry.tensors, first_convolution(network)
    fit = Fit(scheme, entry, {})
    classifier = set(head_names(network)) if skip_head else set()
    optional = network.head_modules if skip_head and isinstance(network, Backbone) else ()
    used = {stored for name in classifier for stored in scheme.stored_names(name)}
    left_out = {f"{module}.{part}" for module in optional for part in ("weight", "bias")} - set(ours)
    used |= {stored for name in left_out for stored in scheme.stored_names(name)}
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
        if name == convolution and found.ndim == 4 and found.shape != tensor.shape:
            adapted = with_channels(found, tensor.shape[1])
            if adapted.shape == tensor.shape:
                found = adapted
                fit.adapted.append(name)
        if found.shape == tensor.shape:
            fit.weights[name] = found
        else:
            fit.misshapen[name] = (tuple(found.shape), tuple(tensor.shape))
    fit.unexpected.extend(name for name in tensors if name not in used and not scheme.is_ignored(name))
    return fit


def head_names(network: nn.Module) -> list[str]:
    """Return the names of the classifier's tensors, or those it would have if the network had one."""
    if isinstance(network, DenseNetwork):
        return [f"{name}.{part}" for name in network.classifier_names() for part in ("weight", "bias")]
    if not isinstance(network, Backbone):
        return []
    with torch.device("meta"):
        tensors = list(network.make_classifier(1).state_dict())
    return [f"{name}.{tensor}" for name in network.classifier_names() for tensor in tensors]


def some_of(names: Sequence[str] | Mapping[str, object]) -> str:
    """Return the first few names, and how many more there are."""
    listed = list(names)
    more = f", and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more
