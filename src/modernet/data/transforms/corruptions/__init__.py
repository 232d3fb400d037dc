"""The corruptions of ImageNet-C and ImageNet-C-bar, for batches of images.

Sources: Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations"
(2019); Mintun, Kirillov and Xie, "On Interaction Between Augmentations and Corruptions in Natural Corruption
Robustness" (2021). The order of the imports is that of the papers.
"""

from modernet.data.transforms.corruptions import noise as _noise  # noqa: F401, I001 - registers
from modernet.data.transforms.corruptions import blur as _blur  # noqa: F401 - registers
from modernet.data.transforms.corruptions import weather as _weather  # noqa: F401 - registers
from modernet.data.transforms.corruptions import digital as _digital  # noqa: F401 - registers
from modernet.data.transforms.corruptions import spatter as _spatter  # noqa: F401 - registers
from modernet.data.transforms.corruptions import bar as _bar  # noqa: F401 - registers
from modernet.data.transforms.corruptions.corrupted_images import CorruptedImages
from modernet.data.transforms.corruptions.corruption import (
    CORRUPTIONS,
    SEVERITIES,
    Corrupt,
    Corruption,
    Suite,
    suite_names,
)

__all__ = ["CORRUPTIONS", "SEVERITIES", "Corrupt", "CorruptedImages", "Corruption", "Suite", "suite_names"]
