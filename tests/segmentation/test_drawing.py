from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from modernet.palette import palette
from modernet.segmentation.drawing import overlay, save_label_map, save_overlay, side_by_side

IMAGE = torch.full((3, 2, 3), 100, dtype=torch.uint8)
CLASSES = torch.tensor([[0, 1, 255], [1, 1, 0]])


def test_an_overlay_blends_the_colour_of_each_known_class() -> None:
    drawn = overlay(IMAGE, CLASSES, 2)
    for y, x in ((0, 0), (0, 1), (1, 2)):
        expected = 0.45 * 100 + 0.55 * palette(2)[CLASSES[y, x]]
        assert np.abs(drawn[:, y, x].numpy() - expected).max() <= 1
    assert drawn[:, 0, 2].tolist() == [100, 100, 100]


def test_image_truth_and_prediction_are_beside_each_other() -> None:
    other = 1 - CLASSES.clamp(max=1)
    drawn = side_by_side(IMAGE, CLASSES, other, 2)
    assert drawn.shape == (3, 2, 3 + 4 + 3 + 4 + 3)
    assert torch.equal(drawn[..., :3], IMAGE)
    assert torch.equal(drawn[..., 7:10], overlay(IMAGE, CLASSES, 2))
    assert torch.equal(drawn[..., 14:], overlay(IMAGE, other, 2))
    assert (drawn[..., 3:7] == 255).all()


def test_files_hold_the_indices_and_the_overlay(tmp_path: Path) -> None:
    save_label_map(tmp_path / "map.png", CLASSES.clamp(max=1), 2)
    save_overlay(tmp_path / "overlay.png", IMAGE, CLASSES, 2)
    with Image.open(tmp_path / "map.png") as indices, Image.open(tmp_path / "overlay.png") as drawn:
        assert np.asarray(indices).tolist() == [[0, 1, 1], [1, 1, 0]]
        assert np.asarray(indices.convert("RGB"))[0, 1].tolist() == palette(2)[1].tolist()
        assert np.array_equal(np.asarray(drawn).transpose(2, 0, 1), overlay(IMAGE, CLASSES, 2).numpy())
