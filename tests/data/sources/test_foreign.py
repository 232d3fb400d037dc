from __future__ import annotations

import json
from pathlib import Path

import pytest

from modernet.data import open_dataset
from modernet.data.checking.check import check_images
from modernet.errors import InputError

CLASS_FOLDERS = "write its images to a folder for each class, or to tar shards"
BOXES = "it has boxes, not classes of images; give a recipe for detection, or, to train a classifier, put images in a"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["dataset_dict.json", "train/data-00000-of-00001.arrow", "train/state.json"], r"\(arrow\).*to_parquet"),
        (["data-00000-of-00001.arrow", "dataset_info.json"], r"data-00000\S+ is part .*save_to_disk .*to_parquet"),
        (
            ["train/index.json", "train/shard.00000.mds"],
            f"shard.00000.mds is a shard in MosaicML's format MDS.*{CLASS_FOLDERS}",
        ),
        (["index.json", "chunk-0-0.bin"], f"chunk-0-0.bin is a chunk in LitData's format.*{CLASS_FOLDERS}"),
        (["train_500.beton", "val_500.beton"], f"train_500.beton is a file in FFCV's format.*{CLASS_FOLDERS}"),
        (["imagenet-train.tfrecord-00000-of-01024"], f"TensorFlow's format TFRecord.*{CLASS_FOLDERS}"),
        (["data.mdb", "lock.mdb"], f"data.mdb is an LMDB database.*{CLASS_FOLDERS}"),
        (["pathmnist.npz"], f"pathmnist.npz is a file of arrays.*{CLASS_FOLDERS}"),
        (["photos.tar.gz"], "photos.tar.gz is an archive.*unpack it, and give the folder"),
    ],
)
@pytest.mark.parametrize("verb", [open_dataset, check_images])
def test_layouts_of_other_tools_are_named_with_a_way_out(tmp_path: Path, verb, files: list[str], message: str) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps({"version": 2}))
    with pytest.raises(InputError, match=message) as caught:
        verb(str(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["annotations/instances_val2017.json", "val2017/1.jpg"], rf"\(COCO, annotations/instances_val2.*{BOXES}"),
        (["train/_annotations.coco.json", "train/1.jpg"], rf"train is a data set for detection \(COCO, _anno.*{BOXES}"),
        (["images/train/1.jpg", "labels/train/1.txt", "data.yaml"], rf"\(YOLO, labels/train/1.txt\).*{BOXES}"),
        (["train/images/1.jpg", "train/labels/1.txt"], rf"train is a data set for detection \(YOLO, labels/1.*{BOXES}"),
        (["JPEGImages/1.jpg", "Annotations/1.xml"], rf"\(Pascal VOC, Annotations/1.xml\).*{BOXES}"),
    ],
)
def test_boxes_are_no_classes_of_images(tmp_path: Path, files: list[str], message: str) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps({"version": 2}))
    with pytest.raises(InputError, match=message) as caught:
        open_dataset(str(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "message"), [("a.beton", "FFCV"), ("a.zip", "unpack it"), ("a.txt", "is a file")])
def test_a_file_of_another_tool_is_named(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(InputError, match=message):
        open_dataset(str(tmp_path / name))


def test_files_beside_class_folders_do_no_harm(tmp_path: Path, write_folder) -> None:
    write_folder(tmp_path / "pets")
    for name in ("features.npz", "pets.zip", "index.json", "labels.csv", "cat/notes.json"):
        (tmp_path / "pets" / name).touch()
    assert open_dataset(str(tmp_path / "pets")).classes == ("cat", "dog")
    write_folder(tmp_path / "split" / "train")
    write_folder(tmp_path / "split" / "test", n=2)
    for name in ("train/train.tar", "images.tar.gz", "train/a.h5"):
        (tmp_path / "split" / name).touch()
    assert open_dataset(str(tmp_path / "split")).classes == ("cat", "dog")
