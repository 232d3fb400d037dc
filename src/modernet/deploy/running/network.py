"""An optimized network. Nothing here imports a detector, and so torchvision, whose import takes longer than torch's."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from modernet.data.images.marks import Marks
from modernet.deploy.running.fidelity import AGREEMENT
from modernet.deploy.running.report import Report
from modernet.deploy.running.way import Runner
from modernet.errors import InputError
from modernet.weights import SavedNetwork


@dataclass(frozen=True)
class Asked:
    """What was asked for: arguments of `optimize`, with which it is chosen again on another machine."""

    precision: str = "exact"
    agreement: float = AGREEMENT
    seconds: float = 60.0
    compile: bool = True


class OptimizedNetwork(nn.Module):
    """The result of `optimize`; called like the original network, with images of one size.

    Attributes:
        runner: the network run in the way that was chosen.
        size: of its images, `(c, h, w)`.
        report: rewrites and measurements; of a loaded network, as text.
        fingerprint: of the original network.
        asked: what was asked for.
    """

    def __init__(
        self,
        runner: Runner,
        size: tuple[int, int, int],
        report: Report | str,
        fingerprint: str,
        asked: Asked = Asked(),
    ) -> None:
        super().__init__()
        self.runner = runner
        self.size = size
        self.report = report
        self.fingerprint = fingerprint
        self.asked = asked

    def forward(self, images: Tensor) -> Any:
        """Run on images `(b, c, h, w)` of any batch size; c, h and w must be the example's.

        Raises:
            InputError: the images have another size.
        """
        if images.ndim != 4 or tuple(images.shape[1:]) != self.size:
            shape, (c, h, w) = "x".join(map(str, images.shape)), self.size
            raise InputError(
                f"images are {shape}; this network was optimized for (batch)x{c}x{h}x{w}: resize them, or call "
                "optimize with an example of that size"
            )
        return self.runner(images)

    def save(
        self, folder: str | os.PathLike[str], *, network: SavedNetwork | None = None, marks: Marks | None = None
    ) -> None:
        """Write it to a new folder, from which `load_optimized` takes it without choosing or compiling.

        A compiled way is compiled once more, into a file, which takes as long as before. What was written is read back
        and its results on random images are compared: to the rounding of its dtype, or in reduced precision to 5 % of
        the largest and by the likeliest class. The last line of the report has the speed of a program as saved.

        Args:
            network: the original network as `load_network` and `load_model` return it. It is written beside, so that a
                machine of another kind can choose again, and `modernet predict` knows the classes.
            marks: of the images that it learned from.

        Raises:
            InputError: the folder is taken, the way cannot be saved, or what was written gives other results.
        """
        from modernet.deploy.running.saved import save_optimized

        save_optimized(self, folder, network, marks)


def has_own_threads(network: nn.Module) -> bool:
    """Return whether a network is an optimized one that computes in threads of its own; see `Runner`."""
    return isinstance(network, OptimizedNetwork) and network.runner.own_threads
