"""Targets: what a network should answer for each image.

| kind | of an image | of a batch |
|---|---|---|
| `ClassTargets` | its class | int64 (b,) |
| `SemanticTargets` | the class of each pixel | integers (b, h, w), `IGNORE` where it is unknown |
| `BoxTargets` | boxes with a class each, and masks | `BoxBatch` |
| `NoTargets` | nothing | None |

Targets follow their images: `show` maps them by the views through which images are decoded, and `move` by the moves of
a batch on its device. Boxes are mapped by views alone.
"""

from modernet.data.targets.boxes import BoxBatch, BoxTargets, transfer
from modernet.data.targets.classes import ClassTargets, NoTargets, class_labels
from modernet.data.targets.contract import Floats, Ints, TargetKind, Targets
from modernet.data.targets.maps import Maps, MaskMaps
from modernet.data.targets.masks import InstanceMasks
from modernet.data.targets.semantic import SemanticTargets, varied_view

__all__ = [
    "BoxBatch",
    "BoxTargets",
    "ClassTargets",
    "Floats",
    "InstanceMasks",
    "Ints",
    "Maps",
    "MaskMaps",
    "NoTargets",
    "SemanticTargets",
    "TargetKind",
    "Targets",
    "class_labels",
    "transfer",
    "varied_view",
]
