"""What a file returns, and how its results are compared with those of the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from modernet.detection.detections import LEAST_SCORE
from modernet.detection.fixed_work import FixedWork
from modernet.detection.network import RCNN

Results = Sequence[Tensor]
"""What a file or a network returns for some images: a tensor for each name of its outputs."""

TOLERANCE = 1e-4
"""Largest difference of a file's scores from the network's, relative to the largest score.

Another runtime sums in another order. In float32 that changed the scores of ConvNeXt-T, Swin-T, ResNet-50, MobileNetV2
and DeiT-S by 0.6e-6 to 1.4e-6 of the largest; the rest is margin for deeper networks and trained weights. A wrongly
translated operation changes them by per cents.
"""
_CLOSE = {"boxes": 0.1, "scores": 1e-3, "labels": 0, "masks": 1e-3}
"""Largest difference of a detection: a box in pixels, a score and a mask in probability."""
_LOST = 0.05
"""Largest share of detections without a counterpart: rounding decides between two boxes whose overlap is the threshold
of non-maximum suppression, or whose scores are equal where a thousand are kept."""


@dataclass(frozen=True)
class Comparison:
    """How much results differ.

    Attributes:
        difference, allowed: in the measure of the outputs.
        text: both in words.
    """

    difference: float
    allowed: float
    text: str

    @property
    def agrees(self) -> bool:
        return self.difference <= self.allowed


def as_results(returned: Any) -> Results:
    """Return what a network or a program returns as a tuple of tensors."""
    return returned if isinstance(returned, tuple) else (returned,)


class Outputs(Protocol):
    """The outputs of a kind of network."""

    names: tuple[str, ...]
    about: dict[str, Any]
    """For the user of a file: what they are. JSON-able."""

    def continuous(self, network: nn.Module, images: Tensor) -> Any:
        """Return the numbers behind the results, those that rounding changes by no more than rounding."""

    def compare(self, results: Sequence[Results], expected: Sequence[Results]) -> Comparison:
        """Compare the results of a file with those of the network for several batches."""


class Scores:
    """One tensor, compared number by number; `difference` is the largest."""

    names: tuple[str, ...] = ("scores",)
    about: dict[str, Any] = {}  # noqa: RUF012  # a constant

    def continuous(self, network: nn.Module, images: Tensor) -> Any:
        return network(images)

    def compare(self, results: Sequence[Results], expected: Sequence[Results]) -> Comparison:
        pairs = [(one, other) for (one,), (other,) in zip(results, expected, strict=True)]
        allowed = TOLERANCE * max(float(other.abs().max()) for _, other in pairs)
        difference = max(float((one - other).abs().nan_to_num(torch.inf).max()) for one, other in pairs)
        text = f"scores differ from the network's by at most {difference:.1e} ({allowed:.1e} is allowed)"
        return Comparison(difference, allowed, text)


class DetectedObjects:
    """The results of `FixedResults`; `difference` is the share of them, in either, that the other has not.

    The order does not count, as that of equal scores may differ.
    """

    def __init__(self, masks: bool) -> None:
        self.names = ("boxes", "scores", "labels", *(["masks"] if masks else []))
        described = {
            "boxes": "x1 y1 x2 y2 in pixels of the input",
            "scores": f"descending; a detection is a row above {LEAST_SCORE}, drop the others",
            "labels": "index of the class",
            "masks": "probability at 28 x 28 positions of the box",
        }
        self.about = {"outputs": {name: described[name] for name in self.names}}

    def continuous(self, network: nn.Module, images: Tensor) -> Any:
        """Return the outputs of the detector's layers, before any box is chosen, for noise of the images' size."""
        (detector,) = (module for module in network.modules() if isinstance(module, RCNN))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return FixedWork(detector)(torch.randn(images.shape))

    def compare(self, results: Sequence[Results], expected: Sequence[Results]) -> Comparison:
        found = [self._counterparts(*pair) for pair in zip(results, expected, strict=True)]
        every = torch.cat([each for pair in found for each in pair])
        share = float((~every).double().mean()) if len(every) else 0.0
        text = f"{share:.1%} of {len(every) // 2} detections differ from the network's ({_LOST:.0%} are allowed)"
        return Comparison(share, _LOST, text)

    def _counterparts(self, results: Results, expected: Results) -> tuple[Tensor, Tensor]:
        """Return which rows with a score above 0, of both, are also in the other: bool (n,) and (m,)."""
        there, wanted = results[1] > 0, expected[1] > 0
        same = torch.ones(int(there.sum()), int(wanted.sum()), dtype=torch.bool)
        for name, one, other in zip(self.names, results, expected, strict=True):
            a, b = (tensor[rows][:, None].flatten(1) for tensor, rows in ((one, there), (other, wanted)))
            for index, row in enumerate(a):
                same[index] &= (row - b).abs().amax(1) <= _CLOSE[name]
        return same.any(1), same.any(0)
