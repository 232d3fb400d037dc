"""What a test of robustness was asked to measure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from modernet.data.transforms.corruptions import SEVERITIES
from modernet.errors import InputError, unknown_name
from modernet.studies.robustness.cells import CORRUPTION_SUITES, Cell, plan_cells

SHIFTS = ("a", "r", "sketch", "v2")
"""ImageNet-A, -R, -Sketch and -V2, which are folders of images."""
PROBES = ("calibration", "resolution", "translation", "bias")
SUITES = (*CORRUPTION_SUITES, *SHIFTS, *PROBES)


@dataclass(frozen=True)
class RobustnessRequest:
    """What to measure of a network, and on what.

    Attributes:
        data: images, as `open_split` takes them.
        suites: some of `SUITES`: corruptions of the images of `data`, data sets among `shifted`, or probes.
        corruptions: only these, instead of all of the suites.
        severities: of the corruptions, 1 to 5.
        frost: folder with the six photographs of frost of ImageNet-C; None synthesises frost.
        shifted: folders of other images of the same classes, or of some of them.
        published: folder of corrupted images as ImageNet-C is published, `CORRUPTION/SEVERITY/CLASS/image`.
        class_map: file that says which class of the network each class of the images is, as `match_classes` takes it.
        batch_size: images in a batch.
        seed: of everything random.
        skip_unreadable: leave out and list what cannot be read, instead of an error.

    Raises:
        InputError: there is no such suite, corruption, severity or folder, or nothing to measure.
    """

    data: str
    suites: tuple[str, ...] = ("c",)
    corruptions: tuple[str, ...] = ()
    severities: tuple[int, ...] = SEVERITIES
    frost: Path | None = None
    shifted: tuple[str, ...] = ()
    published: Path | None = None
    class_map: Path | None = None
    batch_size: int = 32
    seed: int = 0
    skip_unreadable: bool = False

    def __post_init__(self) -> None:
        for suite in self.suites:
            if suite not in SUITES:
                raise unknown_name("suite", suite, SUITES)
        if self.batch_size < 1:
            raise InputError(f"batch_size is {self.batch_size}; give 1 or more")
        for folder in (self.frost, self.published):
            if folder is not None and not folder.is_dir():
                raise InputError(f"there is no folder {folder}")
        if not self.shifted:
            self.check_shifts(())
        self.cells()
        if not (self.suites or self.corruptions or self.shifted or self.published):
            raise InputError("there is nothing to measure; give a suite, such as --suite c")

    def check_shifts(self, found: Sequence[str]) -> None:
        """Check that every data set among the suites was found in a folder.

        Args:
            found: names of what is in the folders of `shifted`.

        Raises:
            InputError: one was not, or two have the same name.
        """
        for name, count in Counter(found).items():
            if count > 1:
                raise InputError(f"two folders of --shifted are called {name}; rename one")
        for suite in self.suites:
            if suite in SHIFTS and suite not in found:
                title = f"ImageNet-{suite.capitalize()}"
                others = f", which are {', '.join(found)}" if found else ""
                raise InputError(
                    f"{title} is not among the folders of --shifted{others}; add its folder, or leave out the suite "
                    f"{suite}"
                )

    def check_dense(self, task: str) -> None:
        """Check that nothing is asked that only classifiers have.

        Args:
            task: of the network, which is no classifier.

        Raises:
            InputError: something is.
        """
        others = [suite for suite in self.suites if suite not in CORRUPTION_SUITES]
        given = {"--shifted": self.shifted, "--published": self.published, "--class-map": self.class_map}
        asked = [*(f"--suite {suite}" for suite in others), *(name for name, value in given.items() if value)]
        if asked:
            raise InputError(
                f"{asked[0]} is for classifiers, and the network was trained for {task}; leave it out, or give only "
                f"--suite {','.join(CORRUPTION_SUITES)}"
            )

    def cells(self) -> list[Cell]:
        """Return the corruptions to apply to the images of `data`."""
        suites = [suite for suite in CORRUPTION_SUITES if suite in self.suites]
        return plan_cells(suites, self.corruptions, self.severities)
