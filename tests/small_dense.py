"""Small detectors and segmenters with random weights, as folders of finished runs, and folders of scenes."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

from data.detection_exports import export_coco
from modernet.data import SceneGenerator
from modernet.data.images.marks import NO_MARKS
from modernet.preparation import Preparation
from modernet.tasks import detection, segmentation
from modernet.weights import NetworkSpec, save_network

GROUND = ("ground", *"0123456789")


def save_detector(folder: Path) -> str:
    head = {"detector": "mask_rcnn", "masks": False, "width": 8, "hidden": 16}
    spec = NetworkSpec("model", "convnext_test", {}, head)
    torch.manual_seed(0)
    network = detection.build_network(spec, 10).eval()
    NO_MARKS.write(folder)
    save_network(folder, network, spec, tuple("0123456789"), Preparation(64, (0.4,) * 3, (0.25,) * 3), "detection")
    return f"{folder}/"


def save_segmenter(folder: Path) -> str:
    spec = NetworkSpec("model", "convnext_test", {"stem_stride": 2}, {"head": "plain", "width": 8})
    torch.manual_seed(0)
    network = segmentation.build_network(spec, len(GROUND)).eval()
    NO_MARKS.write(folder)
    save_network(folder, network, spec, GROUND, Preparation(32, (0.4,) * 3, (0.25,) * 3), "segmentation")
    return f"{folder}/"


def save_boxes(folder: Path, count: int = 3) -> Path:
    generator = SceneGenerator("test", 64)
    export_coco(folder, [generator.scene(index) for index in range(count)])
    return folder


def save_maps(folder: Path) -> Path:
    for number in range(6):
        scene = SceneGenerator("test", 48).scene(number)
        h, w = 36 + 4 * (number % 2), 48
        for kind, content in (("images", scene.image[:, :h, :w].permute(1, 2, 0)), ("masks", scene.semantic[:h, :w])):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(content.numpy()).save(folder / kind / f"{number}.png")
    (folder / "classes.txt").write_text("\n".join(GROUND))
    return folder
