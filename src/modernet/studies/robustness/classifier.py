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
from modernet.data.images.decoding import skippable
from modernet.data.loading.reader import BatchTransform
from modernet.data.reading import decode, examples_of
from modernet.deploy.agreement import disagreement
from modernet.deploy.rewriting.apply import apply_rewrites
from modernet.evaluation.answers import Answers, collect_answers
from modernet.evaluation.scores import NonFiniteScores, non_finite
from modernet.preparation import Preparation, Size
from modernet.studies.robustness.protocol import Resized
from modernet.training import Interrupted

_MEMORY_LIMIT_MB = 2048
_TOLERANCE = 1e-4  # of the largest logit, as `optimize` allows


@dataclass(frozen=True, eq=False)
class Classifier:
    """A classifier on its device, with how it is run.

    Attributes:
        network: in evaluation mode, as `fold` returns it.
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
        """Return what the network answers for every image of a split, in order.

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
        network = Resized(self.network, self.preparation.size, self.preparation.interpolation)
        together = isinstance(opened.split, InMemory) and self.device.type == "cpu"
        threads = min(self.threads, -(-len(opened.split) // self.batch_size)) if together else 1
        places = [Place(threads, rank, threads) for rank in range(threads)]
        loaders = [self.loader(opened, images or self.preparation, transform, place) for place in places]
        return collect_answers(network, loaders[0], title) if threads == 1 else _collect(network, loaders, title)

    def loader(
        self,
        opened: OpenedSplit,
        preparation: Preparation,
        transform: BatchTransform | None = None,
        place: Place = Place(),  # noqa: B008 - frozen
    ) -> Loader:
        """Return a loader of images of a split, which raises `Interrupted` when `should_stop` returns True.

        Args:
            opened, transform: as for `answer`.
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


@torch.no_grad()
def fold(network: nn.Module, size: Size) -> nn.Module:
    """Return a copy of a network with its norms and scales folded into other weights: answers change by rounding alone.

    Args:
        network: in evaluation mode, on its device.
        size: of the images that it sees.
    """
    example = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0)).to(next(network.parameters()).device)
    expected = network(example)
    return apply_rewrites(network, example, lambda changed: disagreement(changed(example), expected, _TOLERANCE))[0]


def decoded(opened: OpenedSplit, images: Preparation) -> tuple[OpenedSplit, Preparation]:
    """Return a split with its images decoded, cropped and scaled once, and how they are still to be prepared: not, or
    as given where they need more than 2 GB.

    Raises:
        InputError: an image cannot be read.
    """
    split, (h, w) = opened.split, images.size
    if len(split) * 3 * h * w / 2**20 > _MEMORY_LIMIT_MB:
        return opened, images
    found, failures = decode(examples_of(split), (h, w), f"reading {opened.name}", images.interpolation, images.crop)
    if failures:
        raise skippable(failures[min(failures)])
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


def _collect(network: nn.Module, loaders: Sequence[Loader], title: str) -> Answers:
    """Return what `collect_answers` returns, of loaders that share the images, each in a thread of its own."""
    of_torch, failed = torch.get_num_threads(), Event()
    each = max(of_torch // len(loaders), 1)

    @torch.inference_mode()
    def answers_of(loader: Loader) -> list[tuple[Tensor, Tensor, Tensor]]:
        found = []
        try:
            for batch in loader.batches():
                if failed.is_set():
                    break
                n = batch.counted
                found.append((batch.positions[:n], network(batch.images)[:n].float(), batch.targets[:n]))
                shown.advance(n)
        except BaseException:
            failed.set()
            raise
        return found

    with progress.bar(title, loaders[0].samples_per_epoch) as shown:
        try:
            with ThreadPoolExecutor(len(loaders), initializer=torch.set_num_threads, initargs=(each,)) as threads:
                found = [part for parts in threads.map(answers_of, loaders) for part in parts]
        finally:
            torch.set_num_threads(of_torch)  # what a thread sets, torch gives to threads that it starts later
    positions, logits, labels = (torch.cat(parts) for parts in zip(*found, strict=True))
    order = positions.argsort()
    answers = Answers(logits[order], labels[order])
    lost = int(non_finite(answers.logits))
    if lost:
        raise NonFiniteScores.of(f"{lost} of {len(answers)} images")
    return answers
