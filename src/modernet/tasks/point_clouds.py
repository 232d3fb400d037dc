"""Single point clouds to predict."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from modernet import progress
from modernet.data.images.finding import files_below
from modernet.data.points.inputs import PointInputs
from modernet.data.points.reading import read_cloud
from modernet.data.points.sources.clouds import Cloud
from modernet.data.points.sources.files import CLOUD_SUFFIXES, is_cloud
from modernet.errors import InputError


def find_clouds(given: Sequence[str]) -> list[Path]:
    """Find files of point clouds and meshes, given files, folders (searched recursively) and shell patterns.

    A file that is given by name is taken whatever its suffix.

    Raises:
        InputError: nothing is given, or a pattern matches nothing.
    """
    if not given:
        raise InputError("no point clouds were given; give files, folders or patterns such as 'scans/*.ply'")
    found: set[Path] = set()
    for pattern in given:
        path = Path(pattern).expanduser()
        if path.is_file():
            matches = [path]
        elif path.is_dir():
            matches = [file for file in files_below(path) if is_cloud(file)]
        else:
            matches = [Path(match) for match in glob.glob(str(path), recursive=True) if Path(match).is_file()]  # noqa: PTH207
        if not matches:
            raise InputError(
                f"nothing matches {str(pattern)!r}; give point clouds or meshes ({', '.join(sorted(CLOUD_SUFFIXES))}), "
                "folders that contain them, or a pattern such as 'scans/*.ply'"
            )
        found.update(matches)
    return sorted(found)


def each_cloud(found: Sequence[Path], inputs: PointInputs, *, skip_unreadable: bool) -> Iterator[tuple[Path, Cloud]]:
    """Yield each cloud as `read_cloud` returns it.

    Raises:
        InputError: one cannot be used.
    """
    for path in progress.track(found, "predicting", len(found)):
        try:
            cloud = read_cloud(path, inputs)
        except InputError as error:
            if not skip_unreadable:
                raise
            progress.say(f"skipped: {error}")
            continue
        yield path, cloud


@torch.inference_mode()
def answer(network: nn.Module, *inputs: Tensor) -> Tensor:
    """Return the logits of a network for a batch, float32 on the CPU."""
    device = next(network.parameters()).device
    logits: Tensor = network(*(each.to(device) for each in inputs)).float().cpu()
    return logits
