"""The same scenes in every format of boxes, and data sets as their tools leave them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from data.detection_exports import (
    export_coco,
    export_voc,
    export_yolo,
    masks_of,
    read,
    targets_of,
    write_image,
)
from modernet.data import Scene, SceneGenerator, open_dataset
from modernet.data.checking.check import check_images
from modernet.data.opening import open_split
from modernet.errors import InputError
from modernet.preparation import Preparation


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    generator = SceneGenerator("train", 48, (1, 4), (0.25, 0.5))
    return [generator.scene(index) for index in range(6)]


@pytest.mark.parametrize("export", [export_coco, export_voc, export_yolo])
def test_scenes_come_back_from_every_format(tmp_path: Path, scenes: list[Scene], export) -> None:
    export(tmp_path, scenes)
    source, said = read(tmp_path)
    assert "dropped" not in said
    targets = targets_of(source.train)
    names = [int(source.classes[label]) for label in targets.labels.tolist()]
    assert names == torch.cat([scene.labels for scene in scenes]).tolist()
    assert targets.offsets.tolist() == np.cumsum([0, *(len(scene.labels) for scene in scenes)]).tolist()
    torch.testing.assert_close(targets.boxes_xyxy, torch.cat([scene.boxes_xyxy for scene in scenes]), rtol=0, atol=1e-4)
    assert not targets.crowd.any()
    truth = torch.cat([scene.masks for scene in scenes])
    if export is export_voc:
        assert targets.masks is None
        assert targets.areas.tolist() == (targets.boxes_xyxy[:, 2:] - targets.boxes_xyxy[:, :2]).prod(1).tolist()
        return
    masks = torch.stack(masks_of(source.train))
    if export is export_coco:
        assert torch.equal(masks, truth)
        assert (targets.image_ids.tolist(), targets.category_ids) == ([10, 11, 12, 13, 14, 15], tuple(range(1, 11)))
    else:  # an outline has no holes
        overlap = (masks & truth).flatten(1).sum(1) / truth.flatten(1).sum(1)
        assert overlap.min() > 0.95
        assert (masks.flatten(1).sum(1) < 2.5 * truth.flatten(1).sum(1)).all()
    assert targets.areas.tolist() == masks.flatten(1).sum(1).tolist()


def test_an_exported_folder_opens_as_a_dataset_in_three_splits(tmp_path: Path, scenes: list[Scene]) -> None:
    export_coco(tmp_path, [*scenes, *scenes, *scenes])
    dataset = open_dataset(str(tmp_path), targets="boxes")
    assert dataset.classes == tuple("0123456789")
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test) == 18
    assert min(len(dataset.train), len(dataset.validation), len(dataset.test)) > 0


def test_a_folder_of_boxes_to_be_tested_on_needs_no_train(tmp_path: Path, scenes: list[Scene]) -> None:
    export_coco(tmp_path, scenes)
    (tmp_path / "annotations.json").rename(tmp_path / "instances_val.json")
    preparation = Preparation(48, (0.5,) * 3, (0.25,) * 3)
    opened = open_split(str(tmp_path), "test", preparation, marks=None, targets="boxes")
    assert len(opened.split) == 6
    with pytest.raises(InputError, match="has a validation split, but no train split"):
        open_dataset(str(tmp_path), targets="boxes")
    source, _ = read(tmp_path / "instances_val.json")  # given by its name, it is all there is
    assert list(source.splits()) == ["train"]


def test_other_folders_are_refused_with_the_layouts_of_boxes(tmp_path: Path) -> None:
    write_image(tmp_path / "cat" / "0.png")
    with pytest.raises(InputError, match=r"has no boxes; known are COCO's json files .* YOLO's data\.yaml"):
        read(tmp_path)
    (tmp_path / "a.txt").touch()
    with pytest.raises(InputError, match=r"a\.txt has no boxes"):
        read(tmp_path / "a.txt")
    with pytest.raises(InputError, match="there is no folder"):
        read(tmp_path / "nowhere.json")


BOX = "<bndbox><xmin>3</xmin><ymin>4</ymin><xmax>12</xmax><ymax>11</ymax></bndbox>"


def lists_as_coco(root: Path, lists: dict[str, str]) -> None:
    for split, names in lists.items():
        images = [{"id": ord(name), "file_name": f"{name}.png", "height": 20, "width": 30} for name in names]
        things = [
            {"id": n, "image_id": ord(name), "category_id": 1, "bbox": [2, 3, 10, 8]} for n, name in enumerate(names)
        ]
        content = {"images": images, "annotations": things, "categories": [{"id": 1, "name": "cat"}]}
        (root / f"{split}.json").write_text(json.dumps(content))


def lists_as_voc(root: Path, lists: dict[str, str]) -> None:
    (root / "Annotations").mkdir()
    (root / "ImageSets/Main").mkdir(parents=True)
    for split, names in lists.items():
        (root / f"ImageSets/Main/{split}.txt").write_text("\n".join(names))
        for name in names:
            text = f"<annotation><object><name>cat</name>{BOX}</object></annotation>"
            (root / f"Annotations/{name}.xml").write_text(text)


def lists_as_yolo(root: Path, lists: dict[str, str]) -> None:
    (root / "labels").mkdir()
    for split, names in lists.items():
        (root / f"{split}.txt").write_text("\n".join(f"images/{name}.png" for name in names))
        for name in names:
            (root / f"labels/{name}.txt").write_text("0 0.5 0.5 0.2 0.4")
    (root / "data.yaml").write_text("".join(f"{split}: {split}.txt\n" for split in lists) + "names: [cat]\n")


@pytest.mark.parametrize("write", [lists_as_coco, lists_as_voc, lists_as_yolo])
@pytest.mark.parametrize(
    ("lists", "splits", "left_out"),
    [
        ({"train": "abc", "val": "c"}, {"train": "ab", "validation": "c"}, 1),
        ({"train": "abc", "val": "bc", "test": "c"}, {"train": "a", "validation": "b", "test": "c"}, 3),
        ({"train": "a", "val": "abc"}, {"train": "a", "validation": "bc"}, 1),
        ({"train": "ab", "val": "c", "test": "c"}, {"train": "ab", "validation": "c"}, 0),
        ({"train": "ab", "val": "c"}, {"train": "ab", "validation": "c"}, 0),
    ],
)
def test_an_image_is_in_one_split(
    tmp_path: Path,
    write: Callable[[Path, dict[str, str]], None],
    lists: dict[str, str],
    splits: dict[str, str],
    left_out: int,
) -> None:
    for name in set("".join(lists.values())):
        write_image(tmp_path / f"images/{name}.png")
    write(tmp_path, lists)
    source, said = read(tmp_path)
    found = source.splits()
    names = {split: "".join(Path(each.images.name(i)).stem for i in range(len(each))) for split, each in found.items()}
    assert names == splits
    assert {split: len(targets_of(each).labels) for split, each in found.items()} == {
        split: len(names) for split, names in splits.items()
    }
    kind = "images left out of a split, since another one has them"
    assert (f"{kind}: {left_out}, first" in said) == bool(left_out)
    assert kind in said or not left_out
    assert ("test has no images but those of validation; it is not used" in said) == (lists.get("test") == lists["val"])
    assert check_images(str(tmp_path)).counts().get("shared image", 0) == left_out


def test_an_image_behind_a_link_is_the_same(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for name in "ab":
            write_image(tmp_path / f"images/{split}/{name}.png")
            (tmp_path / f"labels/{split}").mkdir(parents=True, exist_ok=True)
            (tmp_path / f"labels/{split}/{name}.txt").write_text("0 0.5 0.5 0.2 0.4")
    (tmp_path / "images/train/a.png").unlink()
    (tmp_path / "images/train/a.png").symlink_to(tmp_path / "images/val/b.png")
    source, said = read(tmp_path)
    assert [source.train.images.identity(i) for i in range(len(source.train))] == ["images/train/b.png"]
    assert f"{tmp_path / 'images/train/a.png'}: left out of train, since validation has it, too" in said


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.json", '{"categories": [{"id": 0, "name": "cat"}], "info": {"year": 2026}}'),
        ("results.json", '[{"images": [1], "annotations": [2]}]'),
        ("annotations.xml", "<annotations><version>1.1</version></annotations>"),
    ],
)
def test_a_file_of_another_kind_beside_a_data_yaml_does_not_matter(tmp_path: Path, name: str, content: str) -> None:
    write_image(tmp_path / "images/a.png")
    lists_as_yolo(tmp_path, {"train": "a"})
    (tmp_path / name).write_text(content)
    assert len(targets_of(read(tmp_path)[0].train).labels) == 1


@pytest.mark.data("coco128")
def test_coco128_opens_from_its_json(data_folder: Path) -> None:
    source, said = read(data_folder)
    targets = targets_of(source.train)
    assert (len(source.classes), len(targets), len(targets.labels)) == (80, 100, 746)
    assert int(targets.crowd.sum()) == 6
    assert (targets.mask_of >= 0).all()
    assert "objects: 746, classes: 69, images: 100 (2 without objects)" in said
    assert "dropped" not in said
    assert max(targets.category_ids) == 90
    first = targets.mask(0, 0)
    assert (int(first.sum()), tuple(first.shape)) == (targets.areas[0], (640, 638))


@pytest.mark.data("coco128")
def test_coco128_opens_as_yolo(data_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "images").symlink_to(data_folder / "images")
    (tmp_path / "labels").symlink_to(data_folder / "yolo_boxes")
    yaml = (data_folder / "object_detection" / "config.yaml").read_text().replace("images/train2017", "images")
    (tmp_path / "data.yaml").write_text(yaml)
    source, said = read(tmp_path)
    targets = targets_of(source.train)
    assert (len(source.classes), len(targets), targets.masks) == (80, 128, None)
    assert "there is no image in its validation, images/val2017; it is not used" in said
    assert len(targets.labels) == 929
    assert "or listed twice: 2, first" in said  # two text files without an image
    assert "objects dropped" not in said
    reference = targets_of(read(data_folder)[0].train)
    sizes = (reference.boxes_xyxy[:, 2:] - reference.boxes_xyxy[:, :2]).prod(1)
    largest = reference.boxes_xyxy[sizes.argsort(descending=True)[:20]]
    distance = (largest[:, None] - targets.boxes_xyxy).abs().amax(2).amin(1)
    assert distance.median() < 8  # pixels between boxes around masks and those that were drawn
