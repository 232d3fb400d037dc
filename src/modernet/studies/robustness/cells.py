"""Which corruptions are tested, at which severities."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, get_args

import torch

from modernet.data.transforms.corruptions import CORRUPTIONS, SEVERITIES, Corrupt, Suite, suite_names
from modernet.data.transforms.corruptions.frost_pictures import FILES, check_frost
from modernet.errors import InputError
from modernet.files.fingerprint import file_sha256, json_sha256

CORRUPTION_SUITES: tuple[Suite, ...] = get_args(Suite)


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
        """Return what it is made from beside the images: for frost, which photographs, and nothing for others.

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
