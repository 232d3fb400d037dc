from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from modernet.data.sources.read import read_source
from modernet.errors import InputError
from modernet.progress import shown

IMAGES = ("ILSVRC2012_val_00000003.JPEG", "ILSVRC2012_val_00000001.JPEG")
BY_INDEX = ("ILSVRC2012_val_00000001.JPEG 65", "ILSVRC2012_val_00000002.JPEG 970", "ILSVRC2012_val_00000003.JPEG 230")
IN_ORDER = ("n01751748", "n09193705", "n02105855")
OF_KAGGLE = (
    "ImageId,PredictionString",
    "ILSVRC2012_val_00000003,n02105855 1 2 3 4 n02105855 5 6 7 8 ",
    "ILSVRC2012_val_00000001,n01751748 111 108 230 366 ",
)


@pytest.fixture
def folder(tmp_path: Path, write_image) -> Path:
    """Two of ImageNet's validation images, and another one, in one folder."""
    for number, name in enumerate((*IMAGES, "mine.jpg")):
        write_image(tmp_path / "ILSVRC" / "val" / name, seed=number)
    return tmp_path / "ILSVRC" / "val"


def write(file: Path, lines: Sequence[str]) -> None:
    file.write_text("\n".join([*lines, ""]))


def found(folder: Path) -> dict[str, str]:
    """Return the class of each image."""
    source = read_source(str(folder), to_learn=False).source
    split = source.validation
    assert (source.train, source.test) == (None, None)
    assert split is not None
    return {split.images.identity(index): source.classes[split.labels[index]] for index in range(len(split))}


@pytest.mark.parametrize(
    ("name", "lines", "classes"),
    [
        ("val.txt", BY_INDEX, ("230", "65")),
        ("../val.txt", BY_INDEX, ("230", "65")),
        ("../val.txt", [line.replace(" 65", " 065").replace(".JPEG", "") for line in BY_INDEX], ("230", "65")),
        ("imagenet_2012_validation_synset_labels.txt", IN_ORDER, ("n02105855", "n01751748")),
        ("val.txt", [f"val/{line}" for line in BY_INDEX], ("230", "65")),
        ("val.txt", [line.replace(" 65", " N01751748") for line in BY_INDEX[::2]], ("230", "n01751748")),
        ("imagenet_2012_validation_synset_labels.txt", [line.upper() for line in IN_ORDER], ("n02105855", "n01751748")),
        ("LOC_val_solution.csv", OF_KAGGLE, ("n02105855", "n01751748")),
    ],
)
def test_labels_are_found_in_the_folder_or_beside_it(
    name: str, lines: Sequence[str], classes: tuple[str, str], folder: Path
) -> None:
    write(folder / name, lines)

    assert found(folder) == dict(zip(IMAGES, classes, strict=True))


def test_labels_are_found_beside_a_link_to_the_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "val").symlink_to(folder)
    write(tmp_path / "mine" / "val.txt", BY_INDEX)

    assert found(tmp_path / "mine" / "val") == dict(zip(IMAGES, ("230", "65"), strict=True))


def test_images_of_other_names_are_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder / "val.txt", BY_INDEX)
    with shown():
        found(folder)

    assert "1 of 3 images in" in capsys.readouterr().err


def test_the_hubs_names_have_the_synset(tmp_path: Path, write_image) -> None:
    names = ("ILSVRC2012_val_00000001_n01751748.JPEG", "ILSVRC2012_val_00000003_n02105855.JPEG")
    for number, name in enumerate(names):
        write_image(tmp_path / "val" / name, seed=number)

    assert found(tmp_path / "val") == dict(zip(names, ("n01751748", "n02105855"), strict=True))


def test_class_folders_and_tables_of_labels_come_first(tmp_path: Path, write_image) -> None:
    for number, place in enumerate((f"cats/{IMAGES[0]}", f"dogs/{IMAGES[1]}", "dogs/mine.jpg")):
        write_image(tmp_path / "a" / place, seed=number)
    write_image(tmp_path / "a" / IMAGES[0])
    assert read_source(str(tmp_path / "a")).source.classes == ("cats", "dogs")

    for number, name in enumerate(IMAGES):
        write_image(tmp_path / "b" / name, seed=number)
    write(tmp_path / "b" / "labels.csv", ["file,label", f"{IMAGES[0]},cat", f"{IMAGES[1]},dog"])
    assert read_source(str(tmp_path / "b")).source.classes == ("cat", "dog")


def test_a_folder_above_them_is_refused_with_the_one_to_give(folder: Path) -> None:
    write(folder.parent / "val.txt", BY_INDEX)
    with pytest.raises(InputError, match=r"or give --data .*ILSVRC/val, ImageNet's validation images alone"):
        read_source(str(folder.parent), to_learn=False)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["ILSVRC2012_val_00000001.JPEG 490", *BY_INDEX[1:]],
            "in another order than networks, perhaps that of its dev",
        ),
        (["ILSVRC2012_val_00000001.JPEG 66", *BY_INDEX[1:]], "from 1 on: image 1 is 65, not 66; subtract 1 from each"),
        (
            [*BY_INDEX, "ILSVRC2012_val_00000107.JPEG 1000"],
            "has the class 1000 for image 107; give indices from 0 to 999",
        ),
        ([*BY_INDEX, "ILSVRC2012_val_00000107.JPEG 7000"], "has the class 7000"),
        ([*BY_INDEX, "ILSVRC2012_val_00000001.JPEG 66"], "line 4, has image 1 again, as 66; keep one"),
        (["490", "361", "171"], r"line 1, is '490' alone, as if in the order of ImageNet's development kit"),
    ],
)
def test_other_numberings_are_refused(folder: Path, lines: Sequence[str], message: str) -> None:
    write(folder / "val.txt", lines)
    with pytest.raises(InputError, match=message):
        found(folder)


def test_the_ids_of_the_development_kit_are_refused(folder: Path) -> None:
    write(folder.parent / "ILSVRC2012_validation_ground_truth.txt", ["490", "361", "171"])

    with pytest.raises(InputError, match=r"order of ImageNet's development kit, .*; put val\.txt with lines such as"):
        found(folder)


def test_images_without_labels_and_broken_lines_are_named(folder: Path) -> None:
    with pytest.raises(
        InputError, match=r"val has images of ImageNet's validation without a file of their labels; put"
    ):
        found(folder)

    write(folder / "val.txt", BY_INDEX[:1])
    with pytest.raises(InputError, match=r"val_00000003\.JPEG has no label in .*val\.txt; add it, or remove the image"):
        found(folder)

    write(folder / "val.txt", [*BY_INDEX[:1], "image 490"])
    with pytest.raises(InputError, match=r"val\.txt, line 2, is 'image 490'; give val\.txt with lines such as"):
        found(folder)


def test_to_learn_from_them_alone_is_refused(folder: Path) -> None:
    write(folder / "val.txt", BY_INDEX)

    with pytest.raises(InputError, match="train"):
        read_source(str(folder))
