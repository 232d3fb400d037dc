from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from found_objects import found
from modernet.detection import Detections
from modernet.errors import InputError
from modernet.evaluation.predicted_objects import DetectedImage, DetectionWriter
from modernet.machine.memory import transient_bytes


def written(folder: Path, image_u8: Tensor, objects: Detections) -> list[dict[str, object]]:
    """Return the annotations of an image that a writer drew."""
    writer = DetectionWriter(folder, [Path("a.jpg")], ("cat",), (7,))
    size = (image_u8.shape[1], image_u8.shape[2])
    writer.add(Path("a.jpg"), image_u8, objects, DetectedImage.of("a.jpg", objects, size, ("cat",), 0.5))
    annotations: list[dict[str, object]] = json.loads(writer.write().read_text())["annotations"]
    return annotations


def test_the_area_is_that_of_the_mask_and_else_of_the_box(tmp_path: Path) -> None:
    image = torch.zeros(3, 60, 80, dtype=torch.uint8)
    half = torch.zeros(1, 28, 28)
    half[:, :, :14] = 1
    (masked,) = written(tmp_path, image, found([(10, 10, 50, 40)], [0.9], masks=half))
    (boxed,) = written(tmp_path, image, found([(10, 10, 50, 40)], [0.9]))

    assert (masked["area"], boxed["area"]) == (20 * 30, 40 * 30)
    assert masked["bbox"] == boxed["bbox"] == [10, 10, 40, 30]


def test_an_object_of_a_large_image_needs_little_memory_to_draw(tmp_path: Path) -> None:
    """Of 12 million pixels, the image alone has 36 MB."""
    image = torch.zeros(3, 3000, 4000, dtype=torch.uint8)
    objects = found([(0, 0, 4000, 3000)], [0.9], masks=torch.ones(1, 28, 28))

    used = transient_bytes(lambda: written(tmp_path, image, objects), torch.device("cpu"))
    if used is None:
        pytest.skip("the peak of memory cannot be read on this system")
    assert used < 300e6


def test_a_folder_that_cannot_be_written_to_is_named_before_anything_is_predicted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write to .*file: .*; give another --out"):
        DetectionWriter(tmp_path / "file", [], ("cat",), (7,))
