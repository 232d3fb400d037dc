"""What a network sees of a point cloud."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PointInputs:
    """How many points of a cloud are shown, and what each of them has. JSON-able.

    A batch is float32 (b, n, channels): x, y and z, then what else a point has, such as a normal or a colour.
    """

    points: int = 1024
    """Points of a cloud that are shown; of a smaller one some are shown more than once."""
    channels: int = 3
    """Numbers of a point, at least the 3 coordinates."""
    scaled: bool = True
    """Divide by the largest radius after centring, since the units of files differ; else clouds keep their size."""
    categories: int = 0
    """Categories of shapes, one of which is given with each cloud whose parts are asked for; 0: none is given."""
    centred: bool = True
    """Move the mean of the points that are shown to 0; else clouds are where they are."""
    unit: float = 1.0
    """What coordinates are divided by where clouds keep their size."""
    normals: bool = False
    """The three numbers after the coordinates are a direction, and turn with the points."""
