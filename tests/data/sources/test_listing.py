from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from modernet.data.sources import listing
from modernet.data.sources.listing import Listing, list_classes
from modernet.errors import InputError
from modernet.progress import shown

LONG_AGO = 10**9


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Class folders that changed long ago, whose list is worth keeping."""
    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(listing, "_WORTH_KEEPING", 1)
    root = tmp_path / "pets"
    for name in ("dog/b.JPG", "dog/deep/a.png", "dog/z.png", "cat/c.png", "cat/notes.txt", "cat/.c.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / "emu").mkdir()
    (root / "beside.png").touch()
    age(root)
    return root


def age(root: Path) -> None:
    for path in (root, *root.rglob("*")):
        if path.is_dir():
            os.utime(path, (LONG_AGO, LONG_AGO))


def names(listed: Listing) -> list[str]:
    return [listed.images.identity(index) for index in range(len(listed.images))]


def walks(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that are walked from now on."""
    walked: list[Path] = []
    walk = listing._walk
    monkeypatch.setattr(listing, "_walk", lambda folder: walked.append(folder) or walk(folder))
    return walked


def test_images_are_listed_by_class_and_path_with_empty_class_folders(folder: Path) -> None:
    listed = list_classes(folder)
    assert listed.class_folders == ("cat", "dog", "emu")
    assert names(listed) == ["cat/c.png", "dog/b.JPG", "dog/deep/a.png", "dog/z.png"]
    assert listed.class_of.tolist() == [0, 1, 1, 1]
    assert listed.images.name(2) == str(folder / "dog" / "deep" / "a.png")


def test_a_folder_is_walked_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = list_classes(folder)
    walked = walks(monkeypatch)
    second = list_classes(folder)
    assert not walked
    assert (names(second), second.class_folders) == (names(first), first.class_folders)
    assert second.class_of.tolist() == first.class_of.tolist()


@pytest.mark.parametrize("change", ["dog/new.png", "dog/deep/new.png", "emu/new.png", "fox/new.png"])
def test_a_new_image_is_noticed_in_any_folder(folder: Path, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = names(list_classes(folder))
    walked = walks(monkeypatch)
    (folder / change).parent.mkdir(exist_ok=True)
    (folder / change).touch()
    assert names(list_classes(folder)) == sorted([*before, change])
    assert walked == [folder]


def test_a_removed_image_or_folder_is_noticed(folder: Path) -> None:
    list_classes(folder)
    (folder / "dog" / "deep" / "a.png").unlink()
    assert names(list_classes(folder)) == ["cat/c.png", "dog/b.JPG", "dog/z.png"]
    age(folder)
    list_classes(folder)
    (folder / "dog" / "deep").rmdir()
    (folder / "emu").rmdir()
    assert list_classes(folder).class_folders == ("cat", "dog")


def test_a_folder_that_has_just_changed_is_listed_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.utime(folder / "cat")
    list_classes(folder)
    walked = walks(monkeypatch)
    list_classes(folder)
    assert walked, "it may have changed again within one tick of the file system's clock"


def test_lists_of_few_images_are_not_cached(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_WORTH_KEEPING", 6)
    list_classes(folder)
    assert not (folder.parent / "cache").exists()


def test_a_damaged_list_is_made_again(folder: Path) -> None:
    before = names(list_classes(folder))
    (kept,) = (folder.parent / "cache" / "listings").glob("*.arrow")
    whole = kept.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"x" * 100):
        kept.write_bytes(damaged)
        assert names(list_classes(folder)) == before
    assert kept.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_no_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder.parent / "cache").touch()
    with shown():
        assert len(list_classes(folder).images) == 4
    assert "cannot cache the list of images in" in capsys.readouterr().err


def test_links_to_folders_are_followed(folder: Path) -> None:
    pool = folder.parent / "pool"
    (pool / "more").mkdir(parents=True)
    (pool / "more" / "p.png").touch()
    (folder / "hound").symlink_to(folder / "dog")
    (folder / "dog" / "linked").symlink_to(pool)
    age(folder)
    listed = list_classes(folder)
    assert listed.class_folders == ("cat", "dog", "emu", "hound")
    dogs = ["b.JPG", "deep/a.png", "linked/more/p.png", "z.png"]
    assert names(listed) == ["cat/c.png", *(f"{kind}/{name}" for kind in ("dog", "hound") for name in dogs)]
    (pool / "more" / "q.png").touch()
    assert "dog/linked/more/q.png" in names(list_classes(folder)), "a change behind a link was not noticed"


def test_links_that_lead_back_are_passed_over_and_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = names(list_classes(folder))
    outside = folder.parent / "outside"
    outside.mkdir()
    for link, target in (
        (folder / "dog" / "loop", folder / "dog"),
        (folder / "dog" / "deep" / "up", folder),
        (folder / "dog" / "deep" / "top", folder.parent),
        (folder / "again", folder),
        (outside / "back", outside),
        (folder / "emu" / "outside", outside),
    ):
        link.symlink_to(target)
    with shown():
        listed = list_classes(folder)
    assert names(listed) == before
    assert listed.class_folders == ("cat", "dog", "emu")
    said = capsys.readouterr().err
    assert f"passed over the link {folder}/dog/deep/up: it leads back to a folder that holds it" in said
    assert said.count("passed over the link") == 5


def test_names_that_are_not_utf8_are_read(folder: Path) -> None:
    strange = os.fsencode(folder / "emu") + b"/\xff.png"
    Path(os.fsdecode(strange)).write_bytes(b"content")
    listed = list_classes(folder)
    assert listed.images.content(4) == b"content"


def test_a_folder_that_cannot_be_listed_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refused(path: Path) -> object:
        if path.name == "deep":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr("modernet.data.sources.listing.os.scandir", refused)
    with pytest.raises(InputError, match=r"cannot list the folder .*dog/deep: Permission denied; make it readable"):
        list_classes(folder)
    with pytest.raises(InputError, match=r"cannot list the folder .*nowhere: No such file"):
        list_classes(folder.parent / "nowhere")


def test_many_images_are_pickled_compactly(folder: Path) -> None:
    for number in range(1000):
        (folder / "emu" / f"n01440764_{number:05}.JPEG").touch()
    listed = list_classes(folder).images
    packed = pickle.dumps(listed)
    assert len(packed) < 60 * len(listed)
    assert pickle.loads(packed).name(900) == listed.name(900)
