"""Evaluate a trained classifier on a data set, or predict single images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from modernet import progress
from modernet.data import ImageDataset, Loader, UnreadableImage, fit_image, make_loader, read_image
from modernet.errors import InputError
from modernet.evaluation.accuracy import Accuracy, evaluate_classifier
from modernet.weights import SavedNetwork


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

    def lines(self) -> list[str]:
        """Return the prediction as text, a class per line."""
        return [f"{100 * guess.probability:5.1f} %  {guess.label}" for guess in self.predictions]


def evaluate_saved(
    saved: SavedNetwork,
    dataset: ImageDataset,
    split: Literal["train", "validation", "test"] = "test",
    *,
    batch_size: int = 128,
    device: torch.device | None = None,
) -> Accuracy:
    """Measure the accuracy of a trained network on a split of a data set, with images prepared as in its test.

    Args:
        dataset: opened at the network's `image_size`.
        device: where to run it; None is the CPU.

    Raises:
        InputError: the data set has other classes than the network, or another order of them.
    """
    device = device or torch.device("cpu")
    loader = saved_loader(saved, dataset, split, batch_size=batch_size, device=device)
    return evaluate_classifier(saved.network.to(device), loader)


def saved_loader(
    saved: SavedNetwork,
    dataset: ImageDataset,
    split: Literal["train", "validation", "test"],
    *,
    batch_size: int,
    device: torch.device,
) -> Loader:
    """Return a loader of a split of a data set with its images prepared as in the test of a trained network.

    Raises:
        InputError: the data set has other classes than the network, or another order of them.
    """
    if dataset.classes != saved.classes:
        missing = [name for name in dataset.classes if name not in saved.classes]
        difference = f"it does not know {missing[0]!r}" if missing else "some of the network's are missing"
        raise InputError(
            f"{dataset.name} has {len(dataset.classes)} classes and the network {len(saved.classes)} others: "
            f"{difference}; give images of the classes that it was trained on"
        )
    return make_loader(
        dataset,
        getattr(dataset, split),
        batch_size=batch_size,
        device=device,
        augmentation=None,
        preparation=saved.preparation,
    )


@torch.inference_mode()
def predict(
    saved: SavedNetwork, paths: Sequence[Path], *, top: int = 5, skip_unreadable: bool = False
) -> list[Prediction]:
    """Return the most probable classes of each image.

    Args:
        top: how many classes; all, if there are fewer.
        skip_unreadable: skip images that cannot be read, instead of stopping.

    Raises:
        InputError: there are no images, `top` is below 1, or an image cannot be read.
    """
    if top < 1:
        raise InputError(f"top is {top}; give 1 or more")
    predictions = []
    for path, image in prepared_images(saved, paths, skip_unreadable=skip_unreadable):
        logits = saved.network(image[None])[0].float()
        best = logits.softmax(0).topk(min(top, len(saved.classes)))
        guesses = [
            Guess(saved.classes[index], probability)
            for probability, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]
        predictions.append(Prediction(str(path), guesses))
    return predictions


def prepared_images(
    saved: SavedNetwork, paths: Sequence[Path], *, skip_unreadable: bool = False
) -> Iterator[tuple[Path, Tensor]]:
    """Yield each image, resized, cropped and normalised for a trained network: float32 (3, h, w).

    Raises:
        InputError: there are no images, or one cannot be read.
    """
    if not paths:
        raise InputError("no images were given; give files, folders or patterns such as 'photos/*.jpg'")
    preparation = saved.preparation
    for path in progress.track(paths, "predicting", len(paths)):
        try:
            image = fit_image(
                read_image(path),
                preparation.image_size,
                crop=preparation.crop,
                interpolation=preparation.interpolation,
            )
        except UnreadableImage as error:
            if not skip_unreadable:
                raise
            progress.say(f"skipped: {error}")
            continue
        yield path, preparation.normalise(image)
