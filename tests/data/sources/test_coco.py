"""COCO's json files of objects, as COCO and labelling tools write them, and broken in every way that users report."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from data.detection_exports import boxes_of, masks_of, read, targets_of, write_image
from modernet.data.images import rle
from modernet.errors import InputError

SIZE = (20, 30)
IMAGES = [{"id": number, "file_name": f"{name}.png", "height": 20, "width": 30} for number, name in enumerate("abc", 1)]
CATEGORIES = [{"id": 1, "name": "cat", "supercategory": "animal"}, {"id": 2, "name": "dog", "supercategory": "animal"}]
SQUARE = [2.0, 3, 12, 3, 12, 11, 2, 11]
RUNS = [10 * 20 + 2, 3, 17, 3, 20 * 30 - 225]
"""Two columns of three pixels: x 10 and 11, y 2 to 4."""


def thing(number: int = 1, image: Any = 1, category: Any = 1, bbox: Any = (2, 3, 10, 8), **more: Any) -> dict[str, Any]:
    found = {"id": number, "image_id": image, "category_id": category, "bbox": bbox, "area": 70, "iscrowd": 0}
    return {key: value for key, value in {**found, **more}.items() if value != "absent"}


def write(
    root: Path,
    annotations: Sequence[Any],
    *,
    images: Sequence[Any] = IMAGES,
    categories: Sequence[Any] = CATEGORIES,
    name: str = "annotations.json",
    files: Sequence[str] = ("a.png", "b.png", "c.png"),
) -> Path:
    for file in files:
        write_image(root / file, SIZE)
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / name).write_text(json.dumps(content))
    return root


def test_objects_are_sorted_by_image_and_keep_what_the_file_knows(tmp_path: Path) -> None:
    crowd = {"size": [20, 30], "counts": RUNS}
    things = [thing(7, 3, 2), thing(8, 1, segmentation=[SQUARE]), thing(9, 3, iscrowd=1, area=6, segmentation=crowd)]
    source, said = read(write(tmp_path, things))
    targets = targets_of(source.train)
    assert source.classes == ("cat", "dog")
    assert targets.offsets.tolist() == [0, 1, 1, 3]
    assert boxes_of(source.train) == [[2, 3, 12, 11]] * 3
    assert targets.labels.tolist() == [0, 1, 0]
    assert targets.crowd.tolist() == [False, False, True]
    assert targets.areas.tolist() == [70, 70, 6]
    assert (targets.image_ids.tolist(), targets.category_ids) == ([1, 2, 3], (1, 2))
    assert said.splitlines() == [f"{tmp_path.name}: objects: 3, classes: 2, images: 3 (1 without objects)"]


@pytest.mark.parametrize(
    ("bbox", "reason"),
    [
        ([5, 5, 0, 4], r"its box is empty (5 5 5 9 in 20 x 30)"),
        ([5, 5, 4, -2], "its box is empty"),
        ([5, 5, 0.5, 9], "its box is less than a pixel wide or high"),
        ([29.5, 5, 9, 9], "its box is less than a pixel wide or high"),
        ([31, 5, 4, 4], "its box is outside of its image"),
        ([5, 5, 4], "its box is not four numbers"),
        ([5, 5, None, 4], "its box is not four numbers"),
        ([5, 5, float("nan"), 4], "its box is not four numbers"),
        (["a", 5, 4, 4], "its box is not four numbers"),
        ("absent", "its box is not four numbers"),
        ([2, 3, 10, 8], "it is a copy of another (2 3 12 11)"),
    ],
)
def test_an_object_with_such_a_box_is_dropped_alone(tmp_path: Path, bbox: Any, reason: str) -> None:
    source, said = read(write(tmp_path, [thing(), thing(17, bbox=bbox), thing(18, 2), thing(19, bbox=bbox)]))
    assert boxes_of(source.train) == [[2, 3, 12, 11]] * 2
    dropped = said.splitlines()[1]
    assert f"objects dropped: 2, first {tmp_path / 'annotations.json'}, annotation 17: {reason}" in dropped
    assert dropped.endswith("modernet data check lists all")


def test_boxes_that_reach_out_are_cut_off_and_numbers_may_be_text(tmp_path: Path) -> None:
    things = [thing(1, bbox=["25", "15.5", "20", "1"]), thing(2, bbox=[-0.1, 3, 10, 8])]
    source, said = read(write(tmp_path, things))
    assert boxes_of(source.train) == [[25, 15.5, 30, 16.5], [0, 3, pytest.approx(9.9), 11]]
    assert "boxes cut off, which reach out of their image: 1, first" in said  # not one by a hundredth of a side
    assert "annotation 1: its box is 25 15.5 45 16.5, its image has 20 rows and 30 columns" in said


@pytest.mark.parametrize(("field", "value"), [("image_id", 99), ("category_id", 99), ("category_id", [1])])
def test_an_object_of_nothing_is_dropped(tmp_path: Path, field: str, value: Any) -> None:
    source, said = read(write(tmp_path, [thing(), thing(2, **{field: value}), 5]))
    assert len(boxes_of(source.train)) == 1
    kind = "image" if field == "image_id" else "class"
    assert (
        f"objects dropped: 2, first {tmp_path / 'annotations.json'}, annotation 2: there is no {kind} {value}" in said
    )


@pytest.mark.parametrize(
    ("ids", "numbers"),
    [((0, 1), (0, 1)), ((7, 90), (7, 90)), ((3.0, "12"), (3, 12)), (("cat-a", "dog-b"), (1, 2)), ((10, 9), (10, 9))],
)
def test_ids_of_any_kind_become_labels_from_0_in_their_order(tmp_path: Path, ids: Any, numbers: Any) -> None:
    categories = [{"id": ids[0], "name": "cat"}, {"id": ids[1], "name": "dog"}]
    things = [thing(1, category=ids[0]), thing(2, category=str(ids[1]), image="2")]
    source, _ = read(write(tmp_path, things, categories=categories))
    targets = targets_of(source.train)
    ascending = sorted(zip(numbers, ("cat", "dog"), strict=True))
    assert targets.category_ids == tuple(number for number, _ in ascending)
    assert source.classes == tuple(name for _, name in ascending)
    assert [source.classes[label] for label in targets.labels] == ["cat", "dog"]
    assert targets.offsets.tolist() == [0, 1, 2, 2]


def test_ids_of_images_may_be_text(tmp_path: Path) -> None:
    images = [{**entry, "id": f"uuid-{entry['id']}"} for entry in IMAGES]
    source, _ = read(write(tmp_path, [thing(1, "uuid-3")], images=images))
    targets = targets_of(source.train)
    assert (targets.offsets.tolist(), targets.image_ids.tolist()) == ([0, 0, 0, 1], [1, 2, 3])


@pytest.mark.parametrize(("root", "children"), [("pets", ("cat", "dog")), ("cat", ("cat",))])
def test_roboflows_root_is_no_class(tmp_path: Path, root: str, children: tuple[str, ...]) -> None:
    categories = [{"id": 0, "name": root, "supercategory": "none"}]
    categories += [{"id": n, "name": name, "supercategory": root} for n, name in enumerate(children, 1)]
    source, said = read(write(tmp_path, [thing()], categories=categories))
    assert source.classes == children
    assert targets_of(source.train).category_ids == tuple(range(1, len(children) + 1))
    assert f"annotations.json: parents of others without an object, so not classes: '{root}'" in said


def test_a_class_without_objects_may_be_called_none(tmp_path: Path) -> None:
    categories = [{"id": 1, "name": "None"}, {"id": 2, "name": "dog", "supercategory": None}, {"id": 3, "name": "cat"}]
    source, said = read(write(tmp_path, [thing(category=2)], categories=categories))
    assert source.classes == ("None", "dog", "cat")
    assert "parents" not in said


def test_a_class_that_is_its_own_supercategory_stays_without_objects(tmp_path: Path) -> None:
    categories = [{"id": 1, "name": "person", "supercategory": "person"}, {"id": 2, "name": "dog"}]
    source, _ = read(write(tmp_path, [thing(category=2)], categories=categories))
    assert source.classes == ("person", "dog")


def test_missing_fields_are_filled_in_and_said(tmp_path: Path) -> None:
    things = [
        thing(1, area="absent", iscrowd="absent", segmentation=[SQUARE[:6]]),
        thing(2, 2, area="absent", segmentation=[]),
        thing(3, 3, area=0),
        thing(4, 3, bbox="absent", segmentation=[SQUARE], category=2),
    ]
    source, said = read(write(tmp_path, things, categories=[{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]))
    triangle = rle.area(rle.from_polygons([SQUARE[:6]], SIZE))
    assert targets_of(source.train).areas.tolist() == [triangle, 80, 80, 70]
    assert 30 < triangle < 50
    assert boxes_of(source.train)[3] == [2, 3, 12, 11]
    assert "annotations.json has no area for 2 of 4 objects: that of mask or box is used" in said
    assert "annotations.json has no iscrowd for 1 of 4 objects: taken as 0" in said


def test_ids_of_annotations_do_not_matter(tmp_path: Path) -> None:
    things = [thing(0), thing(0, 2), thing("x", 3), thing("absent", 3, 2)]
    source, said = read(write(tmp_path, things))
    assert len(boxes_of(source.train)) == 4
    assert "dropped" not in said
    _, said = read(write(tmp_path, [thing(), thing("absent", bbox=[0, 0, 0, 0])]))
    assert "annotations.json, object 2: its box is empty" in said


def masks_read(root: Path, segmentation: Any, **more: Any) -> tuple[torch.Tensor | None, str]:
    source, said = read(
        write(root, [thing(17, segmentation=segmentation, **more), thing(18, 2, segmentation=[SQUARE])])
    )
    assert len(boxes_of(source.train)) == 2
    first, second = masks_of(source.train)
    assert int(second.sum()) == 80
    return first, said


@pytest.mark.parametrize("counts", ["list", "text"])
def test_both_kinds_of_run_lengths_are_read(tmp_path: Path, counts: str) -> None:
    stored: Any = {"size": [20, 30], "counts": RUNS}
    if counts == "text":
        stored["counts"] = rle.parse_rle(stored)["counts"].decode()
    mask, said = masks_read(tmp_path, stored)
    assert mask.nonzero().tolist() == [[y, x] for y in (2, 3, 4) for x in (10, 11)]
    assert "dropped" not in said


@pytest.mark.parametrize("stored", [RUNS, [RUNS], [[*RUNS[:-1], RUNS[-1] - 4, 4]]])
def test_run_lengths_given_as_a_polygon_are_recognised(tmp_path: Path, stored: Any) -> None:
    mask, said = masks_read(tmp_path, stored)
    assert mask[2:5, 10:12].all()
    assert int(mask[:, :29].sum()) == 6
    assert "dropped" not in said


def test_a_copy_has_the_same_mask_or_none(tmp_path: Path) -> None:
    masks: list[Any] = ["absent", [SQUARE], [SQUARE[:6]], [list(SQUARE)], []]
    source, said = read(write(tmp_path, [thing(n, segmentation=mask) for n, mask in enumerate(masks, 11)]))
    square, triangle = masks_of(source.train)
    assert (int(square.sum()), int(triangle.sum())) == (80, rle.area(rle.from_polygons([SQUARE[:6]], SIZE)))
    assert "objects dropped: 3, first" in said
    assert "annotation 11: it is a copy of another (2 3 12 11)" in said


def test_parts_are_one_object_and_a_flat_polygon_is_one_part(tmp_path: Path) -> None:
    other = [20.0, 3, 24, 3, 24, 7, 20, 7]
    assert int(masks_read(tmp_path, [SQUARE, other])[0].sum()) == 80 + 16
    assert int(masks_read(tmp_path, [SQUARE, SQUARE])[0].sum()) == 80
    assert int(masks_read(tmp_path, SQUARE)[0].sum()) == 80
    assert int(masks_read(tmp_path, [[str(value) for value in SQUARE]])[0].sum()) == 80
    assert int(masks_read(tmp_path, [{"size": [20, 30], "counts": RUNS}, SQUARE])[0].sum()) == 80 + 6 - 4


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ([2.0, 3, 12, 3], "its polygon has 4 numbers; it needs two for each of three corners"),
        ([2.0, 3, 12, 3, 12, 11, 5], "its polygon has 7 numbers"),
        ([2.0, 3, 12, 3, 12, None], "its polygon has a corner that is no number"),
        ([2.0, 3, 12, 3, 12, float("inf")], "its polygon has a corner that is no number"),
        ({"size": [20, 30], "counts": [5, 6]}, "its RLE has runs of 11 pixels in all, and a size of 20 x 30 = 600"),
        (
            {"size": [30, 20], "counts": RUNS},
            "its RLE has the size [30, 20], its image has 20 rows and 30 columns; write the height first",
        ),
        ({"size": [10, 60], "counts": RUNS}, "its RLE has the size [10, 60], its image has 20 rows and 30 columns"),
        ({"counts": RUNS}, "its RLE has the size None"),
    ],
)
def test_a_part_that_is_wrong_is_dropped_and_the_box_stays(tmp_path: Path, part: Any, reason: str) -> None:
    mask, said = masks_read(tmp_path, part if isinstance(part, dict) else [part])
    assert mask is None
    assert f"masks dropped, or parts of them; their objects keep their boxes: 1, first {tmp_path}" in said
    assert f"annotation 17: {reason}" in said
    rest, _ = masks_read(tmp_path, [part, SQUARE])
    assert int(rest.sum()) == 80


@pytest.mark.parametrize("stored", [None, [], {}, [[]], "absent"])
def test_an_object_without_a_mask_among_others_keeps_its_box(tmp_path: Path, stored: Any) -> None:
    mask, said = masks_read(tmp_path, stored)
    assert mask is None
    assert "dropped" not in said
    source, _ = read(tmp_path)
    assert targets_of(source.train).mask_of.tolist() == [-1, 0]


def test_without_any_mask_there_are_none(tmp_path: Path) -> None:
    source, _ = read(write(tmp_path, [thing(), thing(2, 2, segmentation="somewhere")]))
    assert targets_of(source.train).masks is None


def test_a_data_set_of_nothing_but_crowds_is_named(tmp_path: Path) -> None:
    runs = {"size": [20, 30], "counts": RUNS}
    _, said = read(write(tmp_path, [thing(n, n, iscrowd=1, segmentation=runs) for n in (1, 2)]), to_learn=False)
    assert "each has iscrowd 1, as CVAT writes for brush masks: none is learned from or measured" in said
    _, said = read(write(tmp_path, [thing(1, 1, iscrowd=1, segmentation=runs), thing(2, 2)]))
    assert "brush" not in said


@pytest.mark.parametrize(
    "name",
    [
        "images/a.png",
        "images\\a.png",
        "./images/a.png",
        "/home/someone/images/a.png",
        "C:\\Users\\someone\\a.png",
        "..\\..\\media\\a.png",
        "a.png",
    ],
)
def test_an_image_is_found_under_the_names_that_tools_write(tmp_path: Path, name: str) -> None:
    images = [{**IMAGES[0], "file_name": name}]
    source, _ = read(write(tmp_path, [thing()], images=images, files=["images/a.png"]))
    assert source.train.images.identity(0) == "images/a.png"


def test_a_name_alone_is_looked_for_among_the_images_first(tmp_path: Path) -> None:
    write_image(tmp_path / "masks/a.png", SIZE)
    source, _ = read(write(tmp_path, [thing()], images=IMAGES[:1], files=["images/a.png"]))
    assert source.train.images.identity(0) == "images/a.png"


def test_nothing_outside_of_the_folder_is_read(tmp_path: Path) -> None:
    secret = write_image(tmp_path / "secret.png")
    root = tmp_path / "set"
    images = [*IMAGES[:1], {**IMAGES[1], "file_name": "../secret.png"}, {**IMAGES[2], "file_name": str(secret)}]
    source, said = read(write(root, [thing(), thing(2, 2)], images=images, files=["a.png"]))
    assert (len(source.train), len(boxes_of(source.train))) == (1, 1)
    assert f"listed twice: 2, first {root / 'annotations.json'}, image 2: there is no image '../secret.png'" in said


def test_of_files_with_one_name_that_of_the_split_is_meant(tmp_path: Path) -> None:
    files = [f"images/{split}/{name}.png" for split in ("train", "val") for name in "abc"]
    write(tmp_path, [thing()], files=files, name="annotations/instances_train.json")
    write(tmp_path, [thing()], files=[], name="annotations/instances_val.json")
    source, said = read(tmp_path)
    assert source.train.images.identity(0) == "images/train/a.png"
    assert source.validation.images.identity(2) == "images/val/c.png"
    assert "dropped" not in said


def test_a_file_given_alone_has_the_images_of_its_split(tmp_path: Path) -> None:
    files = [f"images/{split}/{name}.png" for split in ("train", "val") for name in "abc"]
    write(tmp_path, [thing()], files=files, name="annotations/instances_val.json")
    source, _ = read(tmp_path / "annotations/instances_val.json")
    assert [source.train.images.identity(i) for i in range(3)] == [f"images/val/{name}.png" for name in "abc"]


def test_a_missing_image_is_not_taken_from_another_split(tmp_path: Path) -> None:
    write(tmp_path, [thing()], files=["images/train/a.png"], images=IMAGES[:1], name="annotations/train.json")
    write(tmp_path, [thing()], files=["images/val/b.png"], images=IMAGES[:2], name="annotations/val.json")
    source, said = read(tmp_path)
    assert [source.validation.images.identity(i) for i in range(len(source.validation))] == ["images/val/b.png"]
    assert f"{tmp_path / 'annotations/val.json'}, image 1: there is no image 'a.png'" in said


def test_images_of_another_file_are_listed(tmp_path: Path) -> None:
    files = [f"images/{name}.png" for name in "abcd"]
    write(tmp_path, [thing()], files=files, images=IMAGES[:1], name="train.json")
    write(tmp_path, [thing(1, 2)], files=[], images=IMAGES[1:], name="val.json")
    assert "not listed, so not used: 1 of 4 images in the same folders" in read(tmp_path)[1]
    (tmp_path / "images/d.png").unlink()
    assert "not listed" not in read(tmp_path)[1]


def test_images_listed_twice_missing_or_with_a_used_id_are_left_out(tmp_path: Path) -> None:
    images = [
        *IMAGES[:2],
        {**IMAGES[0], "id": 5},
        {**IMAGES[2], "id": 6, "file_name": "gone.png"},
        {**IMAGES[2], "id": 2},
        {"id": 8},
        "x",
    ]
    things = [thing(), thing(2, 5, bbox=[1, 1, 5, 5]), thing(3, 6), thing(4, 2)]
    source, said = read(write(tmp_path, things, images=images))
    assert len(source.train) == 2
    assert targets_of(source.train).offsets.tolist() == [0, 2, 3]
    assert "images that are not there and left out, or listed twice: 5, first" in said
    assert "image 5: 'a.png' is listed twice; the objects of both entries are used" in said
    assert "objects dropped" not in said
    assert "not listed, so not used: 1 of 3 images in the same folders" in said


@pytest.mark.parametrize(
    "size", [{}, {"height": 0, "width": 0}, {"height": "x", "width": None}, {"height": 1e9, "width": 1e9}]
)
def test_an_unknown_size_is_read_from_the_image(tmp_path: Path, size: dict[str, Any]) -> None:
    images = [{"id": 1, "file_name": "a.png", **size}]
    source, said = read(write(tmp_path, [thing(bbox=[25, 15, 20, 20], segmentation=[SQUARE])], images=images))
    assert boxes_of(source.train) == [[25, 15, 30, 20]]
    assert masks_of(source.train)[0].shape == SIZE
    assert "another size" not in said


def test_a_size_that_is_wrong_is_said_and_corrected(tmp_path: Path) -> None:
    images = [IMAGES[0], {**IMAGES[1], "height": 10, "width": 15}]
    source, said = read(write(tmp_path, [thing(1, 2, bbox=[2, 3, 20, 16])], images=images))
    assert boxes_of(source.train) == [[2, 3, 22, 19]]
    assert f"{tmp_path / 'b.png'}: it has 20 x 30 pixels, its annotations are for 10 x 15" in said


def test_a_wrong_size_is_found_in_any_image(tmp_path: Path) -> None:
    images = [{"id": n, "file_name": f"{n}.png", "height": 20, "width": 30} for n in range(40)]
    images[1] |= {"height": 30, "width": 20}
    things = [thing(1, 1, bbox=[2, 3, 26, 10], segmentation=[[2, 3, 28, 3, 28, 13, 2, 13]])]
    source, said = read(write(tmp_path, things, images=images, files=[f"{n}.png" for n in range(40)]))
    assert boxes_of(source.train) == [[2, 3, 28, 13]]
    assert [tuple(mask.shape) for mask in masks_of(source.train)] == [SIZE]
    assert f"their annotations say: 1, first {tmp_path / '1.png'}: it has 20 x 30 pixels" in said


def test_annotations_from_before_an_exif_rotation_are_named(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    images = [{"id": 1, "file_name": "a.jpg", "height": 20, "width": 30}]
    write(tmp_path, [thing()], images=images, files=[])
    write_image(tmp_path / "a.jpg", SIZE, exif=exif)
    source, said = read(tmp_path)
    assert source.train.images.read(0).shape == (3, 30, 20)
    assert "it has 30 x 20 pixels, its annotations are for 20 x 30; that is its size before its EXIF rotation" in said

    write(tmp_path, [thing()], images=[{**images[0], "height": 30, "width": 20}], files=[])
    assert "EXIF" not in read(tmp_path)[1]


def test_an_image_that_cannot_be_decoded_stays_until_it_is(tmp_path: Path) -> None:
    things = [
        thing(n, segmentation=mask) for n, mask in enumerate([[[]], {"size": [20, 30], "counts": RUNS}, [SQUARE]])
    ]
    write(tmp_path, things, images=[{"id": 1, "file_name": "a.png"}])
    (tmp_path / "a.png").write_bytes(b"x")
    source, said = read(tmp_path, to_learn=False)
    assert (len(source.train), boxes_of(source.train)) == (1, [])
    assert "dropped" not in said


def as_roboflow(root: Path) -> None:
    for split in ("train", "valid", "test"):
        write(root / split, [thing()], name="_annotations.coco.json")


def as_coco(root: Path) -> None:
    for split in ("train", "val"):
        files = [f"{split}2017/{name}.png" for name in "abc"]
        write(root, [thing()], name=f"annotations/instances_{split}2017.json", files=files)
        write(root, [thing()], name=f"annotations/person_keypoints_{split}2017.json", files=[])
        write(root, [thing()], name=f"annotations/captions_{split}2017.json", files=[])


def as_cvat(root: Path) -> None:
    write(root, [thing()], name="annotations/instances_default.json", files=[f"images/{name}.png" for name in "abc"])


def beside_the_images(root: Path) -> None:
    write(root, [thing()])
    (root / "other.json").write_text("[1]")


@pytest.mark.parametrize(
    ("layout", "splits"),
    [
        (as_roboflow, ["train", "validation", "test"]),
        (as_coco, ["train", "validation"]),
        (as_cvat, ["train"]),
        (beside_the_images, ["train"]),
    ],
)
def test_splits_are_those_of_files_or_folders(
    tmp_path: Path, layout: Callable[[Path], None], splits: list[str]
) -> None:
    layout(tmp_path)
    source, said = read(tmp_path)
    assert {name: len(split) for name, split in source.splits().items()} == dict.fromkeys(splits, 3)
    assert "left out" not in said
    assert boxes_of(source.train) == [[2, 3, 12, 11]]


def test_classes_of_other_splits_are_found_by_name(tmp_path: Path) -> None:
    as_roboflow(tmp_path)
    categories = [{"id": 4, "name": "dog"}, {"id": 5, "name": "cat"}, {"id": 6, "name": "cow"}]
    write(
        tmp_path / "valid",
        [thing(1, category=5), thing(2, category=6)],
        categories=categories,
        name="_annotations.coco.json",
    )
    source, said = read(tmp_path)
    targets = targets_of(source.validation)
    assert [source.classes[label] for label in targets.labels] == ["cat"]
    assert targets.category_ids == (5, 4)
    assert "annotation 2: there is no class 6" in said


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"images": [', r"cannot read .*annotations\.json: Expecting value: line 1 column 13"),
        ("[]", "is a list, as files of results are"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1}]}', "lists no image; export it again"),
        ('{"images": [{"id": 1}], "annotations": [], "categories": []}', "lists no category; export it again"),
        ('{"images": [{"id": 1}], "annotations": []}', "is no COCO file of objects, since it has no list 'categories'"),
        (
            json.dumps({"images": [{"id": 1, "file_name": "x.png"}], "annotations": [], "categories": [{"id": 1}]}),
            "none of the 1 images",
        ),
    ],
)
def test_a_file_that_is_meaningless_stops_with_what_to_do(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "annotations.json").write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path / "annotations.json")
    assert "\n" not in str(caught.value)


def test_several_files_for_one_split_are_refused(tmp_path: Path) -> None:
    write(tmp_path, [thing()])
    write(tmp_path, [thing()], name="more.json")
    with pytest.raises(
        InputError, match=r"several files of objects for train: annotations\.json, more\.json; give one"
    ):
        read(tmp_path)
    assert len(boxes_of(read(tmp_path / "more.json")[0].train)) == 1


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 40),
    st.sampled_from(
        [10**400, -(10**20), 1e300, float("nan"), float("inf"), "", "12", "7.5", "a.png", "\ud800", "/", ".."]
    ),
    st.recursive(
        st.integers(0, 600) | st.floats() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.sampled_from(["size", "counts"]), inner),
        max_leaves=12,
    ),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("junk"), [])


@given(st.data())
@settings(max_examples=60, deadline=None, database=None)
def test_whatever_a_file_holds_it_opens_or_says_why_not(folder: Path, data: st.DataObject) -> None:
    runs = {"size": [20, 30], "counts": RUNS}
    content: dict[str, Any] = {
        "images": [dict(entry) for entry in IMAGES],
        "annotations": [thing(1, segmentation=[list(SQUARE)]), thing(2, 2, segmentation=runs), thing(3, 3)],
        "categories": [dict(entry) for entry in CATEGORIES],
    }
    for _ in range(data.draw(st.integers(1, 4))):
        entries = content[data.draw(st.sampled_from(sorted(content)))]
        place = data.draw(st.integers(0, len(entries) - 1))
        if isinstance(entries[place], dict) and entries[place] and data.draw(st.integers(0, 9)):
            entries[place][data.draw(st.sampled_from(sorted(entries[place])))] = data.draw(JUNK)
        else:
            entries[place] = data.draw(JUNK)
    (folder / "annotations.json").write_text(json.dumps(content))
    try:
        source, _ = read(folder)
    except InputError:
        return
    targets = targets_of(source.train)
    low, high = targets.boxes_xyxy[:, :2], targets.boxes_xyxy[:, 2:]
    assert (high - low >= 1 - 1e-5).all()
    assert ((targets.boxes_xyxy >= 0) & (targets.boxes_xyxy <= torch.tensor([30, 20, 30, 20]))).all()
    assert len(set(targets.image_ids.tolist())) == len(targets)
    assert len(set(targets.category_ids)) == len(source.classes)
    for mask in masks_of(source.train):
        assert mask is None or tuple(mask.shape) == SIZE
