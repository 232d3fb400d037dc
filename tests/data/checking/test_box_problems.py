"""What `check_images` says about data sets of boxes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from data.detection_exports import write_image
from modernet.cli import main
from modernet.data.checking.check import check_images
from modernet.data.checking.findings import Findings
from modernet.errors import InputError

RUNS = [202, 3, 17, 3, 375]


def write_coco(root: Path) -> Path:
    """Write a json file with something wrong of every kind."""
    for number, name in enumerate("abcde"):
        write_image(root / f"{name}.png", (20, 30 + number))
    exif = Image.Exif()
    exif[0x0112] = 6
    write_image(root / "turned.jpg", (20, 30), exif=exif)
    images = [{"id": n, "file_name": f"{name}.png", "height": 20, "width": 30 + n} for n, name in enumerate("abcde")]
    images += [{"id": 7, "file_name": "gone.png"}, {"id": 8, "file_name": "turned.jpg", "height": 20, "width": 30}]
    things = [
        {"id": 1, "image_id": 0, "category_id": 1, "bbox": [2, 3, 10, 8]},
        {"id": 2, "image_id": 0, "category_id": 1, "bbox": [2, 3, 0, 8]},
        {"id": 3, "image_id": 1, "category_id": 2, "bbox": [20, 3, 40, 8]},
        {"id": 4, "image_id": 1, "category_id": 2, "bbox": [2, 3, 10, 8], "segmentation": [[1, 2, 3, 4]]},
        {"id": 5, "image_id": 2, "category_id": 2, "bbox": [2, 3, 10, 8]},
        {"id": 6, "image_id": 99, "category_id": 2, "bbox": [2, 3, 10, 8]},
    ]
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}, {"id": 3, "name": "cow"}]
    content = {"images": images, "annotations": things, "categories": categories}
    (root / "annotations.json").write_text(json.dumps(content))
    return root


def found(findings: Findings) -> dict[str, list[tuple[str, str]]]:
    kinds: dict[str, list[tuple[str, str]]] = {}
    for finding in findings.found:
        kinds.setdefault(finding.kind, []).append((finding.subject, finding.detail))
    return kinds


def test_every_problem_of_a_json_file_is_found_with_its_place(tmp_path: Path) -> None:
    findings = check_images(str(write_coco(tmp_path)))
    file = tmp_path / "annotations.json"
    assert found(findings) == {
        "missing image": [
            (f"{file}, image 7", f"there is no image 'gone.png', nor one of that name alone, in {tmp_path}")
        ],
        "image size": [
            (
                str(tmp_path / "turned.jpg"),
                "it has 30 x 20 pixels, its annotations are for 20 x 30; that is its size before its EXIF rotation, "
                "and images are turned when they are read",
            )
        ],
        "object": [
            (f"{file}, annotation 6", "there is no image 99"),
            (f"{file}, annotation 2", "its box is empty (2 3 2 11 in 20 x 30)"),
        ],
        "mask": [(f"{file}, annotation 4", "its polygon has 4 numbers; it needs two for each of three corners")],
        "box outside": [(f"{file}, annotation 3", "its box is 20 3 60 11, its image has 20 rows and 31 columns")],
        "class without objects": [("cow", "add some, or remove it from the classes")],
    }
    assert (findings.images, findings.without_objects) == (6, 3)
    assert findings.objects == {"cat": 1, "dog": 3, "cow": 0}


def test_the_command_prints_them_and_how_many_objects_each_class_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_coco(tmp_path)
    assert main(["data", "check", str(tmp_path / "annotations.json"), "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["objects"] == {"cat": 1, "dog": 3, "cow": 0}
    assert printed["images_without_objects"] == 3
    assert printed["counts"]["object"] == 2
    assert printed["found"][0]["subject"].endswith("annotations.json, image 7")

    assert main(["data", "check", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert "objects (4)" in captured.out
    assert f"{tmp_path}: 7 problems in 6 images, 3 of them without objects" in captured.out
    assert "annotations.json has no area for 6 of 6 objects: that of mask or box is used" in captured.err


def test_classes_that_a_split_lacks_and_copies_in_two_splits_are_found(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for name in "ab":
            write_image(tmp_path / split / f"{name}.png", (20, 30 if name == "a" else 40))
            label = 1 if (split, name) == ("train", "b") else 0
            (tmp_path / split / f"{name}.txt").write_text(f"{label} 0.5 0.5 0.2 0.4\n")
    kinds = found(check_images(str(tmp_path)))
    assert kinds["class not in split"] == [("1", "validation has no image of it, train has 1")]
    assert len(kinds["in two splits"]) == 2


def test_files_that_stop_a_training_are_listed(tmp_path: Path) -> None:
    for name in "abc":
        write_image(tmp_path / f"JPEGImages/{name}.jpg")
        (tmp_path / "Annotations").mkdir(exist_ok=True)
        (tmp_path / f"Annotations/{name}.xml").write_text("<annotation>" if name != "a" else "<annotation/>")
    kinds = found(check_images(str(tmp_path)))
    assert [subject for subject, _ in kinds["annotation file"]] == [
        f"{tmp_path / 'Annotations' / name}.xml, line 1" for name in "bc"
    ]
    (tmp_path / "Annotations/a.xml").write_text("")
    with pytest.raises(InputError, match=r"a\.xml, line 1: it is no XML .*; so are all 3 files of"):
        check_images(str(tmp_path))


def test_label_maps_beside_boxes_are_checked_too(tmp_path: Path) -> None:
    box = "<bndbox><xmin>2</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    for name in "ab":
        write_image(tmp_path / f"JPEGImages/{name}.jpg", (20, 30 if name == "a" else 31))
        (tmp_path / "Annotations").mkdir(exist_ok=True)
        (tmp_path / f"Annotations/{name}.xml").write_text(
            f"<annotation><object><name>x</name>{box}</object></annotation>"
        )
    (tmp_path / "SegmentationClass").mkdir()
    Image.new("L", (30, 20), 1).save(tmp_path / "SegmentationClass/a.png")
    kinds = found(check_images(str(tmp_path)))
    assert "it has no label map of its name" in kinds["label map"][0][1]


@pytest.mark.data("coco128")
def test_coco128_has_nothing_wrong_but_classes_without_objects(data_folder: Path) -> None:
    findings = check_images(str(data_folder))
    assert findings.counts() == {"class without objects": 11}
    assert (findings.images, findings.without_objects) == (100, 2)
    assert sum((findings.objects or {}).values()) == 746
