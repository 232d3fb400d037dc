from __future__ import annotations

import numpy as np

from modernet.palette import palette


def test_a_class_keeps_its_colour_however_many_there_are() -> None:
    assert palette(0).shape == (0, 3)
    for count in (1, 7, 8, 150):
        assert (palette(count) == palette(256)[:count]).all()


def test_colours_of_classes_differ() -> None:
    colours = palette(150).astype(int)
    apart = np.abs(colours[:, None] - colours).sum(-1) + 999 * np.eye(150, dtype=int)
    assert apart.min() > 0
    assert apart[:20, :20].min() > 30
