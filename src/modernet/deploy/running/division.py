"""Divide the images given to `optimize` into those that calibrate and those that judge."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from modernet.deploy.running.fidelity import Answers
from modernet.errors import InputError

_EVERY = 4
_MOST_CALIBRATING = 128
FEWEST = {"classes": 64, "pixels": 8, "numbers": 8}
"""Images that reduced precision is judged with: an image has one class, but many pixels and numbers."""


def divide(images: Tensor, labels: Tensor | None, answers: Answers) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return images for calibration, and others that judge with their labels; the same ones at every call.

    Every fourth image calibrates, or every n-th such that 128 suffice, since images often come sorted by class.

    Args:
        images: `(n, c, h, w)`
        labels: `(n,)`; None if unknown.
        answers: what the network returns for them.

    Raises:
        InputError: there are too few images.
    """
    n, fewest = len(images), FEWEST[answers]
    if n < fewest:
        raise InputError(
            f"{n} images; reduced precision is judged on images that it is not calibrated with: give {fewest} or more, "
            'or precision="exact" (--precision exact)'
        )
    calibrating = torch.arange(n, device=images.device) % max(_EVERY, math.ceil(n / _MOST_CALIBRATING)) == 0
    return images[calibrating], images[~calibrating], None if labels is None else labels[~calibrating.to(labels.device)]


def check_labels(labels: Tensor, n: int, results: Tensor | object, answers: Answers) -> None:
    """Check the labels of n images against what the network returns for some of them.

    Raises:
        InputError: they are not one class an image, or the network returns no scores of classes.
    """
    if answers != "classes" or not isinstance(results, Tensor):
        raise InputError(
            "labels are for networks that return scores of classes (b, k), and this one does not: omit them"
        )
    if not isinstance(labels, Tensor) or labels.shape != (n,) or labels.is_floating_point() or labels.is_complex():
        given = f"{tuple(labels.shape)} {labels.dtype}" if isinstance(labels, Tensor) else type(labels).__name__
        raise InputError(f"labels are {given}; give one integer for each of the {n} images")
    classes = results.shape[1]
    if labels.min() < 0 or labels.max() >= classes:
        low, high = int(labels.min()), int(labels.max())
        raise InputError(f"labels are {low} to {high}, and the network has {classes} classes; give 0 to {classes - 1}")
