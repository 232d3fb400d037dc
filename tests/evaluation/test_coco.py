from __future__ import annotations

import copy
import gc
import json
from pathlib import Path
from typing import Any

import pytest

from modernet.errors import InputError
from modernet.evaluation.coco import Kind, coco_average_precision

OBJECTS: list[dict[str, Any]] = [
    {"id": 1, "image_id": 7, "category_id": 18, "bbox": [10, 10, 40, 50], "area": 2000, "iscrowd": 0},
    {"id": 2, "image_id": 7, "category_id": 18, "bbox": [90, 20, 50, 60], "area": 3000, "iscrowd": 0},
]
TWO_OBJECTS: dict[str, Any] = {
    "images": [{"id": 7, "height": 120, "width": 160}],
    "categories": [{"id": 18, "name": "cat"}, {"id": 3, "name": "dog"}],
    "annotations": OBJECTS,
}
BOTH_FOUND = [
    {"image_id": 7, "category_id": 18, "bbox": [10, 10, 40, 50], "score": 0.9},
    {"image_id": 7, "category_id": 18, "bbox": [90, 20, 50, 60], "score": 0.8},
]
SQUARE = [[10, 10, 50, 10, 50, 60, 10, 60]]
SQUARE_RLE = {"size": [120, 160], "counts": [1210, *([50, 70] * 39), 50, 13260]}


def changed(**fields: Any) -> dict[str, Any]:
    """The two objects, with other values of fields; None leaves a field out."""
    truth = copy.deepcopy(TWO_OBJECTS)
    for annotation in truth["annotations"]:
        annotation |= fields
        for name in [name for name, value in fields.items() if value is None]:
            del annotation[name]
    return truth


@pytest.mark.parametrize(
    ("truth", "results", "kind", "expected"),
    [
        ("instances_val2014_100.json", "instances_val2014_fakebbox100_results.json", "bbox", "bbox"),
        ("instances_val2014_100.json", "instances_val2014_fakesegm100_results.json", "segm", "segm"),
        (
            "padilla/gts/sampled_gts_bbox_area.json",
            "padilla/dets/sampled_bbox_results.json",
            "bbox",
            "padilla_bbox_area",
        ),
        (
            "../coco128/instances_train_100.json",
            "fastestdet_coco128/detections_coco128_train_100.json",
            "bbox",
            "fastestdet_coco128/pycocotools_stats.json",
        ),
    ],
)  # fmt: skip
@pytest.mark.data("coco_eval_check")
def test_the_twelve_numbers_are_those_of_pycocotools(
    data_folder: Path, truth: str, results: str, kind: Kind, expected: str
) -> None:
    if not (data_folder / truth).exists():
        pytest.skip("needs the data set coco128 beside coco_eval_check")
    if expected.endswith(".json"):
        numbers = json.loads((data_folder / expected).read_text())
    else:
        numbers = json.loads((data_folder / "expected.json").read_text())[expected]
    found = json.loads((data_folder / results).read_text())
    found = found["annotations"] if isinstance(found, dict) else found  # as another tool keeps them
    measured = coco_average_precision(data_folder / truth, found, kind=kind)
    stated = numbers if isinstance(numbers, list) else [numbers[name] for name in measured]

    assert list(measured.values()) == pytest.approx(stated, abs=1e-6)


@pytest.mark.parametrize(
    "truth",
    [
        changed(id=0),
        changed(id=5),
        changed(id=None),
        changed(iscrowd=None),
        changed(category_id="18"),
        changed(image_id=7.0),
        {**TWO_OBJECTS, "annotations": [{**each, "bbox": list(map(str, each["bbox"]))} for each in OBJECTS]},
        {**TWO_OBJECTS, "annotations": [*OBJECTS, {"image_id": 8, "category_id": 18}]},
    ],
    ids=["id 0", "repeated id", "no id", "no iscrowd", "text category", "float image", "text box", "image not listed"],
)  # fmt: skip
def test_what_spoils_or_stops_other_evaluations_does_not_count(truth: dict[str, Any]) -> None:
    before = copy.deepcopy(truth)
    measured = coco_average_precision(truth, BOTH_FOUND)

    assert measured["AP"] == measured["AP50"] == measured["APm"] == pytest.approx(1.0)
    assert measured["APs"] == measured["APl"] == -1
    assert truth == before


def test_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "truth.json").write_text(json.dumps(TWO_OBJECTS))
    (tmp_path / "results.json").write_text(json.dumps(BOTH_FOUND))

    assert coco_average_precision(tmp_path / "truth.json", str(tmp_path / "results.json"))["AP"] == pytest.approx(1.0)


def test_without_an_area_the_mask_says_how_large_an_object_is_and_else_the_box() -> None:
    assert coco_average_precision(changed(area=None), BOTH_FOUND)["APm"] == pytest.approx(1.0)
    thin = changed(area=None, segmentation=[[10, 10, 50, 10, 50, 12, 10, 12]])  # 80 pixels
    measured = coco_average_precision(thin, BOTH_FOUND)
    assert measured["APs"] == pytest.approx(1.0)
    assert measured["APm"] == -1


SMALL_RLE = {"size": [120, 160], "counts": [1210, *([50, 70] * 9), 50, 16860]}  # 500 pixels


