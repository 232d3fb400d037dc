"""Whether a classifier answers the same when its image moves by some pixels.

Sources: Zhang, "Making Convolutional Networks Shift-Invariant Again" (2019), whose consistency is the share of images
with the same answer for two random shifts; Azulay and Weiss, "Why do deep convolutional networks generalize so poorly
to small image transformations?" (2018), who shift by one pixel and also report how much the probability of the answer
changes. Ours compares each shift with the central crop, so that it says how far an answer holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from modernet import progress
from modernet.data import Loader
from modernet.errors import InputError
from modernet.evaluation.robustness.resampling import Estimate, mean_estimates, share_estimates
from modernet.evaluation.scores import NonFiniteScores, ranks
from modernet.preparation import Preparation

SHIFTS = (1, 2, 4, 8, 16)
"""In pixels of what the network sees."""
_DIRECTIONS = ("horizontal", "vertical")
_LARGEST = 8  # a shift is an eighth of the side at most: more leaves too little of a small image


@dataclass(frozen=True)
class Shifted:
    """Answers for a crop that is shifted, compared with the central one.

    Attributes:
        shift: in pixels.
        direction: `"horizontal"` or `"vertical"`; None for the mean of both.
        consistency: share of images with the same answer, in per cent.
        probability_change: mean of how much the probability of the central crop's answer changes, up or down, in
            points.
    """

    shift: int
    direction: str | None
    consistency: Estimate
    probability_change: Estimate


@dataclass(frozen=True)
class Translation:
    """How a classifier answers for shifted crops of the same images.

    Attributes:
        n: images.
        top1: accuracy on the central crops, in per cent. Of an image without a margin around the crop, they show less
            than the test does, and so it may differ from the accuracy there.
        shifts: each direction of each shift.
        means: over directions, of each shift.
    """

    n: int
    top1: Estimate
    shifts: Sequence[Shifted]
    means: Sequence[Shifted]

    def metrics(self) -> dict[str, float]:
        """Return metrics of a record: `translation_n`, `translation_top1`, and for each shift
        `translation_{shift}_consistency` and `translation_{shift}_probability_change`, with `_low` and `_high`.
        """
        found = {"translation_n": float(self.n), **self.top1.metrics("translation_top1")}
        for each in self.means:
            found |= each.consistency.metrics(f"translation_{each.shift}_consistency")
            found |= each.probability_change.metrics(f"translation_{each.shift}_probability_change")
        return found

    def detail(self) -> list[dict[str, Any]]:
        """Return the rows of a record's details, one for each direction of each shift."""
        return [
            {
                "shift": each.shift,
                "direction": each.direction,
                "n": self.n,
                **each.consistency.metrics("consistency"),
                **each.probability_change.metrics("probability_change"),
            }
            for each in self.shifts
        ]


@torch.inference_mode()
def measure_translation(
    network: nn.Module,
    preparation: Preparation,
    loader_at: Callable[[Preparation], Loader],
    *,
    shifts: Sequence[int] = SHIFTS,
    columns: Tensor | None = None,
) -> Translation:
    """Compare the answers for crops that are shifted to the right and down with those for central crops.

    Nothing is rolled or padded: images are opened with a margin as wide as the largest shift, and every crop is cut out
    of them. They have the scale of the network's test where its crop leaves such a margin, or else the scale at which
    the whole image has one. Shifts beyond an eighth of the shorter side are left out.

    Args:
        network: images `(b, 3, h, w)` -> logits `(b, k)`.
        preparation: of its images.
        loader_at: a preparation -> the images so prepared, on the device of the network; targets are classes.
        shifts: in pixels, 1 or more.
        columns: as `collect_answers` takes it.

    Raises:
        InputError: a shift is below 1 pixel, there is none, the network's images are too small for any, or an image
            cannot be read.
        NonFiniteScores: a logit is NaN or infinite.
    """
    if not shifts or min(shifts) < 1:
        raise InputError(f"shifts are {list(shifts)}; give at least one, of 1 pixel or more each")
    h, w = preparation.size
    allowed = min(h, w) // _LARGEST
    shifts = [shift for shift in shifts if shift <= allowed]
    if not shifts:
        raise InputError(f"images of {h} x {w} pixels are too small for these shifts; the largest is {allowed}")
    network.eval()
    margin = max(shifts)
    offsets = [offset for shift in shifts for offset in ((0, shift), (shift, 0))]  # down, right
    loader = loader_at(with_margin(preparation, margin))
    right: list[Tensor] = []
    same: list[Tensor] = []
    changes: list[Tensor] = []
    finite: list[Tensor] = []
    with progress.bar("shifting", loader.samples_per_epoch) as shown:
        for batch in loader.batches():

            def answer(down: int, across: int, images: Tensor = batch.images) -> Tensor:
                top, left = margin + down, margin + across
                crop = images[:, :, top : top + h, left : left + w].contiguous(memory_format=torch.channels_last)
                logits: Tensor = network(crop).float()
                return logits if columns is None else logits[:, columns.to(logits.device)]

            central = answer(0, 0)
            chosen = central.argmax(1)
            before = central.softmax(1).gather(1, chosen[:, None])[:, 0]
            moved = [answer(*offset) for offset in offsets]
            finite.append(torch.stack([each.isfinite().all(1) for each in (central, *moved)]).all(0).cpu())
            after = [each.softmax(1).gather(1, chosen[:, None])[:, 0] for each in moved]
            right.append((ranks(central, batch.targets) < 1).cpu())
            same.append(torch.stack([each.argmax(1) == chosen for each in moved], 1).cpu())
            changes.append(torch.stack([(each - before).abs() for each in after], 1).cpu())
            shown.advance(len(chosen))
    n, lost = len(torch.cat(finite)), int((~torch.cat(finite)).sum())
    if lost:
        raise NonFiniteScores.of(f"{lost} of {n} images")
    consistent, change = torch.cat(same).numpy(), 100 * torch.cat(changes).numpy()
    consistency = 100 * consistent.astype(np.float32)
    directions = [(shift, direction) for shift in shifts for direction in _DIRECTIONS]
    return Translation(
        n,
        share_estimates(torch.cat(right).numpy()[:, None])[0],
        _compared(directions, share_estimates(consistent), mean_estimates(change)),
        _compared(
            [(shift, None) for shift in shifts],
            *(mean_estimates(_over_directions(values)) for values in (consistency, change)),
        ),
    )


def with_margin(preparation: Preparation, margin: int) -> Preparation:
    """Return a preparation that shows `margin` more pixels on each side at the same scale; where its crop leaves less
    than that, at the scale where the whole image has just this margin.
    """
    h, w = preparation.size
    wide = (h + 2 * margin, w + 2 * margin)
    share = preparation.crop * max(wide[0] / h, wide[1] / w)
    return replace(preparation, image_size=wide, crop=min(share, 1.0))


def _compared(
    kinds: Sequence[tuple[int, str | None]], consistency: Sequence[Estimate], change: Sequence[Estimate]
) -> list[Shifted]:
    return [Shifted(*kind, *pair) for kind, *pair in zip(kinds, consistency, change, strict=True)]


def _over_directions(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean over the directions of each shift, (n, 2 m) -> (n, m)."""
    means: NDArray[np.float32] = values.reshape(len(values), -1, len(_DIRECTIONS)).mean(2)
    return means
