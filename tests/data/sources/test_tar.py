from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from data.shards import png, write_shards, write_tar
from http_server import serving
from modernet.data import InMemory, OnDisk, make_loader, open_dataset
from modernet.data.images.decoding import UnreadableImage, decode_image
from modernet.data.sources import tar
from modernet.data.sources.read import read_source
from modernet.data.sources.shard_index import index_shard, write_index
from modernet.data.sources.tar import expand_braces
from modernet.errors import InputError
from modernet.files import fetch as fetching
from modernet.files.fetch import FetchError
from modernet.progress import shown
from modernet.recipes import Augmentation


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fetching, "_PAUSES_S", (0.0,))
    return tmp_path / "cache"


def indexed(folder: Path) -> Path:
    """Write the index of the shards in a folder."""
    shards = [index_shard(path, checksum=True) for path in sorted(folder.glob("*.tar"))]
    write_index(folder / "index.json", shards, ("cat", "dog"))
    return folder


def test_shards_are_split_by_their_names(tmp_path: Path) -> None:
    for split, shards in (("imagenet-train", 3), ("imagenet-val", 2), ("test", 1)):
        write_shards(tmp_path / "set", split, shards)
    name, source = read_source(str(tmp_path / "set"))
    assert (name, source.classes) == ("set", ("cat", "dog"))
    assert source.validation is not None
    assert source.test is not None
    assert (len(source.train), len(source.validation), len(source.test)) == (24, 16, 8)
    assert source.train.shards is None, "any image on this machine is equally near"
    for index in (0, 13, 23):
        assert source.train.images.content(index) == png(index)
        assert source.train.labels[index] == index % 2
    assert source.train.images.name(13) == "imagenet-train-1.tar, 0013"
    assert len({source.train.images.identity(index) for index in range(24)}) == 24


def write_wds(folder: Path) -> Path:
    """Shards as the Hub's wds_* sets have them: folders of splits, class names and numbers of shards beside them."""
    for split, shards, first in (("train", 2, 0), ("test", 1, 100)):
        for shard in range(shards):
            samples: dict[str, bytes | str] = {}
            for number in range(8):
                seed = first + 8 * shard + number
                samples |= {f"s{number:07}.cls": str(seed % 2), f"s{number:07}.png": png(seed)}
            write_tar(folder / split / f"{shard}.tar", samples)
        (folder / split / "nshards.txt").write_text(f"{shards}\n")
    (folder / "classnames.txt").write_text("hot dog\nno hot dog\n")
    return folder


def test_folders_of_splits_are_read_with_their_class_names(tmp_path: Path) -> None:
    folder = write_wds(tmp_path / "wds")
    for spec in (folder, folder / "{train,test}" / "{0..1}.tar"):
        if "{" in str(spec):
            write_tar(folder / "test" / "1.tar", {})
            (folder / "test" / "nshards.txt").unlink()
        source = read_source(str(spec)).source
        assert source.classes == ("hot dog", "no hot dog")
        assert (len(source.train), source.validation, len(source.test)) == (16, None, 8)
        assert [source.train.images.content(index) for index in (0, 9)] == [png(0), png(9)]
        assert source.train.images.name(9) == "train/1.tar, s0000001"
        assert source.test.images.name(0) == "test/0.tar, s0000000"
    source = read_source(str(folder / "train")).source
    assert (source.classes, len(source.train), source.test) == (("hot dog", "no hot dog"), 16, None)
    assert source.train.images.identity(9) == "1.tar/s0000001"


def test_a_missing_shard_is_noticed_where_their_number_is_known(tmp_path: Path) -> None:
    folder = write_wds(tmp_path / "wds")
    (folder / "train" / "1.tar").unlink()
    for spec in (folder, folder / "train"):
        with pytest.raises(InputError, match=r"train/nshards.txt says 2 shards, but there are 1; add the others, or"):
            read_source(str(spec))


def test_addresses_of_folders_of_splits_have_splits(tmp_path: Path) -> None:
    with serving(write_wds(tmp_path / "wds")) as server:
        source = read_source(f"{server.url}/{{train,test}}/0.tar").source
    assert (len(source.train), len(source.test)) == (8, 8)


def test_an_archive_beside_class_folders_is_no_shard(tmp_path: Path, write_folder) -> None:
    for split in ("train", "val"):
        write_folder(tmp_path / split)
        (tmp_path / split / f"{split}.tar").write_bytes(b"what the folders came in")
    assert read_source(str(tmp_path)).source.classes == ("cat", "dog")


