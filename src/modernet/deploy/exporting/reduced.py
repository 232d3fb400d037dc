"""Files in reduced precision: some images calibrate them, and others judge."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from modernet.deploy.exporting.formats import LoadedModel
from modernet.deploy.exporting.outputs import Comparison
from modernet.deploy.running.division import divide
from modernet.deploy.running.fidelity import AGREEMENT, MOST_RELATIVE_ERROR, HeldOut, Judge, answers_of
from modernet.errors import InputError

_JUDGED = 8  # images at a time, where a file takes any number


class Reduction:
    """Images that calibrate a file, and those that judge it, divided as for `optimize`.

    Attributes:
        calibration: `(n, c, h, w)`, whole batches of the file.

    Args:
        network: the network as its user gave it.
        exported: the network as the file has it, images in -> results.
        images: `(n, c, h, w)`, typical images as the file takes them.
        batch: batch size of the file; None for any.

    Raises:
        InputError: there are too few images.
    """

    def __init__(self, network: nn.Module, exported: nn.Module, images: Tensor, batch: int | None) -> None:
        answers = answers_of(network, exported(images[: batch or 1]))
        calibration, held_out, _ = divide(images, None, answers)
        n = len(calibration) - len(calibration) % (batch or 1)
        if n == 0:
            raise InputError(
                f"{len(calibration)} of {len(images)} images calibrate, less than a batch of {batch}; give more "
                "images, or a smaller batch (--batch)"
            )
        self.calibration = calibration[:n]
        self._judge = Judge(exported, HeldOut(held_out, None, answers, AGREEMENT, batch or _JUDGED))

    def judge(self, run: LoadedModel) -> Comparison:
        """Compare the results of a file with those of the network."""
        judgement = self._judge(_Opened(run))
        text = judgement.failure or str(judgement)
        error = judgement.relative_error
        if judgement.same_class is None or not math.isfinite(error):
            return Comparison(error, MOST_RELATIVE_ERROR, text)
        return Comparison(1 - judgement.same_class, 1 - AGREEMENT, text)


class _Opened(nn.Module):
    """A file read back, as a network."""

    def __init__(self, run: LoadedModel) -> None:
        super().__init__()
        self._run = run

    def forward(self, images: Tensor) -> Any:
        return self._run(images)[0]


def check_typical(images: Tensor, shape: tuple[int, int, int], dtype: str) -> None:
    """Check the images that are given for 8-bit integers.

    Args:
        shape: of one, `(c, h, w)`.
        dtype: `float32` for normalised images, of any floating-point type; `uint8` for decoded pixels.

    Raises:
        InputError: they are others.
    """
    right = isinstance(images, Tensor) and images.shape[1:] == shape
    if not right or not (images.dtype == torch.uint8 if dtype == "uint8" else images.is_floating_point()):
        given = f"{tuple(images.shape)} {images.dtype}" if isinstance(images, Tensor) else type(images).__name__
        c, h, w = shape
        raise InputError(f"the images for int8 are {given}; give (n, {c}, {h}, {w}) in {dtype}")
