"""The recipe of a detector."""

from __future__ import annotations

import pytest

from modernet.errors import InputError
from modernet.preparation import Preparation
from modernet.recipes.detection import DetectionSizes


def test_the_long_side_is_no_shorter_than_the_short_one() -> None:
    with pytest.raises(InputError, match=r"^long_side is 1333, below image_size, 1536; set it to that or more$"):
        DetectionSizes(image_size=1536, long_side=1333)
    data = Preparation(224, (0.5,) * 3, (0.25,) * 3)  # where image_size is that of the data
    with pytest.raises(InputError, match=r"^long_side is 200, below image_size, 224"):
        DetectionSizes(long_side=200).in_training(data)
    assert DetectionSizes(image_size=224, long_side=224).in_training(data).size == (224, 224)
    assert DetectionSizes(long_side=448, test_size=112).in_test(data).size == (112, 224)