def test_keys_and_shards_whose_names_are_not_utf8_are_read(tmp_path: Path) -> None:
    strange = os.fsdecode(b"\xe9t\xe9")
    write_tar(
        tmp_path / f"{strange}-train.tar",
        {f"{strange}{n}.png": png(n) for n in range(4)} | {f"{strange}{n}.cls": str(n % 2) for n in range(4)},
    )
    images = read_source(str(tmp_path)).source.train.images
    assert images.content(2) == png(2)
    assert images.name(2) == "\\xe9t\\xe9-train.tar, \\xe9t\\xe92"
    assert images.identity(2) == f"{strange}-train.tar/{strange}2"


def test_braces_expand_to_the_shards_of_one_set(tmp_path: Path) -> None:
    write_shards(tmp_path / "set", "part", 4)
    name, source = read_source(str(tmp_path / "set" / "part-{0..2}.tar"))
    assert (name, len(source.train), source.test) == ("set", 24, None)
    name, source = read_source(str(tmp_path / "set" / "part-3.tar"))
    assert len(source.train) == 8
    with pytest.raises(InputError, match=r"there is no shard .*part-4.tar; give existing ones, such as 'path/{"):
        read_source(str(tmp_path / "set" / "part-{0..9}.tar"))


def test_braces_are_expanded_as_a_shell_does() -> None:
    assert expand_braces("a-{08..11}.tar") == ["a-08.tar", "a-09.tar", "a-10.tar", "a-11.tar"]
    assert expand_braces("{train,val}-{0..1}.tar") == ["train-0.tar", "train-1.tar", "val-0.tar", "val-1.tar"]
    assert expand_braces("a.tar") == ["a.tar"]
    with pytest.raises(InputError, match=r"the range {3..1} of a-{3..1}.tar runs backwards; give {1..3}"):
        expand_braces("a-{3..1}.tar")


@pytest.mark.parametrize("pattern", ["{train-{0..9},val-{0..3}}.tar", "a-{0..9.tar", "a-0..9}.tar"])
def test_nested_or_unbalanced_braces_are_refused(pattern: str) -> None:
    with pytest.raises(InputError, match=r"the braces of .*tar are nested or unbalanced; give them one after another"):
        expand_braces(pattern)


def test_an_opened_data_set_has_the_images_of_its_shards(tmp_path: Path) -> None:
    write_shards(tmp_path, "train", 3, n=10)
    write_shards(tmp_path, "test", 1, n=10, first=100)
    memory, disk = (open_dataset(str(tmp_path), memory_limit_mb=limit) for limit in (100, 0))
    assert isinstance(memory.test, InMemory)
    assert isinstance(disk.test, OnDisk)
    assert memory.image_size == disk.image_size == 8
    assert memory.preparation == disk.preparation
    expected = torch.stack([decode_image(png(100 + number), "") for number in range(10)])
    assert torch.equal(memory.test.images, expected)
    images = pickle.loads(pickle.dumps(disk.test.images))
    assert torch.equal(torch.stack([images.read(index) for index in range(10)]), expected)


def test_class_names_come_from_classes_txt(tmp_path: Path) -> None:
    samples: dict[str, bytes | str] = {}
    for number in range(8):
        samples |= {f"{number}.png": png(number), f"{number}.cls": str(number % 2)}
    write_tar(tmp_path / "train-0.tar", samples)
    assert read_source(str(tmp_path)).source.classes == ("0", "1")
    (tmp_path / "classes.txt").write_text("hot dog\nno hot dog\n")
    assert read_source(str(tmp_path)).source.classes == ("hot dog", "no hot dog")
    (tmp_path / "classes.txt").write_text("hot dog\n")
    with pytest.raises(InputError, match=r"train-0.tar, 1 has the label 1; there are 1 classes, 0 \(hot dog\) to 0"):
        read_source(str(tmp_path))


@pytest.mark.parametrize(("suffix", "hidden"), [("cls", "-1\n"), ("json", '{"label": -1}')])
def test_a_test_split_with_hidden_labels_is_dropped(tmp_path: Path, suffix: str, hidden: str) -> None:
    for number in range(2):
        write_tar(tmp_path / f"train-{number}.tar", {"a.png": png(number), "a.cls": str(number)})
    write_tar(tmp_path / "test-0.tar", {"a.png": png(2), f"a.{suffix}": hidden})
    source = read_source(str(tmp_path)).source
    assert (source.classes, source.train.labels.tolist(), source.test) == (("0", "1"), [0, 1], None)
    write_tar(tmp_path / "test-1.tar", {"a.png": png(3), "a.cls": "1"})
    with pytest.raises(InputError, match=r"test-0.tar, a has the label -1; there are 2 classes, 0 \(0\) to 1 \(1\)"):
        read_source(str(tmp_path))


