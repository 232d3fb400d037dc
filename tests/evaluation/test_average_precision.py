from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch.nn.functional import avg_pool2d

from found_objects import CATEGORY_IDS, CLASSES, collected, found, image, truth
from modernet import progress
from modernet.data.images.rle import RleMaps, encode
from modernet.detection import Detections
from modernet.errors import InputError
from modernet.evaluation.average_precision import AveragePrecision, Mistakes, metrics
from modernet.machine.memory import transient_bytes
from modernet.processes import Processes

SIZE = (200, 200)
NUMBERS = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")


def average_precision(masks: bool = False) -> AveragePrecision:
    return AveragePrecision(CLASSES, CATEGORY_IDS, masks)


def test_a_mask_of_another_size_than_its_image_is_named() -> None:
    total = average_precision(masks=True)
    of_another_image = truth([(0, 0, 5, 5)], masks=torch.ones(1, 10, 20, dtype=torch.bool))
    nothing = found([], [], masks=torch.zeros(0, 28, 28))
    with pytest.raises(InputError, match="image 1 has 200 x 200 pixels, but a mask of 10 x 20; correct its size"):
        total.add(1, SIZE, nothing, of_another_image)


def test_average_precision_by_hand() -> None:
    """Of three cats, the best and the third guess are right; the only dog is found with an IoU of 0.62."""
    total = average_precision()
    here, there, elsewhere = (0, 0, 50, 50), (60, 0, 110, 50), (0, 100, 50, 150)
    total.add(1, SIZE, found([here, elsewhere], [0.9, 0.8]), truth([here, there]))
    total.add(5, SIZE, found([there, (0, 0, 100, 62)], [0.7, 0.3], [0, 1]), truth([there, (0, 0, 100, 100)], [0, 1]))
    measured = total.measure()

    cat = 100 * (34 * 1 + 33 * 2 / 3) / 101  # recalls up to 1/3 at precision 1, up to 2/3 at precision 2/3
    assert measured.per_class == {"cat": {"box_ap": pytest.approx(cat)}, "dog": {"box_ap": pytest.approx(30)}}
    assert measured.metrics == {
        "box_ap": pytest.approx((cat + 30) / 2),
        "box_ap50": pytest.approx((cat + 100) / 2),
        "box_ap75": pytest.approx(cat / 2),
        "box_ap_medium": pytest.approx(cat),
        "box_ap_large": pytest.approx(30),
    }
    curves = {(curve["class"], curve["iou"]): curve for curve in measured.precision_recall}
    assert list(curves) == [(name, iou) for name in (None, "cat", "dog") for iou in (0.5, 0.75)]
    assert curves["cat", 0.75]["precision"] == [1.0] * 34 + [0.6667] * 33 + [0.0] * 34
    assert curves[None, 0.75]["precision"] == [0.5] * 34 + [0.3333] * 33 + [0.0] * 34
    assert curves[None, 0.5]["classes"] == 2
    assert len(curves["dog", 0.5]["precision"]) == 101


def annotations(seed: int, kind: str) -> list[dict[str, Any]]:
    """The objects of an image as in a COCO file; where there is only a box, a crowd fills it among masks."""
    _, _, objects = image(seed)
    assert isinstance(objects.masks, torch.Tensor)
    entries = []
    for row, mask in enumerate(objects.masks):
        left, top, right, bottom = objects.boxes_xyxy[row].tolist()
        crowd = bool(objects.crowd[row])
        if objects.mask_of[row] < 0:
            crowd |= kind == "segm"
            mask = torch.zeros_like(mask)
            mask[round(top) : round(bottom), round(left) : round(right)] = True
        entries.append({
            "image_id": 100 - seed,
            "category_id": CATEGORY_IDS[int(objects.labels[row])],
            "bbox": [left, top, right - left, bottom - top],
            "area": float(objects.areas[row]),
            "iscrowd": int(crowd),
            "segmentation": encode(mask),
        })  # fmt: skip
    return entries


