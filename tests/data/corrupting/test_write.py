"""Images are written corrupted, in the published layout."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

from modernet import progress
from modernet.data import read_image
from modernet.data.corrupting import write
from modernet.data.corrupting.write import write_corrupted
from modernet.data.images.views import central_view
from modernet.data.transforms.corruptions import Corrupt
from modernet.errors import InputError


def photo(path: Path, h: int, w: int, seed: int) -> Tensor:
    """Write a smooth image, whose JPEG is near to it, and return it as it is read."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(coarse).resize((w, h), Image.Resampling.BICUBIC).save(path)
    return read_image(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of small images."""
    root = tmp_path / "pets"
    for number in range(3):
        photo(root / "cat" / f"{number}.png", 40, 40, number)
    photo(root / "dog" / "0.jpg", 40, 40, 3)
    return root


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.JPEG")}


def test_images_are_written_in_the_published_layout(folder: Path, tmp_path: Path) -> None:
    written = write_corrupted(str(folder), tmp_path / "out", ["contrast", "sparkles"], [1, 5])
    assert (written.images, written.kept, written.unreadable) == (16, 0, ())
    assert set(files(tmp_path / "out")) == {
        f"{corruption}/{severity}/{image}.JPEG"
        for corruption in ("contrast", "sparkles")
        for severity in (1, 5)
        for image in ("cat/0", "cat/1", "cat/2", "dog/0")
    }


def test_they_are_the_corrupted_middle_of_photos(tmp_path: Path) -> None:
    image = photo(tmp_path / "photos" / "cat" / "large.png", 300, 500, 0)
    photo(tmp_path / "photos" / "dog" / "larger.png", 600, 300, 1)
    write_corrupted(str(tmp_path / "photos"), tmp_path / "out", ["sparkles"], [3], seed=7)
    found = Image.open(tmp_path / "out" / "sparkles" / "3" / "cat" / "large.JPEG")
    reference = io.BytesIO()  # the middle 224 of 256 pixels, which are those of the 300
    box = (250 - 150 * 224 / 256, 150 * 32 / 256, 250 + 150 * 224 / 256, 300 - 150 * 32 / 256)
    middle = Image.open(tmp_path / "photos" / "cat" / "large.png").resize((224, 224), Image.Resampling.BILINEAR, box)
    view = central_view(300, 500, (224, 224), 224 / 256).show(image)
    assert np.abs(np.subtract(view.permute(1, 2, 0).numpy(), middle, dtype=int)).max() <= 2
    corrupted = Corrupt("sparkles", 3, seed=7)(view[None])[0].permute(1, 2, 0).numpy()
    Image.fromarray(corrupted).save(reference, "JPEG", quality=85)
    assert np.array_equal(np.asarray(found), np.asarray(Image.open(reference)))


def test_small_images_keep_their_size(folder: Path, tmp_path: Path) -> None:
    photo(folder / "dog" / "oblong.png", 20, 64, 5)
    write_corrupted(str(folder), tmp_path / "out", ["contrast"], [2])
    sizes = {name: Image.open(io.BytesIO(content)).size for name, content in files(tmp_path / "out").items()}
    assert sizes.pop("contrast/2/dog/oblong.JPEG") == (64, 20)
    assert set(sizes.values()) == {(40, 40)}


def test_only_the_test_split_is_written(tmp_path: Path) -> None:
    for split, number in (("train", 10), ("test", 20)):
        for name in ("cat", "dog"):
            photo(tmp_path / "split" / split / name / f"{number}.png", 40, 40, number)
    write_corrupted(str(tmp_path / "split"), tmp_path / "out", ["contrast"], [2])
    assert set(files(tmp_path / "out")) == {"contrast/2/cat/20.JPEG", "contrast/2/dog/20.JPEG"}


def test_what_is_there_is_kept(folder: Path, tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    write_corrupted(str(folder), whole, ["sparkles", "contrast"], [1, 2])
    write_corrupted(str(folder), stopped, ["sparkles"], [2, 1])
    (stopped / "sparkles" / "1" / "cat" / "1.JPEG").unlink()
    (stopped / "sparkles" / "2" / "cat" / "2.JPEG").write_bytes(b"")  # as a power cut may leave it
    written = write_corrupted(str(folder), stopped, ["sparkles", "contrast"], [1, 2])
    assert (written.images, written.kept) == (10, 6)
    assert files(stopped) == files(whole)


def test_a_stopped_run_leaves_only_whole_files(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save = write._save
    saved: list[Path] = []

    def stopping(image: Tensor, path: Path) -> None:
        saved.append(path)
        if len(saved) > 5:
            raise KeyboardInterrupt
        save(image, path)

    monkeypatch.setattr(write, "_save", stopping)
    with pytest.raises(KeyboardInterrupt):
        write_corrupted(str(folder), tmp_path / "out", ["sparkles"])
    assert len(files(tmp_path / "out")) == 5
    assert not list((tmp_path / "out").rglob("*.unfinished"))
    monkeypatch.undo()
    assert write_corrupted(str(folder), tmp_path / "out", ["sparkles"]).kept == 5


def test_an_unreadable_image_stops_or_is_skipped(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "cat" / "torn.png").write_bytes((folder / "cat" / "0.png").read_bytes()[:60])
    with pytest.raises(InputError, match=r"cannot read the image .*torn\.png: .*--skip-unreadable"):
        write_corrupted(str(folder), tmp_path / "out", ["contrast"], [1])
    with progress.shown():
        written = write_corrupted(str(folder), tmp_path / "out", ["contrast"], [1], skip_unreadable=True)
    assert (written.images + written.kept, written.unreadable) == (4, (str(folder / "cat" / "torn.png"),))
    assert capsys.readouterr().err.count("torn.png: ") == 1


def test_mistakes_are_refused_before_anything_is_written(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(InputError, match="did you mean contrast"):
        write_corrupted(str(folder), out, ["contrst"])
    with pytest.raises(InputError, match="severity is 7; give 1 to 5"):
        write_corrupted(str(folder), out, ["contrast"], [7])
    with pytest.raises(InputError, match="nothing to write; give at least one corruption and one severity"):
        write_corrupted(str(folder), out, [])
    with pytest.raises(InputError, match="nothing to write; give at least one corruption and one severity"):
        write_corrupted(str(folder), out, ["contrast"], [])
    with pytest.raises(InputError, match="is generated each time"):
        write_corrupted("digit_scenes", out, ["contrast"])
    with pytest.raises(InputError, match="is inside the data set"):
        write_corrupted(str(folder), folder / "out", ["contrast"])
    assert not out.exists()
    assert not (folder / "out").exists()


def test_a_folder_has_images_of_one_seed_and_data_set(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_corrupted(str(folder), out, ["contrast"], [1])
    with pytest.raises(InputError, match="was written with seed 0, not 1; give another folder"):
        write_corrupted(str(folder), out, ["contrast"], [2], seed=1)
    other = folder.rename(tmp_path / "others")
    with pytest.raises(InputError, match="was written with data pets, not others; give another folder"):
        write_corrupted(str(other), out, ["contrast"], [2])


def test_a_data_set_may_move_but_not_change(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_corrupted(str(folder), out, ["contrast"], [1])
    (tmp_path / "moved").mkdir()
    moved = folder.rename(tmp_path / "moved" / "pets")
    assert write_corrupted(str(moved), out, ["contrast"], [1]).kept == 4

    other = tmp_path / "other" / "pets"  # of the same names
    for number, name in enumerate(("cat/0.png", "cat/1.png", "cat/2.png", "dog/0.jpg"), 10):
        photo(other / name, 40, 40, number)
    photo(moved / "dog" / "large.png", 90, 90, 4)  # with which no image would keep its size
    for changed in (other, moved):
        with pytest.raises(InputError, match="was written from other images than pets now has; give another folder"):
            write_corrupted(str(changed), out, ["contrast"], [1, 2])
    assert len(files(out)) == 4


def test_synthesised_frost_is_said_and_not_mixed_with_photographs(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, photographs = tmp_path / "out", tmp_path / "photographs"
    for number in range(1, 7):
        photo(photographs / f"frost{number}.{'png' if number < 4 else 'jpg'}", 300, 300, number)
    with progress.shown():
        write_corrupted(str(folder), out, ["frost"], [1])
    assert capsys.readouterr().err.count("frost is synthesised; --frost DIR takes the six photographs") == 1
    with pytest.raises(InputError, match="was written with frost synthesised, not photographs; give another folder"):
        write_corrupted(str(folder), out, ["frost"], [2], frost=photographs)
    assert write_corrupted(str(folder), out, ["contrast"], [1], frost=photographs).images == 4  # it has no frost

    with progress.shown():
        write_corrupted(str(folder), tmp_path / "other", ["frost"], [1], frost=photographs)
    assert "synthesised" not in capsys.readouterr().err
    with pytest.raises(InputError, match="was written with frost photographs, not synthesised"):
        write_corrupted(str(folder), tmp_path / "other", ["frost"], [1])
    assert files(out)["frost/1/cat/0.JPEG"] != files(tmp_path / "other")["frost/1/cat/0.JPEG"]


def test_which_images_are_corrupted_is_said(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.shown():
        write_corrupted(str(folder), tmp_path / "out", ["contrast"], [1])
    assert "pets: corrupting all 4 images" in capsys.readouterr().err


def test_a_run_that_fails_before_its_first_image_leaves_no_note(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (folder / "cat" / "1.png").write_bytes(b"torn")
    with pytest.raises(InputError, match="cannot read the image"):
        write_corrupted(str(folder), out, ["contrast"], [1], seed=1)
    photo(folder / "cat" / "1.png", 40, 40, 1)
    assert write_corrupted(str(folder), out, ["contrast"], [1], seed=2).images == 4


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (28, "No space left on device; make room, or give another folder"),
        (36, "File name too long; give another folder"),
    ],
)
def test_a_file_that_cannot_be_written_is_reported_in_one_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, message: str
) -> None:
    def failing(image: Tensor, path: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(write, "_save", failing)
    with pytest.raises(InputError, match=f"cannot write to .*: {message}"):
        write_corrupted(str(folder), tmp_path / "out", ["contrast"])
