"""Predict what single images show, in batches, on several cores at a time."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from modernet import progress
from modernet.data import UnreadableImage, read_image
from modernet.data.images.decoding import read_view
from modernet.data.images.views import central_view
from modernet.deploy.rewriting.apply import rewritten
from modernet.deploy.running.network import has_own_threads
from modernet.errors import InputError
from modernet.evaluation.scores import NonFiniteScores, non_finite
from modernet.machine.cores import decoding_workers
from modernet.preparation import Preparation
from modernet.weights import SavedNetwork

_BATCH = 16  # images; with one thread and fewer, torch computes 1x1 convolutions without oneDNN
_MOST_THREADS = 8
_AHEAD = 2  # batches for each thread
_WORTH_REWRITING = 100  # images; fewer take no longer than the rewriting


@dataclass(frozen=True)
class Guess:
    """A class and its probability."""

    label: str
    probability: float
    """In [0, 1]."""


@dataclass(frozen=True)
class Prediction:
    """The most probable classes of an image."""

    image: str
    predictions: list[Guess]
    """From the most to the least probable."""

    @property
    def name(self) -> str:
        return self.image

    def lines(self) -> list[str]:
        """Return the prediction as text, a class per line."""
        return [f"{100 * guess.probability:5.1f} %  {guess.label}" for guess in self.predictions]


def predict(
    saved: SavedNetwork,
    paths: Sequence[Path],
    *,
    top: int = 5,
    skip_unreadable: bool = False,
    device: torch.device | None = None,
) -> list[Prediction]:
    """Return the most probable classes of each image, in order; arguments and errors as of `predict_each`."""
    return list(predict_each(saved, paths, top=top, skip_unreadable=skip_unreadable, device=device))


def predict_each(
    saved: SavedNetwork,
    paths: Sequence[Path],
    *,
    top: int = 5,
    skip_unreadable: bool = False,
    device: torch.device | None = None,
) -> Iterator[Prediction]:
    """Yield the most probable classes of each image, in order, as soon as they are known.

    The images are divided into batches, and several threads each decode one and run the network on it: one at a time on
    an accelerator, or of a network that computes in threads of its own. For many images, the network is rewritten
    first, as `optimize` does it. Answers change by rounding only.

    Args:
        top: how many classes; all, if there are fewer.
        skip_unreadable: skip images that cannot be read, instead of stopping.
        device: where to run the network; None is the CPU.

    Raises:
        InputError: there are no images, `top` is below 1, or an image cannot be read.
        NonFiniteScores: a logit is NaN or infinite.
    """
    if top < 1:
        raise InputError(f"top is {top}; give 1 or more")
    check_given(paths)
    device = device or torch.device("cpu")
    network: nn.Module = saved.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if len(paths) >= _WORTH_REWRITING and any(isinstance(module, _BatchNorm) for module in network.modules()):
        network = rewritten(network, saved.preparation.size)
    together = device.type == "cpu" and not has_own_threads(network)
    alone = nullcontext() if together else threading.Lock()
    answer = partial(_answer, network, saved.preparation, device, alone)
    batches = (paths[first : first + _BATCH] for first in range(0, len(paths), _BATCH))
    with (
        progress.bar("predicting", len(paths)) as shown,
        closing(_in_threads(answer, batches, math.ceil(len(paths) / _BATCH), together=together)) as answers,
    ):
        for batch in answers:
            for path, logits in batch:
                if isinstance(logits, Tensor):
                    yield _prediction(path, logits, saved.classes, top)
                elif skip_unreadable:
                    progress.say(f"skipped: {logits}")
                else:
                    raise logits
            shown.advance(len(batch))


def stored_images(paths: Sequence[Path], *, skip_unreadable: bool = False) -> Iterator[tuple[Path, Tensor]]:
    """Yield each image as it is stored: uint8 (3, h, w).

    Raises:
        InputError: there are no images, or one cannot be read.
    """
    check_given(paths)
    for path in progress.track(paths, "predicting", len(paths)):
        try:
            image = read_image(path)
        except UnreadableImage as error:
            if not skip_unreadable:
                raise
            progress.say(f"skipped: {error}")
            continue
        yield path, image


def check_given(paths: Sequence[Path]) -> None:
    """Check that there are images to predict.

    Raises:
        InputError: there are none.
    """
    if not paths:
        raise InputError("no images were given; give files, folders or patterns such as 'photos/*.jpg'")


_Answers = list[tuple[Path, Tensor | UnreadableImage]]
"""Images, in order, with their logits, float32 (k,) on the CPU, or why they cannot be read."""


@torch.inference_mode()
def _answer(
    network: nn.Module,
    preparation: Preparation,
    device: torch.device,
    alone: AbstractContextManager[object],
    paths: Sequence[Path],
) -> _Answers:
    """Read some images and run the network on those that can be read, `alone` among threads."""
    choose = partial(central_view, size=preparation.size, crop=preparation.crop)
    found: list[Tensor | UnreadableImage] = []
    for path in paths:
        try:
            found.append(read_view(path, choose, preparation.interpolation)[0])
        except UnreadableImage as error:
            found.append(error)
    images = [each for each in found if isinstance(each, Tensor)]
    logits: list[Tensor] = []
    if images:
        stacked = torch.stack(images)
        with alone:
            logits = list(network(preparation.normalise(stacked.to(device))).float().cpu())
    rest = iter(logits)
    return [(path, next(rest) if isinstance(each, Tensor) else each) for path, each in zip(paths, found, strict=True)]


def _in_threads(
    answer: Callable[[Sequence[Path]], _Answers], batches: Iterable[Sequence[Path]], most: int, *, together: bool
) -> Generator[_Answers, None, None]:
    """Yield the answers for each batch, in order, while `most` threads or fewer find the next ones.

    If they run the network `together`, torch's threads are divided among them: a layer of one image is too little work
    for several.
    """
    of_torch = torch.get_num_threads()
    count = min(decoding_workers(_MOST_THREADS), most)
    waiting: deque[Future[_Answers]] = deque()
    each = max(of_torch // count, 1) if together else of_torch
    threads = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(each,))
    try:
        for batch in batches:
            if len(waiting) == _AHEAD * count:
                yield waiting.popleft().result()
            waiting.append(threads.submit(answer, batch))
        while waiting:
            yield waiting.popleft().result()
    finally:
        threads.shutdown(cancel_futures=True)
        torch.set_num_threads(of_torch)


def _prediction(path: Path, logits: Tensor, classes: Sequence[str], top: int) -> Prediction:
    if non_finite(logits[None]):
        raise NonFiniteScores.of(str(path))
    best = logits.sort(descending=True, stable=True).indices[:top]  # of equal ones, the lowest index first
    pairs = zip(best.tolist(), logits.softmax(0)[best].tolist(), strict=True)
    return Prediction(str(path), [Guess(classes[index], probability) for index, probability in pairs])
