"""A classifier under test: its images, kept decoded where they fit in memory, and what it answers for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Event

import torch
from torch import Tensor, nn

from modernet import progress
from modernet.data import Batch, InMemory, Loader, OpenedSplit, Place, make_loader
from modernet.data.images.decoding import UnreadableImage, skippable
from modernet.data.loading.reader import BatchTransform
from modernet.data.reading import decode, examples_of
from modernet.errors import InputError
from modernet.evaluation.answers import Answers
from modernet.evaluation.scores import NonFiniteScores, non_finite, ranks
from modernet.machine import memory
from modernet.preparation import Preparation
from modernet.studies.robustness.protocol import Resized
from modernet.training import Interrupted

_SHARE = 0.5  # of the memory that is available, for decoded images
_UNKNOWN = 2 * 2**30  # bytes for them where the system does not say what is available

_Keep = Callable[[Tensor, Tensor], tuple[Tensor, ...]]
"""Logits (b, k) and classes (b,) of a batch -> what is to be kept of them, each (b, ...)."""


@dataclass(frozen=True, eq=False)
class Classifier:
    """A classifier on its device, with how it is run.

    Attributes:
        network: in evaluation mode.
        classes: names of its classes.
        preparation: of the images that it sees.
        batch_size: images in a batch.
        should_stop: called before every batch, from any thread.
        threads: that run the network on a CPU, on batches of images in memory.
    """

    network: nn.Module
    classes: tuple[str, ...]
    preparation: Preparation
    device: torch.device
    batch_size: int
    should_stop: Callable[[], bool]
    threads: int

    def answer(
        self,
        opened: OpenedSplit,
        title: str,
        *,
        images: Preparation | None = None,
        transform: BatchTransform | None = None,
    ) -> Answers:
        """Return what the network answers for every image of a split, in order; see `correct`."""
        logits, labels = self._collect(opened, title, images, transform, lambda logits, labels: (logits, labels))
        return Answers(logits, labels)

    def correct(
        self,
        opened: OpenedSplit,
        title: str,
        *,
        images: Preparation | None = None,
        transform: BatchTransform | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return whether the answer for every image of a split is right, bool (n,), and their classes, int64 (n,).

        Of images in memory, every thread prepares a batch and runs the network on it with its share of the cores: much
        of a corruption runs on one core, and so does the end of every layer.

        Args:
            opened: with the numbers that its classes have for the network.
            title: of the progress bar.
            images: size and crop in which they are given to `transform`; the network sees them scaled to its own size.
                None: as they are prepared for the network.
            transform: of every batch.

        Raises:
            InputError: an image cannot be read.
            Interrupted: `should_stop` returned True.
            NonFiniteScores: a logit is NaN or infinite.
        """
        right, labels = self._collect(
            opened, title, images, transform, lambda logits, labels: (ranks(logits, labels) < 1, labels)
        )
        return right, labels

    def _collect(
        self,
        opened: OpenedSplit,
        title: str,
        images: Preparation | None,
        transform: BatchTransform | None,
        keep: _Keep,
    ) -> list[Tensor]:
        images = images or self.preparation
        if isinstance(opened.split, InMemory):  # or each thread would prepare all of them
            opened, images = decoded(opened, images)
        network = Resized(self.network, self.preparation.size, self.preparation.interpolation)
        together = isinstance(opened.split, InMemory) and self.device.type == "cpu"
        threads = min(self.threads, -(-len(opened.split) // self.batch_size)) if together else 1
        places = [Place(threads, rank, threads) for rank in range(threads)]
        loaders = [self.loader(opened, images, transform, place) for place in places]
        return _collect(network, loaders, title, keep)

    def loader(
        self,
        opened: OpenedSplit,
        preparation: Preparation,
        transform: BatchTransform | None = None,
        place: Place = Place(),  # noqa: B008 - frozen
    ) -> Loader:
        """Return a loader of images of a split, which raises `Interrupted` when `should_stop` returns True.

        Args:
            opened, transform: as for `correct`.
            preparation: of its images.
            place: which of them, as `make_loader` takes it.
        """
        loader = make_loader(
            replace(opened, classes=self.classes),
            opened.split,
            batch_size=self.batch_size * place.world,
            device=self.device,
            augmentation=None,
            preparation=preparation,
            place=place,
            transform=transform,
        )
        return _Stoppable(loader, self.should_stop)


def decoded(
    opened: OpenedSplit,
    images: Preparation,
    problem: Callable[[UnreadableImage], InputError] = skippable,
) -> tuple[OpenedSplit, Preparation]:
    """Return a split with its images decoded, cropped and scaled once, and how they are still to be prepared: not, or
    as given where they need more than half of the available memory.

    Args:
        problem: an image that cannot be read -> the error to raise.

    Raises:
        InputError: an image cannot be read.
    """
    split, (h, w) = opened.split, images.size
    if isinstance(split, InMemory) and split.images.shape[-2:] == (h, w) and images.crop == 1:
        return opened, images
    available = memory.available_bytes(torch.device("cpu"))
    if len(split) * 3 * h * w > (_UNKNOWN if available is None else _SHARE * available):
        return opened, images
    found, failures = decode(examples_of(split), (h, w), f"reading {opened.name}", images.interpolation, images.crop)
    if failures:
        raise problem(failures[min(failures)])
    return replace(opened, split=found), replace(images, crop=1.0)


class _Stoppable:
    """A loader that can be stopped."""

    def __init__(self, loader: Loader, should_stop: Callable[[], bool]) -> None:
        self.steps_per_epoch, self.samples_per_epoch = loader.steps_per_epoch, loader.samples_per_epoch
        self.micro_batches_per_step = loader.micro_batches_per_step
        self._loader, self._should_stop = loader, should_stop

    def batches(self, epoch: int = 0, first_step: int = 0) -> Iterator[Batch]:
        for batch in self._loader.batches(epoch, first_step):
            if self._should_stop():
                raise Interrupted("stopped")
            yield batch


def _collect(network: nn.Module, loaders: Sequence[Loader], title: str, keep: _Keep) -> list[Tensor]:
    """Return what is to be kept of the answers for every image, in order, on the CPU.

    Args:
        loaders: they share the images; several have a thread each.

    Raises:
        NonFiniteScores: a logit is NaN or infinite.
    """
    of_torch, failed = torch.get_num_threads(), Event()
    each = max(of_torch // len(loaders), 1)

    @torch.inference_mode()
    def kept_of(loader: Loader) -> list[list[Tensor]]:
        found = []
        try:
            for batch in loader.batches():
                if failed.is_set():
                    break
                n = batch.counted
                logits, labels = network(batch.images)[:n].float(), batch.targets[:n]
                kept = (*keep(logits, labels), non_finite(logits)[None])
                found.append([batch.positions[:n], *(part.cpu() for part in kept)])
                shown.advance(n)
        except BaseException:
            failed.set()
            raise
        return found

    with progress.bar(title, loaders[0].samples_per_epoch) as shown:
        if len(loaders) == 1:
            found = kept_of(loaders[0])
        else:
            try:
                with ThreadPoolExecutor(len(loaders), initializer=torch.set_num_threads, initargs=(each,)) as threads:
                    try:
                        found = [part for parts in threads.map(kept_of, loaders) for part in parts]
                    except BaseException:  # of this thread, such as Ctrl-C
                        failed.set()
                        raise
            finally:
                torch.set_num_threads(of_torch)  # what a thread sets, torch gives to threads that it starts later
    positions, *kept, lost = (torch.cat(parts) for parts in zip(*found, strict=True))
    if lost.any():
        raise NonFiniteScores.of(f"{int(lost.sum())} of {len(positions)} images")
    order = positions.argsort()
    return [part[order] for part in kept]
