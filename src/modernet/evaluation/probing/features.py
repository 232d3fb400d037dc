"""Frozen features of the images of a data set, computed once and kept in the cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from modernet.data import ImageDataset, Loader, OpenedSplit, make_loader
from modernet.data.fingerprint import split_fingerprint
from modernet.data.splits import SplitName
from modernet.data.targets import class_labels
from modernet.evaluation.answering import answer_batches
from modernet.evaluation.probing.frozen import FrozenBackbone, backbone_of
from modernet.evaluation.scores import NonFiniteScores, non_finite
from modernet.files.bounded_cache import open_cached
from modernet.files.fingerprint import json_sha256
from modernet.weights import SavedNetwork, network_fingerprint

_FOLDER = "features"
_VERSION = 1  # of what the same weights make of the same images; features of other versions are computed again
_SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Features:
    """The features of n images, with their classes.

    Attributes:
        vectors: float32 (n, c), on the CPU.
        labels: int64 (n,), indices into the classes of the data set.
    """

    vectors: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def joined(self, more: Features) -> Features:
        """Return these images and then `more`."""
        return Features(torch.cat((self.vectors, more.vectors)), torch.cat((self.labels, more.labels)))


def frozen_features(
    saved: SavedNetwork,
    dataset: ImageDataset,
    splits: Sequence[SplitName] = _SPLITS,
    *,
    layer: int | None = None,
    batch_size: int = 128,
    device: torch.device | None = None,
) -> Mapping[SplitName, Features]:
    """Return the features that a network in evaluation mode has for the images of a data set.

    They are kept in the folder `features` of the cache (at most `$MODERNET_CACHE_GB` of them, by default 200), by the
    weights and layers of the network, the images, their preparation and the layer: the second time none is computed.

    Args:
        saved: the network, of any task on images; its classes do not matter.
        dataset: images with classes, from `open_prepared`; they are prepared as in the network's test.
        layer: as of `FrozenBackbone`.
        batch_size: images at a time.
        device: where to compute them; None is the CPU.

    Raises:
        InputError: the network takes no images, or has no such layer; or an image cannot be read.
        NonFiniteScores: a feature is NaN or infinite.

    >>> saved = modernet.load_network(Path("runs/first"))  # doctest: +SKIP
    >>> dataset = modernet.data.open_prepared("my_photos", saved.preparation)  # doctest: +SKIP
    >>> frozen_features(saved, dataset)["train"].vectors.shape  # doctest: +SKIP
    torch.Size([650, 512])
    """
    device = device or torch.device("cpu")
    backbone = backbone_of(saved.network)
    frozen = FrozenBackbone(backbone, layer)
    of_network = [
        _VERSION,
        network_fingerprint(backbone),
        backbone.global_pool,
        frozen.layer,
        asdict(saved.preparation),
    ]
    frozen.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    found: dict[SplitName, Features] = {}
    for name in splits:
        split = getattr(dataset, name)
        key = json_sha256([*of_network, split_fingerprint(_opened(dataset, name))])
        loader = make_loader(
            dataset, split, batch_size=batch_size, device=device, augmentation=None, preparation=saved.preparation
        )
        vectors = _cached(f"{key}.npy", partial(_compute, frozen, loader, f"features of {name}"))
        found[name] = Features(vectors, class_labels(split.targets).cpu())
    return found


def data_fingerprint(dataset: ImageDataset) -> str:
    """Return a short digest of the classes, targets and images of the three splits, whatever their preparation."""
    return json_sha256([split_fingerprint(_opened(dataset, name)) for name in _SPLITS])[:12]


def _opened(dataset: ImageDataset, split: SplitName) -> OpenedSplit:
    return OpenedSplit(dataset.name, dataset.classes, getattr(dataset, split), dataset.preparation)


def _compute(frozen: FrozenBackbone, loader: Loader, title: str) -> Tensor:
    """Compute the features of all images, float32 (n, c)."""
    vectors = torch.cat([features.cpu() for features, _ in answer_batches(frozen, loader, title)])
    lost = int(non_finite(vectors))
    if lost:
        raise NonFiniteScores.of(f"{lost} of {len(vectors)} images")
    return vectors


def _cached(name: str, compute: partial[Tensor]) -> Tensor:
    """Return an array of the cache, computed first if it is missing or damaged."""

    def make(path: Path) -> None:
        with path.open("wb") as file:
            np.save(file, compute().numpy())

    while True:
        with open_cached(name, make, folder=_FOLDER) as file:
            try:
                return torch.from_numpy(np.load(file))
            except (EOFError, ValueError):
                Path(file.name).unlink(missing_ok=True)
