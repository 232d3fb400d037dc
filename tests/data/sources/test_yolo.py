"""YOLO's text files of boxes and polygons, with and without a data.yaml, as tools write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from data.detection_exports import boxes_of, masks_of, read, targets_of, write_image
from modernet.errors import InputError

BOX = "0 0.5 0.5 0.2 0.4"  # in 20 x 30 pixels: 12 6 18 14
FOUND = [pytest.approx(value, abs=1e-4) for value in (12, 6, 18, 14)]
YAML = "train: images/train\nval: images/val\nnames: [cat, dog]\n"


def write(root: Path, name: str, text: str | bytes | None = BOX, size: tuple[int, int] = (20, 30)) -> Path:
    """Write an image, by its path without suffix, and the text file of it where YOLO looks for that."""
    write_image(root / f"{name}.png", size)
    file = root / "labels".join(f"{name}.txt".rsplit("images", 1))
    file.parent.mkdir(parents=True, exist_ok=True)
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_boxes_are_shares_of_the_image_and_labels_count_from_0(tmp_path: Path) -> None:
    write(tmp_path, "images/train/a", f"{BOX}\n1.0 0.5 0.5 1 1\n\n")
    write(tmp_path, "images/train/b", "")
    write(tmp_path, "images/train/c", None)
    write(tmp_path, "images/val/d", "1 0.5 0.5 0.2 0.4\r\n")
    (tmp_path / "data.yaml").write_text(YAML)
    source, said = read(tmp_path)
    targets = targets_of(source.train)
    assert (source.classes, targets.category_ids) == (("cat", "dog"), (0, 1))
    assert boxes_of(source.train) == [FOUND, [0, 0, 30, 20]]
    assert (targets.labels.tolist(), targets.offsets.tolist()) == ([0, 1], [0, 2, 2, 2])
    assert (boxes_of(source.validation), targets_of(source.validation).labels.tolist()) == ([FOUND], [1])
    assert said.splitlines() == [f"{tmp_path.name}: objects: 3, classes: 2, images: 4 (2 without objects)"]


def test_five_numbers_are_a_box_and_seven_or_more_a_polygon(tmp_path: Path) -> None:
    triangle, oriented = "1 0.1 0.1 0.5 0.1 0.5 0.6", "0 0.2 0.2 0.8 0.2 0.8 0.9 0.2 0.9"
    write(tmp_path, "images/a", f"{BOX}\n{triangle}\n{oriented}")
    source, _ = read(tmp_path)
    targets = targets_of(source.train)
    assert targets.mask_of.tolist() == [-1, 0, 1]
    assert boxes_of(source.train) == [FOUND, pytest.approx([3, 2, 15, 12]), pytest.approx([6, 4, 24, 18])]
    none, half, whole = masks_of(source.train)
    assert none is None
    assert (int(whole.sum()), bool(whole[4:18, 6:24].all())) == (14 * 18, True)
    assert 50 < int(half.sum()) < 70
    assert targets.areas.tolist() == [pytest.approx(48, abs=1e-3), int(half.sum()), 252]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0 0.5 0.5 0 0.4", "its box is empty"),
        ("0 0.5 0.5 -0.2 0.4", "its box is empty"),
        ("0 0.5 0.5 0.02 0.4", "its box is less than a pixel wide or high"),
        ("0 0.9 0.5 0.4 0.4", "it is outside of its image, from 0.3 to 1.1; give shares of a side"),
        ("0 15 10 6 8", "it is outside of its image, from 6 to 18"),
        ("0 0.1 0.1 0.5 0.1 0.5 1.2", "it is outside of its image, from 0.1 to 1.2"),
        ("9 0.5 0.5 0.2 0.4", "there is no class 9"),
        ("-1 0.5 0.5 0.2 0.4", "it begins with -1; write the number of a class, from 0"),
        ("0.5 0.5 0.5 0.2 0.4", "it begins with 0.5"),
        ("999999999999 0.5 0.5 0.2 0.4", "it begins with 999999999999"),
        ("0 nan 0.5 0.2 0.4", "it begins with 0; write the number of a class, from 0, and finite numbers"),
        ("cat 0.5 0.5 0.2 0.4", "it is no line of numbers: 'cat 0.5 0.5 0.2 0.4'"),
        ("0 0.5 0.5 0.2 0.4 0.93", "a box has 5 numbers, a polygon 7, 9, 11, ..., and this line 6"),
        ("0 0.5 0.5", "a box has 5 numbers, a polygon 7, 9, 11, ..., and this line 3"),
        ("0", "a box has 5 numbers, a polygon 7, 9, 11, ..., and this line 1"),
        (BOX, "it is a copy of another (12 6 18 14)"),
    ],
)
def test_a_wrong_line_drops_its_object_alone(tmp_path: Path, line: str, reason: str) -> None:
    file = write(tmp_path, "images/train/a", f"{BOX}\n\n{line}\n1 0.1 0.1 0.5 0.1 0.5 0.6")
    (tmp_path / "data.yaml").write_text(YAML)
    source, said = read(tmp_path)
    assert targets_of(source.train).labels.tolist() == [0, 1]
    assert f"objects dropped: 1, first {file}, line 3: {reason}" in said


def test_a_hundredth_outside_is_cut_off(tmp_path: Path) -> None:
    write(tmp_path, "images/a", "0 0.5 0.5 1.018 1\n1 -0.005 0.1 1.009 0.1 0.5 0.6")
    source, said = read(tmp_path)
    assert boxes_of(source.train) == [[0, 0, 30, 20], pytest.approx([0, 2, 30, 12])]
    assert "cut off" not in said


@pytest.mark.parametrize("points", [1, 2, 17])
def test_poses_are_refused_by_name(tmp_path: Path, points: int) -> None:
    line = " ".join([BOX, *["0.4 0.5 2", "0 0 0"] * points][: 1 + points])
    file = write(tmp_path, "images/train/a", f"{line}\n{BOX}")
    with pytest.raises(InputError, match=rf"{file}, line 1: it has key points"):
        read(tmp_path)
    file.write_text(f"{line}\n0 0.1 0.1 0.5 0.1 0.5 0.6")  # a polygon: then the other is a wrong line
    assert boxes_of(read(tmp_path)[0].train) == [pytest.approx([3, 2, 15, 12])]
    (tmp_path / "data.yaml").write_text(f"{YAML}kpt_shape: [17, 3]\n")
    with pytest.raises(InputError, match=r"data\.yaml has kpt_shape, so it is for key points"):
        read(tmp_path)


def test_images_are_turned_before_shares_are_taken(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    write(tmp_path, "images/a", "0 0.5 0.5 1 1")
    (tmp_path / "images/a.png").unlink()
    write_image(tmp_path / "images/a.jpg", exif=exif)
    assert boxes_of(read(tmp_path)[0].train) == [[0, 0, 20, 30]]


def test_an_image_that_cannot_be_decoded_stays_until_it_is(tmp_path: Path) -> None:
    write(tmp_path, "images/a")
    write(tmp_path, "images/b", f"{BOX}\n0 0.1 0.1 0.5 0.1 0.5 0.6")
    (tmp_path / "images/b.png").write_bytes(b"x")
    source, said = read(tmp_path)
    assert targets_of(source.train).offsets.tolist() == [0, 1, 1]
    assert "dropped" not in said


@pytest.mark.parametrize("content", [b"\xff\xfe0\x00 \x00", b"\x89PNG\xff"])
def test_a_file_that_is_no_text_stops_before_training(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, "images/a")
    file = write(tmp_path, "images/b", content)
    with pytest.raises(InputError, match=rf"{file}: .*; give a text file in UTF-8"):
        read(tmp_path)


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    write(tmp_path, "images/a", b"\xef\xbb\xbf" + BOX.encode())
    assert boxes_of(read(tmp_path)[0].train) == [FOUND]


@pytest.mark.parametrize(
    ("yaml", "classes", "ids", "note"),
    [
        ("names: [cat, dog]", ("cat", "dog"), (0, 1), ""),
        ("names:\n  0: cat\n  1: dog", ("cat", "dog"), (0, 1), ""),
        ("names: {'3': dog, 0: cat}", ("cat", "dog"), (0, 3), ""),
        ("nc: 2\nnames: [cat, dog]", ("cat", "dog"), (0, 1), ""),
        (
            "nc: 80\nnames: [cat, dog]",
            ("cat", "dog"),
            (0, 1),
            "data.yaml: nc is 80, but there are 2 names; nc is ignored",
        ),
        ("names: [1, 2]", ("1", "2"), (0, 1), ""),
    ],
)
def test_names_are_a_list_or_a_mapping_and_nc_does_not_count(
    tmp_path: Path, yaml: str, classes: tuple[str, ...], ids: tuple[int, ...], note: str
) -> None:
    write(tmp_path, "images/train/a", f"{ids[1]}{BOX[1:]}")
    (tmp_path / "data.yaml").write_text(f"train: images/train\n{yaml}\n")
    source, said = read(tmp_path)
    targets = targets_of(source.train)
    assert (source.classes, targets.category_ids, targets.labels.tolist()) == (classes, ids, [1])
    assert note in said
    assert note or "nc is" not in said


def test_without_names_nc_numbers_the_classes(tmp_path: Path) -> None:
    write(tmp_path, "images/train/a")
    (tmp_path / "data.yaml").write_text("train: images/train\nnc: 3\n")
    assert read(tmp_path / "data.yaml")[0].classes == ("0", "1", "2")


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("train: images/train\nnames: [cat", "cannot read .*data.yaml: while parsing a flow sequence"),
        ("train: images/train\n", "has no names; write names:"),
        ("train: images/train\nnames: cat\n", "names is 'cat'; write a list"),
        ("train: images/train\nnames: {cat: 0}\n", "names is .*; write a list"),
        ("train: images/train\nnc: many\n", "has no names, and nc is 'many'"),
        ("train: images/train\nnc: 999999999999\n", "has no names, and nc is 999999999999"),
        ("train: images/tran\nnames: [cat]\n", "there is no image in its train, images/tran; correct train or path"),
        ("path: .\nnames: [cat]\n", "names no images; write train: images/train"),
        ("- cat\n", "has no names"),
        (
            "train: !!python/object/apply:os.getcwd []\nnames: [cat]\n",
            "cannot read .*could not determine a constructor",
        ),
    ],
)
def test_a_data_yaml_that_is_meaningless_stops_with_what_to_do(tmp_path: Path, yaml: str, message: str) -> None:
    write(tmp_path, "images/train/a")
    (tmp_path / "data.yaml").write_text(yaml)
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path / "data.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "train",
    [
        "images/train",
        "./images/train/",
        "../images/train",
        "{root}/images/train",
        "train.txt",
        "[images/train/first, images/train/second]",
        "[train.txt, images/train]",
    ],
)
def test_train_is_a_folder_a_list_or_several(tmp_path: Path, train: str) -> None:
    for name in ("first/a", "second/b"):
        write(tmp_path, f"images/train/{name}")
    lines = [r".\images\train\first\a.png", str(tmp_path / "images/train/second/b.png"), "images/train/gone.png", ""]
    (tmp_path / "train.txt").write_text("\n".join(lines))
    (tmp_path / "data.yaml").write_text(f"train: {train.format(root=tmp_path)}\nnames: [cat]\n")
    source, said = read(tmp_path)
    missing = f"{tmp_path}/train.txt, line 3: there is no image images/train/gone.png"
    assert (missing in said) == ("train.txt" in train)
    names = sorted(source.train.images.identity(i) for i in range(len(source.train)))
    assert names == ["images/train/first/a.png", "images/train/second/b.png"]
    assert boxes_of(source.train) == [FOUND, FOUND]


@pytest.mark.parametrize("path", [".", "{root}", "../somewhere/else", "datasets/mine"])
def test_path_may_be_that_of_another_machine(tmp_path: Path, path: str) -> None:
    write(tmp_path, "images/train/a")
    (tmp_path / "data.yaml").write_text(f"path: {path.format(root=tmp_path)}\n{YAML}")
    source, said = read(tmp_path / "data.yaml")
    assert len(source.train) == 1
    assert "data.yaml: there is no image in its validation, images/val; it is not used" in said


def test_roboflows_splits_are_beside_the_yaml(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        write(tmp_path, f"{split}/images/a")
    (tmp_path / "data.yaml").write_text(
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 1\nnames: ['cat']\n"
    )
    source, _ = read(tmp_path)
    assert list(source.splits()) == ["train", "validation", "test"]
    assert boxes_of(source.test) == [FOUND]


def test_a_path_that_leads_out_is_first_looked_for_within(tmp_path: Path) -> None:
    root = tmp_path / "export"
    for folder in (root, tmp_path):
        write(folder, "train/images/a", BOX if folder == root else "")
    (root / "data.yaml").write_text("train: ../train/images\nnames: [cat]\n")
    source, said = read(root)
    assert (boxes_of(source.train), source.path) == ([FOUND], root)
    assert "outside" not in said
    (root / "data.yaml").write_text("train: train/images\nval: ../images\nnames: [cat]\n")
    write(tmp_path, "images/b")
    source, said = read(root)
    assert (source.path, len(source.splits())) == (tmp_path, 2)
    assert f"data.yaml: there are images outside of its folder, in {tmp_path}/images" in said


def test_a_text_file_is_in_labels_or_else_beside_its_image(tmp_path: Path) -> None:
    for name in "ab":
        write(tmp_path, f"images/train/{name}", BOX if name == "a" else None)
        (tmp_path / f"images/train/{name}.txt").write_text("1 0.5 0.5 1 1")
    (tmp_path / "data.yaml").write_text("train: images/train\nnames: [cat, dog]\n")
    source, _ = read(tmp_path)
    assert boxes_of(source.train) == [FOUND, [0, 0, 30, 20]]


@pytest.mark.parametrize("yaml", [True, False])
def test_a_split_without_text_files_is_not_measured_on(tmp_path: Path, yaml: bool) -> None:
    for split in ("train", "test"):
        write(tmp_path, f"images/{split}/a", BOX if split == "train" else None)
    if yaml:
        (tmp_path / "data.yaml").write_text("train: images/train\ntest: images/test\nnames: [cat]\n")
    source, said = read(tmp_path)
    assert list(source.splits()) == ["train"]
    assert "no image of test has a text file; that split is not used" in said


def test_images_without_any_text_file_cannot_be_measured_on(tmp_path: Path) -> None:
    write(tmp_path, "images/test/a", None)
    (tmp_path / "data.yaml").write_text("test: images/test\nnames: [cat]\npath: .\n")
    with pytest.raises(InputError, match=r"no image has a text file; write labels/a\.txt for images/a\.jpg"):
        read(tmp_path, to_learn=False)


def test_nothing_to_learn_from_stops_before_training(tmp_path: Path) -> None:
    write(tmp_path, "images/train/a", f"9{BOX[1:]}")
    (tmp_path / "data.yaml").write_text("train: images/train\nnames: [cat]\n")
    with pytest.raises(
        InputError, match="has no object in train to learn from; modernet data check lists what is wrong"
    ):
        read(tmp_path)


def test_one_folder_for_train_and_val_is_split_by_us(tmp_path: Path) -> None:
    write(tmp_path, "images/all/a")
    (tmp_path / "data.yaml").write_text("train: images/all\nval: images/all\nnames: [cat]\n")
    source, said = read(tmp_path)
    assert list(source.splits()) == ["train"]
    assert "validation has no images but those of train; it is not used" in said


@pytest.mark.parametrize(
    ("layout", "splits"),
    [
        ("images/{split}/{name}", ["train", "validation"]),
        ("images/{split}2017/{name}", ["train", "validation"]),
        ("{split}/images/{name}", ["train", "validation"]),
        ("{split}/{name}", ["train", "validation"]),
        ("images/{name}", ["train"]),
        ("{name}", ["train"]),
    ],
)
@pytest.mark.parametrize("names", [None, "classes.txt"])
def test_without_a_yaml_folders_say_the_splits(
    tmp_path: Path, layout: str, splits: list[str], names: str | None
) -> None:
    for split in ("train", "val"):
        for name in "ab":
            write(tmp_path, layout.format(split=split, name=name), BOX if name == "a" else f"2{BOX[1:]}")
    if names:
        (tmp_path / names).write_text("cat\ndog\ncow\n")
    source, _ = read(tmp_path)
    assert {name: len(split) for name, split in source.splits().items()} == dict.fromkeys(splits, 2)
    assert source.classes == (("cat", "dog", "cow") if names else ("0", "1", "2"))
    assert targets_of(source.train).labels.tolist() == [0, 2]


def test_folders_of_one_split_are_joined_and_empty_ones_left_out(tmp_path: Path) -> None:
    for split in ("train", "val", "valid"):
        write(tmp_path, f"{split}/images/a")
    for name in ("images", "labels"):
        (tmp_path / "test" / name).mkdir(parents=True)
    source, _ = read(tmp_path)
    assert {name: len(split) for name, split in source.splits().items()} == {"train": 1, "validation": 2}


def test_a_damaged_number_makes_no_classes(tmp_path: Path) -> None:
    write(tmp_path, "images/a", f"{BOX}\n999999999999{BOX[1:]}")
    assert read(tmp_path)[0].classes == ("0",)


def test_captions_beside_images_are_no_boxes(tmp_path: Path) -> None:
    write(tmp_path, "a", "a cat on a mat")
    with pytest.raises(InputError, match="has no boxes; known are"):
        read(tmp_path)
