from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.shards import write_shards
from modernet.data.checking.check import check_images
from modernet.data.checking.findings import KINDS, Finding, Findings
from modernet.errors import InputError


@pytest.fixture
def folder(tmp_path: Path, write_folder) -> Path:
    """A data set with nothing wrong."""
    for split, n in (("train", 6), ("test", 3)):
        write_folder(tmp_path / "pets" / split, n=n)
    return tmp_path / "pets"


def of_kind(findings: Findings, kind: str) -> list[tuple[str, str]]:
    assert set(findings.counts()) == {kind}, "other things were found"
    return [(finding.subject, finding.detail) for finding in findings.found]


def test_nothing_is_found_where_nothing_is_wrong(folder: Path) -> None:
    findings = check_images(str(folder))
    assert findings == Findings(18, "train, test as given", ())
    assert findings.counts() == {}


def test_images_that_cannot_be_read_are_found_with_the_reason(folder: Path) -> None:
    path = folder / "test" / "dog" / "001.png"
    path.write_bytes(path.read_bytes()[:60])
    (folder / "train" / "cat" / "002.png").write_bytes(b"")
    found = of_kind(check_images(str(folder)), "unreadable")
    assert [subject for subject, _ in found] == [str(folder / "train" / "cat" / "002.png"), str(path)]
    assert found[0][1] == "the file is empty"


def test_an_image_in_two_splits_is_found(folder: Path) -> None:
    original, copy = folder / "train" / "cat" / "001.png", folder / "test" / "cat" / "copy.png"
    shutil.copy(original, copy)
    assert of_kind(check_images(str(folder)), "in two splits") == [
        (str(copy), f"test; the same as {original} (train, cat)")
    ]


def test_an_image_in_two_classes_is_found(folder: Path) -> None:
    original, copy = folder / "train" / "cat" / "001.png", folder / "train" / "dog" / "copy.png"
    shutil.copy(original, copy)
    assert of_kind(check_images(str(folder)), "in two classes") == [
        (str(copy), f"dog; the same as {original} (train, cat)")
    ]


def test_copies_in_splits_that_opening_makes_are_found(tmp_path: Path, write_folder) -> None:
    write_folder(tmp_path, n=40)
    for number in range(40):
        shutil.copy(tmp_path / "cat" / f"{number:03}.png", tmp_path / "cat" / f"copy{number:03}.png")
    findings = check_images(str(tmp_path))
    assert findings.splits == "about 80 / 10 / 10 % of each class of the one given set"
    assert 3 < len(of_kind(findings, "in two splits")) < 30


def test_images_of_two_splits_that_look_alike_are_found(folder: Path) -> None:
    coarse = np.random.default_rng(5).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((30, 30), Image.Resampling.BICUBIC)
    image.save(folder / "train" / "cat" / "original.png")
    image.save(folder / "test" / "cat" / "again.jpg", quality=95)
    found = of_kind(check_images(str(folder)), "look alike")
    assert found == [
        (
            str(folder / "test" / "cat" / "again.jpg"),
            f"test; looks like {folder / 'train' / 'cat' / 'original.png'} (train)",
        )
    ]


def test_images_of_odd_sizes_are_found(tmp_path: Path, write_folder, write_image) -> None:
    write_folder(tmp_path, n=4, size=(40, 50))
    tiny = write_image(tmp_path / "cat" / "tiny.png", (9, 30), seed=1)
    long = write_image(tmp_path / "dog" / "long.png", (250, 40), seed=2)
    write_image(tmp_path / "dog" / "fine.png", (10, 45), seed=3)
    found = of_kind(check_images(str(tmp_path)), "odd size")
    assert sorted(found) == sorted(
        [
            (str(tiny), "9 x 30; half of all have 40 or more"),
            (str(long), "250 x 40; only its centre would be seen"),
        ]
    )


def test_long_images_with_boxes_are_seen_whole(tmp_path: Path, write_image) -> None:
    long = write_image(tmp_path / "long.png", (250, 40), seed=2)
    (tmp_path / "long.txt").write_text("0 0.5 0.5 0.2 0.4")
    assert of_kind(check_images(str(tmp_path)), "odd size") == [(str(long), "250 x 40; its objects would be small")]


def test_classes_with_similar_names_are_found(tmp_path: Path, write_folder) -> None:
    write_folder(tmp_path, ("cat", "Cats", "hot dog", "hot_dog", "gas", "ga"), n=4)
    found = of_kind(check_images(str(tmp_path)), "similar classes")
    assert found == [
        ("'cat'", "similar to 'Cats'; if they are one class, merge them"),
        ("'hot_dog'", "similar to 'hot dog'; if they are one class, merge them"),
    ]


def test_classes_that_a_split_lacks_are_found_also_where_opening_refuses_them(folder: Path, write_folder) -> None:
    write_folder(folder / "test", ("emu",), n=2)
    shutil.rmtree(folder / "test" / "dog")
    assert of_kind(check_images(str(folder)), "class not in split") == [
        ("emu", "train has no image of it, test has 2"),
        ("dog", "test has no image of it, train has 6"),
    ]


def test_rare_classes_are_found(tmp_path: Path, write_folder, write_image) -> None:
    for number in range(301):
        write_image(tmp_path / "cat" / f"{number}.png", (2, 2), seed=number)
    write_folder(tmp_path, ("dog",), n=3, size=(2, 2))
    assert of_kind(check_images(str(tmp_path)), "rare class") == [("dog", "3 images; cat has 301")]


