"""What a test of robustness was asked to measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, get_args

import torch

from modernet.data.transforms.corruptions import CORRUPTIONS, SEVERITIES, Corrupt, Suite, suite_names
from modernet.data.transforms.corruptions.frost_pictures import FILES, check_frost
from modernet.errors import InputError, unknown_name
from modernet.files.fingerprint import file_sha256, json_sha256
from modernet.studies.robustness.shifted import SHIFTED_SUITES, check_shifted

CORRUPTION_SUITES: tuple[Suite, ...] = get_args(Suite)
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
        most_images: of `data`, evenly from the whole of them; None: all.

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
    most_images: int | None = None

    def __post_init__(self) -> None:
        for suite in self.suites:
            if suite not in SUITES:
                raise unknown_name("suite", suite, SUITES)
        if not self.severities:
            raise InputError("there is no severity; give some of 1 to 5")
        if self.batch_size < 1:
            raise InputError(f"batch_size is {self.batch_size}; give 1 or more")
        if self.most_images is not None and self.most_images < 1:
            raise InputError(f"most_images is {self.most_images}; give 1 or more, or None for all")
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


class Cell(NamedTuple):
    """One corruption at one severity."""

    suite: str
    corruption: str
    severity: int

    @property
    def key(self) -> str:
        return f"{self.suite}-{self.corruption}-{self.severity}"

    @property
    def title(self) -> str:
        return f"{self.corruption} {self.severity}"

    def origin(self, frost: Path | None) -> dict[str, str]:
        """Return what it is made from besides the images: for frost, which photographs, and nothing for others.

        Args:
            frost: their folder; None: it is synthesised.

        Raises:
            InputError: it does not have the published files.
        """
        if self.corruption != "frost":
            return {}
        if frost is None:
            return {"frost": "synthesised"}
        check_frost(frost)
        digest = json_sha256([file_sha256(frost / name) for name in FILES])[:12]
        return {"frost": f"photographs {digest}"}


def check_cells(cells: Sequence[Cell], frost: Path | None) -> None:
    """Check that corruptions have what they need, by a small image: photographs of frost, OpenCV for spatter.

    Raises:
        InputError: something is missing.
    """
    image = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    for name in dict.fromkeys(cell.corruption for cell in cells):
        Corrupt(name, 1, frost=frost)(image)


def plan_cells(
    suites: Sequence[Suite], corruptions: Sequence[str] = (), severities: Sequence[int] = SEVERITIES
) -> list[Cell]:
    """Return the cells to test, in the order of the papers.

    Args:
        suites: of corruptions.
        corruptions: only these; they may be of other suites too. Empty: all of the suites.
        severities: 1 to 5.

    Raises:
        InputError: there is no such corruption or severity.
    """
    for severity in severities:
        if severity not in SEVERITIES:
            raise InputError(f"severity is {severity}; give 1 to 5")
    names = set(corruptions or suite_names(*suites))
    chosen = {name: CORRUPTIONS[name].suite for name in names}  # which refuses what it does not know
    ordered = [name for name in suite_names(*CORRUPTION_SUITES) if name in chosen]
    return [Cell(chosen[name], name, severity) for name in ordered for severity in sorted(set(severities))]