def test_the_index_of_a_large_shard_is_cached_until_the_shard_changes(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_shards(tmp_path / "set", shards=1)
    read_source(str(folder))
    assert not cache.exists(), "the index of small shards is not cached"
    monkeypatch.setattr(tar, "_WORTH_KEEPING", 0)
    before = read_source(str(folder)).source.train
    with monkeypatch.context() as context:
        context.setattr(tar, "index_shard", lambda path: pytest.fail("it was indexed twice"))
        kept = read_source(str(folder)).source.train
    assert kept.images.content(3) == before.images.content(3)
    write_shards(folder, shards=1, n=10)
    assert len(read_source(str(folder)).source.train) == 10
    next((cache / "indexes").glob("*.json")).write_text("damaged")
    assert len(read_source(str(folder)).source.train) == 10


def test_a_cache_that_cannot_be_written_is_no_error(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tar, "_WORTH_KEEPING", 0)
    cache.touch()
    with shown():
        assert len(read_source(str(write_shards(tmp_path / "set"))).source.train) == 24
    assert "cannot cache the index of" in capsys.readouterr().err


def test_an_index_file_saves_reading_the_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = indexed(write_shards(tmp_path / "set"))
    (folder / "train-old.tar").write_bytes(b"not in the index")
    monkeypatch.setattr(tar, "index_shard", lambda path: pytest.fail("it was read"))
    source = read_source(str(folder)).source
    assert len(source.train) == 24
    assert source.train.images.content(13) == png(13)
    (folder / "train-1.tar").write_bytes(b"short")
    with pytest.raises(InputError, match=r"the shard .*train-1.tar is 5 bytes; index.json says \d+: replace it"):
        read_source(str(folder))
    (folder / "train-1.tar").unlink()
    with pytest.raises(InputError, match=r"the shard .*train-1.tar is missing; add it, or recreate index.json"):
        read_source(str(folder))


def test_a_wids_index_lists_the_shards_of_a_folder_and_of_an_address(tmp_path: Path) -> None:
    folder = write_shards(tmp_path / "served", "train", 3)
    shards = [{"url": f"train-{number}.tar", "nsamples": 8} for number in (0, 2)]
    (folder / "index.json").write_text(json.dumps({"wids_version": 1, "shardlist": shards}))
    with serving(folder) as server:
        for spec in (str(folder), server.url):
            source = read_source(spec).source
            assert len(source.train) == 16
            assert source.train.images.content(8) == png(16)
        assert server.paths == ["/index.json", "/train-0.tar", "/train-2.tar"]


def test_shards_with_and_without_a_split_are_refused(tmp_path: Path) -> None:
    write_shards(tmp_path, "val", 1)
    with pytest.raises(InputError, match=r"has a validation split, but no train split; name its files train-\*"):
        read_source(str(tmp_path))
    write_shards(tmp_path, "pets", 1)
    with pytest.raises(
        InputError, match=r"pets-0.tar has no split in its name, but other shards do; begin it with train, val"
    ):
        read_source(str(tmp_path))


def test_images_of_a_truncated_or_missing_shard_are_named(tmp_path: Path) -> None:
    images = read_source(str(write_shards(tmp_path, shards=2))).source.train.images
    path = tmp_path / "train-0.tar"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UnreadableImage, match=r"train-0.tar, 0006: it is truncated"):
        images.read(6)
    path.unlink()
    with pytest.raises(UnreadableImage, match=r"train-0.tar, 0006: No such file or directory"):
        images.read(6)
    assert images.content(9) == png(9)


def test_remote_shards_are_fetched_on_first_use(tmp_path: Path, cache: Path) -> None:
    folder = write_shards(tmp_path / "served" / "pets", "train", 4)
    indexed(write_shards(folder, "val", 2, first=100))
    with serving(tmp_path / "served") as server:
        name, source = read_source(f"{server.url}/pets/")
        assert (name, source.classes, source.test) == ("pets", ("cat", "dog"), None)
        assert server.paths == ["/pets/index.json"]
        assert source.train.shards is not None
        assert source.train.shards.tolist() == np.repeat(np.arange(4), 8).tolist()
        for index in (17, 18, 23):
            assert source.train.images.content(index) == png(index)
        assert server.paths == ["/pets/index.json", "/pets/train-2.tar"]
        assert source.validation is not None
        assert source.validation.images.content(0) == png(100)
    assert pickle.loads(pickle.dumps(source)).train.images.content(20) == png(20), "no network is needed any more"
    assert len(list((cache / "shards").glob("*.tar"))) == 2


def test_training_starts_before_all_shards_are_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modernet.data.measuring._NEAR", 10)
    folder = write_shards(tmp_path / "served", "train", 5)
    indexed(write_shards(write_shards(folder, "val", 1), "test", 1))
    with serving(folder) as server:
        dataset = open_dataset(server.url, memory_limit_mb=0)
        assert server.paths == ["/index.json", "/train-0.tar", "/train-1.tar"]
    assert dataset.image_size == 8
    assert isinstance(dataset.train, OnDisk)
    assert dataset.train.shards is not None
    assert len(dataset.train) == 40