def test_every_figure_is_that_of_pycocotools_on_the_written_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    total = collected(range(12))
    measured, files = total.measure(), total.write_json(tmp_path / "new")
    for path, name, kind in zip(files, ("box", "mask"), ("bbox", "segm"), strict=True):
        ground = COCO()
        ground.dataset = {
            "images": [{"id": 100 - seed, "height": h, "width": w} for seed in range(12) for h, w in [image(seed)[0]]],
            "categories": [{"id": number} for number in CATEGORY_IDS],
            "annotations": [entry for seed in range(12) for entry in annotations(seed, kind)],
        }
        for number, entry in enumerate(ground.dataset["annotations"], 1):
            entry["id"] = number
        ground.createIndex()
        evaluation = COCOeval(ground, ground.loadRes(str(path)), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        expected = {f"{name}_{key}": 100 * number for key, number in zip(NUMBERS, evaluation.stats, strict=False)}
        ours = {key: number for key, number in measured.metrics.items() if key.startswith(name)}
        assert path.name == f"detections.{kind}.json"
        assert ours == pytest.approx({key: number for key, number in expected.items() if number >= 0}, abs=1e-3)
        assert 20 < ours[f"{name}_ap"] < 80
    capsys.readouterr()  # what pycocotools prints


def test_masks_that_are_stored_as_runs_give_the_same() -> None:
    total = average_precision(True)
    for seed in range(3):
        size, detections, objects = image(seed)
        assert isinstance(objects.masks, torch.Tensor)
        total.add(100 - seed, size, detections, replace(objects, masks=RleMaps(map(encode, objects.masks))))

    assert total.measure() == collected(range(3)).measure()


def test_an_object_with_only_a_box_has_no_part_in_mask_ap() -> None:
    total = average_precision(True)
    masks = torch.zeros(1, *SIZE, dtype=torch.bool)
    masks[0, :50, :50] = True
    objects = truth([(0, 0, 50, 50), (100, 100, 150, 150)], masks=masks)
    objects.mask_of[1] = -1
    total.add(1, SIZE, found([(100, 100, 150, 150), (0, 0, 50, 50)], [0.9, 0.8], masks=torch.ones(2, 28, 28)), objects)
    total.add(2, SIZE, found([], [], masks=torch.ones(0, 28, 28)), truth([(0, 0, 9, 9)], [2]))

    measured = total.measure()
    assert measured.metrics["mask_ap"] == pytest.approx(100)
    assert measured.metrics["box_ap"] == pytest.approx(50)
    assert measured.per_class["owl"] == {"box_ap": 0.0}


def test_nothing_found_is_zero_and_what_nobody_could_find_is_left_out() -> None:
    total = average_precision()
    total.add(1, SIZE, found([], []), truth([(0, 0, 20, 20)], [1]))
    total.add(2, SIZE, found([(0, 0, 20, 20)], [0.9]), truth([]))
    total.add(3, SIZE, found([(0, 0, 20, 20)], [0.9], [2]), truth([(0, 0, 20, 20)], [2], [True]))
    measured = total.measure()

    assert measured.metrics == {"box_ap": 0, "box_ap50": 0, "box_ap75": 0, "box_ap_small": 0}
    assert measured.per_class == {"dog": {"box_ap": 0}}


def test_without_any_object_one_line_says_that_there_is_no_average_precision(
    capsys: pytest.CaptureFixture[str],
) -> None:
    total = average_precision(True)
    total.add(1, SIZE, found([(0, 0, 20, 20)], [0.9], masks=torch.ones(1, 28, 28)), truth([]))
    with progress.shown():
        measured = total.measure()

    assert (measured.metrics, measured.per_class, measured.precision_recall) == ({}, {}, [])
    assert measured.confusion["false_alarms"] == [1, 0, 0]
    printed = capsys.readouterr()
    assert [line.strip() for line in (printed.out + printed.err).splitlines()] == [
        "1 image has no box to find: box AP is left out",
        "1 image has no mask to find: mask AP is left out",
    ]


def test_objects_are_confused_missed_and_found_where_there_is_nothing() -> None:
    total = average_precision()
    objects = truth(
        [(0, 0, 50, 50), (60, 0, 110, 50), (0, 60, 50, 110), (100, 100, 190, 190)], [0, 1, 1, 1], [0, 0, 0, 1]
    )
    guesses = found(
        [(0, 0, 50, 45), (0, 0, 50, 50), (60, 0, 110, 50), (60, 4, 110, 50), (110, 110, 130, 130), (110, 110, 130, 130),
         (0, 60, 50, 110)],
        [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.2],
        [0, 1, 2, 1, 1, 0, 1],
    )  # fmt: skip
    total.add(4, SIZE, guesses, objects)
    total.add(5, SIZE, found([(0, 0, 50, 50)], [0.9]), truth([(0, 0, 50, 50)]))
    total.add(6, SIZE, found([], []), truth([(0, 0, 50, 50), (100, 0, 150, 50)], [2, 2]))
    total.add(7, SIZE, found([], []), truth([(0, 0, 50, 50), (100, 0, 150, 50)], [2, 2]))
    measured = total.measure()

    assert measured.confusion == {
        "classes": ["cat", "dog", "owl"],
        # a cat twice; the first dog as an owl, and then again; the second only with a low score; a crowd as dog and cat
        "counts": [[2, 0, 0], [0, 0, 1], [0, 0, 0]],
        "missed": [0, 1, 4],
        "false_alarms": [1, 2, 0],
        "score": 0.25,
        "iou": 0.5,
    }
    assert measured.mistakes[0] == Mistakes(4, objects=3, missed=1, confused=1, false_alarms=3)
    assert [mistakes.image_id for mistakes in measured.mistakes] == [4, 6, 7]
    assert [str(mistakes) for mistakes in measured.mistakes[:2]] == [
        "1 of 3 objects missed, 1 of 3 objects taken for another class, 3 false alarms",
        "2 of 2 objects missed",
    ]
    assert json.loads(json.dumps([measured.confusion, measured.precision_recall]))


def test_of_many_classes_the_worst_have_curves_and_none_a_matrix() -> None:
    names = [f"class {index}" for index in range(201)]
    total = AveragePrecision(names, range(201), masks=False)
    there = truth([(0, 0, 50, 50)] * 201, list(range(201)))
    right = [index for index in range(201) if index % 50]
    total.add(1, SIZE, found([(0, 0, 50, 50)] * len(right), [0.9] * len(right), right), there)
    measured = total.measure()

    shown = [curve["class"] for curve in measured.precision_recall if curve["iou"] == 0.5]
    assert shown[:6] == [None, "class 0", "class 1", "class 2", "class 3", "class 4"]
    assert {"class 50", "class 100", "class 150", "class 200"} < set(shown)
    assert len(shown) == 13
    assert measured.precision_recall[0]["classes"] == 201
    assert measured.confusion == {}
    assert measured.mistakes[0].missed == 5


class Second(Processes):
    """The second of two processes, the first of which holds other images."""

    def gather(self, value: Any, *, patiently: bool = False) -> list[Any]:
        return [collected([0, 2, 3])._images, value]


def test_processes_that_add_a_share_each_measure_what_one_does() -> None:
    share = collected([1, 3, 4], Second(rank=1, world=2))  # both have seen image 3

    assert share.measure() == collected(range(5)).measure()


def test_a_hundred_masks_of_a_large_image_need_little_memory() -> None:
    generator = torch.Generator().manual_seed(0)
    masks = avg_pool2d(torch.rand(100, 28, 28, generator=generator), 7, 1, 3, count_include_pad=False)
    corner = torch.rand(100, 2, generator=generator) * torch.tensor([3500.0, 2500.0])
    boxes = torch.cat((corner, corner + 500), 1)
    boxes[:2] = torch.tensor([0.0, 0, 4000, 3000])
    detections = Detections(boxes, torch.linspace(1, 0.1, 100), torch.zeros(100, dtype=torch.int64), masks)
    total = average_precision(True)

    used = transient_bytes(lambda: total.add(1, (3000, 4000), detections, truth([])), torch.device("cpu"))
    if used is None:
        pytest.skip("the peak of memory cannot be read on this system")
    assert used < 400e6
    assert next(total._found("segm"))["area"] > 1e6


def test_the_primary_metric_is_box_ap() -> None:
    assert [metric.name for metric in metrics(True)] == ["box_ap", "box_ap50", "box_ap75", "mask_ap", "mask_ap50"]
    assert [metric.title for metric in metrics(False)] == ["box AP", "box AP50", "box AP75"]