def test_classes_of_which_no_image_can_be_held_out_are_found(tmp_path: Path, folder: Path, write_folder) -> None:
    write_folder(tmp_path / "one", ("cat",), n=3)
    write_folder(tmp_path / "one", ("dog",), n=2)
    assert of_kind(check_images(str(tmp_path / "one")), "too few images") == [
        ("dog", "2; to hold out the splits that are missing takes 3")
    ]
    assert check_images(str(folder)).counts() == {}  # with a test split, two are enough


def test_misplaced_files_in_class_folders_are_found(folder: Path, write_image) -> None:
    (folder / "train" / "emu").mkdir()
    (folder / "train" / "cat" / "deep").mkdir()
    (folder / "train" / "cat" / "deep" / "notes.xml").touch()
    (folder / "train" / "cat" / "Thumbs.db").touch()
    (folder / "train" / "cat" / ".hidden").touch()
    write_image(folder / "test" / "dog" / "poodles" / "small" / "a.png", seed=99)
    assert check_images(str(folder)).found == (
        Finding("empty class folder", str(folder / "train" / "emu"), "no image in it"),
        Finding("other files", str(folder / "train" / "cat"), "2, such as Thumbs.db"),
        Finding("nested folder", str(folder / "test" / "dog"), "images are in 1 below it, such as dog/poodles/small"),
    )


def test_other_layouts_are_checked_too(tmp_path: Path) -> None:
    write_shards(tmp_path, "train", 2)
    write_shards(tmp_path, "test", 1, first=14)  # the last two of train again
    found = of_kind(check_images(str(tmp_path)), "in two splits")
    assert [subject for subject, _ in found] == ["test-0.tar, 0014", "test-0.tar, 0015"]


def test_what_cannot_be_checked_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"digit_scenes is generated and has nothing to check; give a data set that"):
        check_images("digit_scenes")
    with pytest.raises(InputError, match=r"there is no folder"):
        check_images(str(tmp_path / "nothing"))
    (tmp_path / "cat").mkdir()
    with pytest.raises(InputError, match=r"there is no image in the class folders of .*; put some in a folder for"):
        check_images(str(tmp_path))


def test_every_kind_is_explained() -> None:
    findings = Findings(1, "", tuple(Finding(kind, "a", "b") for kind in reversed(KINDS)))
    assert list(findings.counts()) == list(KINDS)


def test_dark_images_are_found(folder: Path) -> None:
    path = folder / "train" / "cat" / "night.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 16, (8, 8, 3), dtype=np.uint8)).save(path)
    assert of_kind(check_images(str(folder)), "dark") == [(str(path), "its brightest value is 15 of 255")]


def test_grey_images_of_another_depth_than_most_are_found(tmp_path: Path) -> None:
    for label, largest in (("a", 4000), ("b", 3000)):
        (tmp_path / label).mkdir()
        for number in range(3):
            grey = np.random.default_rng([largest, number]).integers(0, largest, (9, 9), dtype=np.uint16)
            Image.fromarray(grey).save(tmp_path / label / f"{number}.png")
    assert check_images(str(tmp_path)).found == ()
    path = tmp_path / "a" / "odd.tif"
    Image.fromarray(np.random.default_rng(9).integers(0, 2**16, (9, 9), dtype=np.uint16)).save(path)
    assert of_kind(check_images(str(tmp_path)), "odd depth") == [
        (str(path), "its values take 16 bits, those of most 12: each is scaled by its own")
    ]


def test_files_behind_links_are_checked(folder: Path, write_image) -> None:
    pool = folder.parent / "pool"
    write_image(pool / "a.png", seed=77)
    (pool / "notes.txt").touch()
    (folder / "train" / "cat" / "more").symlink_to(pool)
    (folder / "train" / "cat" / "up").symlink_to(folder)
    findings = check_images(str(folder))
    assert findings.images == 19
    assert findings.counts() == {"other files": 1, "nested folder": 1}
    assert findings.found[0].detail == "1, such as more/notes.txt"


def test_label_maps_are_checked_and_every_file_is_named(tmp_path: Path) -> None:
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        for folder, content in (("images", pixels), ("masks", pixels[..., 0] % 3)):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(content).save(tmp_path / folder / f"{number:02}.png")
    Image.fromarray(np.full((8, 7), 1, np.uint8)).save(tmp_path / "masks" / "03.png")
    (tmp_path / "masks" / "05.png").unlink()
    Image.fromarray(np.full((8, 8), 9, np.uint8)).save(tmp_path / "masks" / "07.png")
    Image.fromarray(np.full((8, 8), 1, np.uint8)).save(tmp_path / "masks" / "other.png")
    (tmp_path / "classes.txt").write_text("sky\nroad\ntree\n")
    (tmp_path / "images" / "08.png").write_bytes((tmp_path / "images" / "09.png").read_bytes())

    found = check_images(str(tmp_path)).found
    named = {(finding.kind, Path(finding.subject).name) for finding in found if finding.kind != "in two splits"}
    assert named == {
        ("label map", "03.png"),
        ("label map", "05.png"),
        ("label map", "07.png"),
        ("map without image", "other.png"),
    }
    assert any("none of the 3 classes: 9 (64 pixels)" in finding.detail for finding in found)
