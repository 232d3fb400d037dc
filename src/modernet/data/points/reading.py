"""Single clouds, to predict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from modernet.data.points.inputs import PointInputs
from modernet.data.points.sources.clouds import Cloud, UnreadableCloud
from modernet.data.points.sources.files import CLOUD_SUFFIXES, is_cloud, kept_points, read_whole
from modernet.errors import InputError
from modernet.files.names import valid_text


def read_cloud(path: Path, inputs: PointInputs) -> Cloud:
    """Return all points of a file in their order, or points that are drawn from a mesh: (m, inputs.channels).

    `parts_of_cloud` shows them to a network; its first part is what `open_points` would show of the file.

    Raises:
        InputError: it cannot be used, or its points have too few channels for the network.
    """
    name = valid_text(str(path))
    if not is_cloud(path):
        raise InputError(f"{name} is no cloud or mesh that is read; give {', '.join(sorted(CLOUD_SUFFIXES))}")
    try:
        cloud = read_whole(path, kept_points(inputs.points))
    except UnreadableCloud as error:
        raise InputError(f"{name} {error}; repair it, or leave it out") from error
    if cloud.points.shape[1] < inputs.channels:
        raise InputError(
            f"{name} has {cloud.points.shape[1]} numbers a point, and the network has learned from {inputs.channels}; "
            "give files that have them"
        )
    return replace(cloud, points=np.ascontiguousarray(cloud.points[:, : inputs.channels]))
