from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from modernet.data.sources.read import read_source
from modernet.errors import InputError

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
        ("LOC_val_solution.csv", OF_KAGGLE, ("n02105855", "n01751748")),
    ],
)
def test_labels_are_found_in_the_folder_or_beside_it(
    name: str, lines: Sequence[str], classes: tuple[str, str], folder: Path
) -> None:
    write(folder / name, lines)

    assert found(folder) == dict(zip(IMAGES, classes, strict=True))


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

    write(folder / "val.txt", [*BY_INDEX[:1], "490"])
    with pytest.raises(InputError, match=r"val\.txt, line 2, is '490'; give val\.txt with lines such as"):
        found(folder)


def test_to_learn_from_them_alone_is_refused(folder: Path) -> None:
    write(folder / "val.txt", BY_INDEX)

    with pytest.raises(InputError, match="train"):
        read_source(str(folder))