@pytest.mark.parametrize(("mask", "size"), [(SMALL_RLE, "APs"), (SQUARE, "APm"), (None, "APm")])
def test_in_an_image_of_unknown_size_only_run_lengths_say_how_large_an_object_is(mask: Any, size: str) -> None:
    truth = {**changed(area=None, segmentation=mask), "images": [{"id": 7}]}

    assert coco_average_precision(truth, BOTH_FOUND)[size] == pytest.approx(1.0)


def test_nothing_found_is_zero_and_nothing_to_find_is_minus_one() -> None:
    assert coco_average_precision(TWO_OBJECTS, [])["AP"] == 0
    for nothing in (
        {**TWO_OBJECTS, "annotations": []},
        {**TWO_OBJECTS, "annotations": [], "images": []},
        changed(iscrowd=1),
    ):
        results = BOTH_FOUND if nothing["images"] else []
        assert set(coco_average_precision(nothing, results).values()) == {-1.0}  # fmt: skip


def test_classes_without_an_object_do_not_count() -> None:
    wrong = [{**BOTH_FOUND[0], "category_id": 3, "score": 1.0}, {**BOTH_FOUND[0], "category_id": 77, "score": 1.0}]
    assert coco_average_precision(TWO_OBJECTS, [*wrong, *BOTH_FOUND])["AP"] == pytest.approx(1.0)


@pytest.mark.parametrize("mask", [SQUARE, SQUARE[0], [*SQUARE, [1, 1, 5, 5]], SQUARE_RLE])
def test_masks_are_polygons_or_runs(mask: Any) -> None:
    truth = changed(segmentation=mask)
    truth["annotations"].pop()
    result = {"image_id": 7, "category_id": 18, "segmentation": SQUARE_RLE, "score": 0.5}

    assert coco_average_precision(truth, [result], kind="segm")["AP"] == pytest.approx(1.0)


@pytest.mark.parametrize("empty", [None, [], [[1, 1, 5, 5]]])
def test_an_object_without_a_mask_has_no_part_in_mask_ap(empty: list[Any] | None) -> None:
    truth = changed(segmentation=SQUARE)
    truth["annotations"][1]["segmentation"] = empty
    result = {"image_id": 7, "category_id": 18, "segmentation": SQUARE, "score": 0.5}
    there = {**result, "segmentation": [[91, 21, 130, 21, 130, 70]], "score": 0.9}

    assert coco_average_precision(truth, [result], kind="segm")["AP"] == pytest.approx(1.0)
    assert coco_average_precision(truth, [result, there], kind="segm")["AP"] == pytest.approx(1.0)


def test_the_size_of_a_found_mask_is_not_that_of_its_box() -> None:
    """A false alarm of a small mask in a large box is none among the large objects."""
    truth = {**TWO_OBJECTS, "annotations": [{**OBJECTS[0], "segmentation": SQUARE}]}
    small = [[100, 10, 110, 10, 110, 20, 100, 20]]
    result = {"image_id": 7, "category_id": 18, "segmentation": SQUARE, "score": 0.5, "bbox": [10, 10, 40, 50]}
    alarm = {**result, "segmentation": small, "score": 0.9, "bbox": [100, 10, 40, 50]}
    measured = coco_average_precision(truth, [result, alarm], kind="segm")

    assert measured["AP"] == pytest.approx(0.5)
    assert measured["APm"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("truth", "results", "kind", "message"),
    [
        ([], [], "bbox", "the annotations are not in COCO's format: give a file with images, annotations and"),
        (TWO_OBJECTS, {}, "bbox", "the results are not in COCO's format: give a file with a list of what was found"),
        (TWO_OBJECTS, [{**BOTH_FOUND[0], "image_id": 8}], "bbox", "result 0 .*its image 8 is not in the annotations"),
        (TWO_OBJECTS, [{**BOTH_FOUND[0], "score": float("nan")}], "bbox", "result 0 .*its score is nan"),
        (TWO_OBJECTS, [{"image_id": 7, "category_id": 18, "score": 1}], "bbox", "result 0 .*has no bbox"),
        (TWO_OBJECTS, BOTH_FOUND, "segm", "result 0 of the file, counted from 0, has no segmentation"),
        (TWO_OBJECTS, [{**BOTH_FOUND[0], "segmentation": []}], "segm", "result 0 .*its segmentation is empty"),
        (changed(segmentation={"size": [160, 120], "counts": [19200]}), [], "segm", "160 x 120, its image 120 x 160"),
        (changed(bbox=[1, 2, 3]), [], "bbox", "annotation 0 of the file, counted from 0: .*expected 4, got 3"),
        (changed(category_id="cat"), [], "bbox", "annotation 0 of the file, counted from 0: .*'cat'"),
        ({**TWO_OBJECTS, "images": [{"id": 7}]}, [], "segm", "image 0 of the file, counted from 0, has no height"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named(truth: Any, results: Any, kind: Kind, message: str) -> None:
    with pytest.raises(InputError, match=message):
        coco_average_precision(truth, results, kind=kind)


@pytest.mark.parametrize("on", [True, False])
def test_the_search_for_cycles_is_as_it_was_before(on: bool) -> None:
    try:
        if not on:
            gc.disable()
        coco_average_precision(TWO_OBJECTS, BOTH_FOUND)
        assert gc.isenabled() is on
    finally:
        gc.enable()


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.json").write_text("AP 50")
    with pytest.raises(InputError, match=r"cannot read .*missing\.json: No such file"):
        coco_average_precision(tmp_path / "missing.json", [])
    with pytest.raises(InputError, match=r"text\.json is not JSON"):
        coco_average_precision(TWO_OBJECTS, tmp_path / "text.json")
