"""What a test of robustness was asked to measure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from modernet.data.transforms.corruptions import SEVERITIES, Suite
from modernet.errors import InputError, unknown_name
from modernet.studies.robustness.cells import CORRUPTION_SUITES, Cell, plan_cells
from modernet.studies.robustness.shifted import SHIFTED_SUITES, check_shifted

PROBES = ("calibration", "resolution", "translation", "bias")
SUITES = (*CORRUPTION_SUITES, *SHIFTED_SUITES, *PROBES)


@dataclass(frozen=True)
class RobustnessRequest:
    """What to measure of a network, and on what.

    Attributes:
        data: images, as `open_split` takes them.
        suites: some of `SUITES`: corruptions of the images of `data`, data sets among `shifted`, or probes.
        corruptions: only these, instead of all of the suites. With `published` and without a suite of corruptions,
            they are taken from there alone.
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
        if not self.severities:
            raise InputError("there is no severity; give some of 1 to 5")
        if self.batch_size < 1:
            raise InputError(f"batch_size is {self.batch_size}; give 1 or more")
        for folder in (self.frost, self.published):
            if folder is not None and not folder.is_dir():
                raise InputError(f"there is no folder {folder}")
        if not self.shifted:
            check_shifted(self.suites, ())
        self.corrupted()
        if not (self.suites or self.corruptions or self.shifted or self.published):
            raise InputError("there is nothing to measure; give a suite, such as --suite c")

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
        suites = self._suites()
        return plan_cells(suites, self.corruptions, self.severities) if suites or self.published is None else []

    def corrupted(self) -> list[Cell]:
        """Return the corruptions whose images are taken from `published`, as far as it has them."""
        return plan_cells(self._suites() or CORRUPTION_SUITES, self.corruptions, self.severities)

    def frost_origin(self) -> str | None:
        """Return what frost is made from, see `Cell.origin`; None where it is not among the corruptions.

        Raises:
            InputError: the folder of photographs does not have them.
        """
        return next((found["frost"] for cell in self.cells() if (found := cell.origin(self.frost))), None)

    def _suites(self) -> list[Suite]:
        return [suite for suite in CORRUPTION_SUITES if suite in self.suites]
