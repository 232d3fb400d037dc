from __future__ import annotations

import json
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from http_server import serving
from modernet.data import pack
from modernet.data.pack import pack_dataset
from modernet.data.sources.examples import Examples
from modernet.data.sources.read import read_source
from modernet.errors import InputError


@pytest.fixture
def folder(tmp_path: Path, write_folder) -> Path:
    """Images of noise, of some 250 bytes each, in three splits."""
    for split, n in (("train", 30), ("val", 5), ("test", 4)):
        write_folder(tmp_path / "pets" / split, n=n)
    return tmp_path / "pets"


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte has 20 kB, so that few images fill some shards."""
    plan = pack._plan
    monkeypatch.setattr(pack, "_plan", lambda source, size: plan(source, size // 50))


def content(examples: Examples | None) -> Counter[tuple[bytes, int]]:
    """What a split holds, in any order."""
    assert examples is not None
    images = examples.images
    return Counter(
        (images.content(index), label)
        for index, label in zip(examples.indices.tolist(), examples.labels.tolist(), strict=True)
    )


@pytest.mark.usefixtures("small_shards")
def test_what_is_packed_is_what_was_there(folder: Path, tmp_path: Path) -> None:
    packed = pack_dataset(str(folder), tmp_path / "out", shard_size_mb=1)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    shards = [name for name in names if name.endswith(".tar")]
    assert {"test-000000.tar", "train-000000.tar", "validation-000000.tar"} <= set(shards)
    assert len([name for name in shards if name.startswith("train-")]) > 3
    assert [name for name in names if name not in shards] == ["classes.txt", "index.json"]
    assert (packed.shards, packed.kept, packed.images) == (len(shards), 0, 78)
    assert packed.size == sum((tmp_path / "out" / name).stat().st_size for name in shards)

    before, after = read_source(str(folder)).source, read_source(str(tmp_path / "out")).source
    assert after.classes == before.classes
    for split in ("train", "validation", "test"):
        assert content(getattr(after, split)) == content(getattr(before, split))
    (tmp_path / "out" / "index.json").unlink()
    without = read_source(str(tmp_path / "out")).source
    assert without.classes == before.classes
    assert content(without.train) == content(before.train)


@pytest.mark.usefixtures("small_shards")
def test_shards_are_about_as_large_as_asked_and_fair_mixes(folder: Path, tmp_path: Path) -> None:
    pack_dataset(str(folder), tmp_path / "out", shard_size_mb=1)
    train = read_source(str(tmp_path / "out")).source.train
    sizes = [path.stat().st_size for path in (tmp_path / "out").glob("train-*.tar")]
    assert 2**20 / 50 / 3 < np.mean(sizes) < 2**20 / 50 * 1.5
    labels = [train.labels[train.images.shard_of == shard] for shard in range(len(sizes))]
    assert all(set(part) == {0, 1} for part in labels)


@pytest.mark.usefixtures("small_shards")
def test_packing_twice_gives_the_same_files(folder: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        pack_dataset(str(folder), tmp_path / name, shard_size_mb=1)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_packed_shards_open_behind_http(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path / "cache"))
    pack_dataset(str(folder), tmp_path / "out")
    with serving(tmp_path / "out") as server:
        source = read_source(server.url).source
        assert content(source.test) == content(read_source(str(folder)).source.test)


@pytest.mark.usefixtures("small_shards")
def test_a_packing_that_was_stopped_goes_on(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pack_dataset(str(folder), tmp_path / "whole", shard_size_mb=1)
    index_shard = pack.index_shard

    def full_disk(path: Path, **options: bool) -> object:
        if path.name == "train-000002.tar":
            raise OSError(28, "No space left on device")
        return index_shard(path, **options)

    out = tmp_path / "out"
    with monkeypatch.context() as context:
        context.setattr(pack, "index_shard", full_disk)
        message = r"cannot write to .*out: No space left on device; make room, or give another folder"
        with pytest.raises(InputError, match=message):
            pack_dataset(str(folder), out, shard_size_mb=1)
    assert not (out / "index.json").exists()
    notes = {path.name for path in out.glob(".*.json")}
    assert {".train-000000.tar.json", ".train-000001.tar.json"} <= notes
    (out / "train-000001.tar").write_bytes(b"cut off since then")
    times = {path: path.stat().st_mtime_ns for path in out.glob("*.tar")}
    packed = pack_dataset(str(folder), out, shard_size_mb=1)
    assert (packed.shards, packed.kept) == (whole.shards, len(notes) - 1)
    assert (out / "train-000000.tar").stat().st_mtime_ns == times[out / "train-000000.tar"]
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (out / path.name).read_bytes()
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in (tmp_path / "whole").iterdir())


@pytest.mark.usefixtures("small_shards")
def test_finished_shards_of_other_images_are_not_kept(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_index = pack.write_index

    def notes_only(file: Path, *arguments: object, **more: object) -> None:
        if file.name == "index.json":
            raise OSError(5, "Input/output error")
        write_index(file, *arguments, **more)

    with monkeypatch.context() as context:
        context.setattr(pack, "write_index", notes_only)
        with pytest.raises(InputError, match="Input/output error"):
            pack_dataset(str(folder), tmp_path / "out", shard_size_mb=1)
    (folder / "train" / "cat" / "000.png").rename(folder / "train" / "dog" / "new.png")
    packed = pack_dataset(str(folder), tmp_path / "out", shard_size_mb=1)
    before, after = read_source(str(folder)).source, read_source(str(tmp_path / "out")).source
    assert content(after.train) == content(before.train)
    assert 0 < packed.kept < packed.shards


def test_without_splits_all_is_train(tmp_path: Path, write_folder) -> None:
    write_folder(tmp_path / "pets", n=5)
    pack_dataset(str(tmp_path / "pets"), tmp_path / "out")
    source = read_source(str(tmp_path / "out")).source
    assert (len(source.train), source.validation, source.test) == (10, None, None)


def test_pixels_that_were_never_encoded_become_png(tmp_path: Path) -> None:
    for split, n in (("train", 6), ("t10k", 4)):
        kind = {"images": bytes([0, 0, 8, 3]), "labels": bytes([0, 0, 8, 1])}
        pixels = np.random.default_rng(n).integers(0, 256, (n, 5, 5), dtype=np.uint8)
        shape = b"".join(side.to_bytes(4) for side in (n, 5, 5))
        (tmp_path / f"{split}-images-idx3-ubyte").write_bytes(kind["images"] + shape + pixels.tobytes())
        labels = bytes(number % 2 for number in range(n))
        (tmp_path / f"{split}-labels-idx1-ubyte").write_bytes(kind["labels"] + n.to_bytes(4) + labels)
    out = tmp_path.parent / f"{tmp_path.name}-out"
    pack_dataset(str(tmp_path), out)
    before, after = read_source(str(tmp_path)).source.train, read_source(str(out)).source.train
    assert {after.images.read(index).numpy().tobytes() for index in range(6)} == {
        before.images.read(index).contiguous().numpy().tobytes() for index in range(6)
    }


def test_files_are_called_by_what_they_are(tmp_path: Path, write_folder, write_image) -> None:
    write_folder(tmp_path / "pets", n=1)
    for suffix in (".jpg", ".tiff", ".ppm"):
        write_image(tmp_path / "pets" / "cat" / f"a{suffix}", seed=9)
    (tmp_path / "pets" / "cat" / "000.png").rename(tmp_path / "pets" / "cat" / "000.jpg")
    pack_dataset(str(tmp_path / "pets"), tmp_path / "out")
    with tarfile.open(tmp_path / "out" / "train-000000.tar") as tar:
        suffixes = [Path(name).suffix for name in tar.getnames() if not name.endswith(".cls")]
    assert sorted(suffixes) == [".jpg", ".png", ".png", ".ppm", ".tif"]


def test_an_image_that_cannot_be_read_stops_packing(folder: Path, tmp_path: Path) -> None:
    (folder / "train" / "cat" / "003.png").write_bytes(b"torn")
    message = r"cannot read the image .*cat/003.png: it is not an image.*; repair it or remove it \(modernet data ch"
    with pytest.raises(InputError, match=message):
        pack_dataset(str(folder), tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.tar"))


def test_folders_that_hold_something_else_are_left_alone(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    pack_dataset(str(folder), out)
    with pytest.raises(InputError, match=r"out contains a finished set of shards \(index.json\); give a new folder"):
        pack_dataset(str(folder), out)
    (out / "index.json").unlink()
    (out / "train-000007.tar").touch()
    with pytest.raises(
        InputError, match=r"out contains train-000007.tar, which does not belong to this packing; give a"
    ):
        pack_dataset(str(folder), out)
    with pytest.raises(InputError, match=r"is inside the data set .*pets; give a folder outside of it"):
        pack_dataset(str(folder), folder / "shards")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot write to .*file: .*; make room, or give another folder"):
        pack_dataset(str(folder), tmp_path / "file")


def test_what_cannot_be_packed_is_refused() -> None:
    with pytest.raises(InputError, match=r"shard_size_mb is 0; give 1 or more, such as 500"):
        pack_dataset("mnist", Path("out"), shard_size_mb=0)
    with pytest.raises(InputError, match=r"digit_scenes is generated each time; give a data set that is stored"):
        pack_dataset("digit_scenes", Path("out"))


def test_the_index_says_what_shards_weigh(folder: Path, tmp_path: Path) -> None:
    pack_dataset(str(folder), tmp_path / "out")
    index = json.loads((tmp_path / "out" / "index.json").read_text())
    assert index["classes"] == ["cat", "dog"]
    for shard in index["shards"]:
        assert shard["size"] == (tmp_path / "out" / shard["name"]).stat().st_size
        assert len(shard["sha256"]) == 64