def test_addresses_with_braces_use_the_index_of_their_folder(tmp_path: Path) -> None:
    folder = indexed(write_shards(tmp_path / "served" / "pets", "train", 4))
    with serving(tmp_path / "served") as server:
        name, source = read_source(f"{server.url}/pets/train-{{1..2}}.tar")
        assert (name, len(source.train), server.paths) == ("pets", 16, ["/pets/index.json"])
        assert source.train.images.content(0) == png(8)
        with pytest.raises(
            InputError, match=r"/pets/index.json does not list the shard http.*/train-4.tar; it lists 4"
        ):
            read_source(f"{server.url}/pets/train-{{1..4}}.tar")
    assert folder.is_dir()


def test_shards_without_an_index_are_fetched_once_to_be_indexed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_shards(tmp_path / "served", "train", 2)
    with serving(folder) as server, shown():
        spec = f"{server.url}/train-{{0..1}}.tar"
        for _ in range(2):
            source = read_source(spec).source
            assert source.train.images.content(9) == png(9)
        assert server.paths == ["/index.json", "/train-0.tar", "/train-1.tar", "/index.json"]
        assert source.train.shards is not None
    said = capsys.readouterr().err
    assert said.count("has no index.json: 2 of 2 shards are fetched now to be indexed") == 1


def test_a_remote_shard_that_has_changed_is_refused(tmp_path: Path) -> None:
    folder = indexed(write_shards(tmp_path / "served", "train", 2))
    write_shards(folder, "train", 2, first=50)
    with serving(folder) as server:
        images = read_source(server.url).source.train.images
        with pytest.raises(
            InputError, match=r"train-0.tar has the sha256 .*; the shard has changed since it was indexed"
        ):
            images.content(0)


def test_a_network_error_is_not_an_unreadable_image(tmp_path: Path) -> None:
    """Otherwise `--skip-unreadable` would drop every image of a shard that cannot be fetched at the moment."""
    folder = indexed(write_shards(tmp_path / "served", "train", 2))
    with serving(folder) as server:
        images = read_source(server.url).source.train.images
        server.failures = [503, 503]
        with pytest.raises(
            InputError, match=r"cannot fetch .*train-0.tar \(HTTP Error 503: .*, 2 attempts\)"
        ) as caught:
            images.content(0)
        assert not isinstance(caught.value, UnreadableImage)
        assert images.content(0) == png(0)


def test_an_address_without_shards_is_explained(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        with pytest.raises(InputError, match=r"there is no http.*/pets/index.json; give a folder with the index that"):
            read_source(f"{server.url}/pets")
        with pytest.raises(
            InputError, match=r"cannot fetch http.*train-0.tar \(HTTP Error 404: Not Found\); check the address"
        ):
            read_source(f"{server.url}/train-0.tar")
        (tmp_path / "index.json").write_text(json.dumps({"name": "something else"}))
        with pytest.raises(InputError, match=r"/index.json is not an index of shards; remove it"):
            read_source(server.url)
        server.failures = [500, 500]
        with pytest.raises(InputError, match=r"cannot fetch http.*/index.json \(HTTP Error 500: .*, 2 attempts\)"):
            read_source(server.url)


def test_a_network_error_in_a_worker_stops_training_with_one_line(tmp_path: Path) -> None:
    folder = indexed(write_shards(tmp_path / "served", "train", 3))
    with serving(folder) as server:
        dataset = open_dataset(server.url, memory_limit_mb=0)
        for shard in (tmp_path / "cache" / "shards").glob("*.tar"):
            shard.unlink()
    loader = make_loader(
        dataset, dataset.train, batch_size=4, device=torch.device("cpu"), augmentation=Augmentation(), workers=1
    )
    with pytest.raises(FetchError, match=r"^cannot fetch http.*.tar \(\[Errno 111\] Connection refused, 2 attempts\)"):
        next(iter(loader.batches()))


def test_an_epoch_shows_every_image_of_remote_shards_once(tmp_path: Path) -> None:
    """Even if there are more shards than an epoch mixes at a time, and batches do not divide the images."""
    folder = write_shards(tmp_path / "served", "train", 11, n=5)
    indexed(write_shards(write_shards(folder, "val", 1, first=1000), "test", 1, first=2000))
    with serving(folder) as server:
        dataset = open_dataset(server.url, memory_limit_mb=0)
        loader = make_loader(
            dataset,
            dataset.train,
            batch_size=5,
            device=torch.device("cpu"),
            augmentation=Augmentation(flip=0.0),
            workers=0,
        )
        shown_images = torch.cat([batch.images for batch in loader.batches()])
    assert len(shown_images.flatten(1).unique(dim=0)) == len(dataset.train) == 55
