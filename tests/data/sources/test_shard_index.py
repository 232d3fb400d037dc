from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import pytest

from data.shards import png, write_tar
from modernet.data.sources.shard_index import index_shard, parse_index, wids_shards, write_index
from modernet.errors import InputError


def test_a_sample_is_the_files_that_agree_up_to_the_first_dot(tmp_path: Path) -> None:
    path = write_tar(
        tmp_path / "a.tar",
        {
            "cats/1.jpg": b"first",
            "cats/1.cls": "3\n",
            "cats/1.seg.png": b"of another kind",
            "dogs/1.json": json.dumps({"label": 7, "title": "a dog"}),
            "dogs/1.PNG": b"second one",
            "._1.jpg": b"of the system",
            "readme.txt": b"...",
        },
    )
    index = index_shard(path)
    assert (index.name, index.keys, index.labels) == ("a.tar", ["cats/1", "dogs/1"], [3, 7])
    content = path.read_bytes()
    assert index.size == len(content)
    pieces = [content[start : start + size] for start, size in zip(index.offsets, index.sizes, strict=True)]
    assert pieces == [b"first", b"second one"]


@pytest.mark.parametrize("order", list(permutations(("cls", "jpg", "json"))))
@pytest.mark.parametrize(("name", "label"), [("3", 3), ("a dog", "a dog"), ("", "coarse")])
def test_a_label_in_cls_counts_before_one_in_json(
    tmp_path: Path, order: tuple[str, ...], name: str, label: int | str
) -> None:
    files = {"cls": name, "jpg": b"x", "json": json.dumps({"label": "coarse"})}
    path = write_tar(tmp_path / "a.tar", {f"1.{suffix}": files[suffix] for suffix in order})
    assert index_shard(path).labels == [label]


def test_names_with_dots_are_samples_where_image_and_label_agree(tmp_path: Path) -> None:
    path = write_tar(
        tmp_path / "a.tar",
        {
            "v1.0/photo.v2.0002.jpg": b"second",
            "v1.0/photo.v2.0002.CLS": "1",
            "v1.0/photo.v2.0001.jpg": b"first",
            "v1.0/photo.v2.0001.cls": "0",
            "v1.0/photo.v2.0001.mask.png": b"of another kind",
            "v1.0/photo.v2.0001.meta.json": "{",
            "plain.jpg": b"plain",
            "plain.cls": "2",
        },
    )
    index = index_shard(path)
    assert index.keys == ["v1.0/photo.v2.0002", "v1.0/photo.v2.0001", "plain"]
    assert index.labels == [1, 0, 2]
    content = path.read_bytes()
    assert [content[at : at + size] for at, size in zip(index.offsets, index.sizes, strict=True)] == [
        b"second",
        b"first",
        b"plain",
    ]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"1.left.jpg": b"x", "1.right.jpg": b"y", "1.cls": "0"},
            r"has no label for 1.left: up to the first dot or to the last",
        ),
        ({"1.b.jpg": b"x", "1.b.png": b"y", "1.b.cls": "0"}, r"a.tar has two images named 1.b; a sample has one"),
        ({"1.jpg": b"x", "1.cls": "0", "1.CLS": "1"}, r"a.tar has two files named 1.cls; a sample has one"),
        ({"1.jpg": b"x"}, r"a.tar, 1 has no label; add 1.cls with a number or a name"),
        ({"1.jpg": b"x", "1.cls": ""}, r"a.tar, 1 has no label"),
        ({"1.jpg": b"x", "1.json": "{}"}, r"a.tar, 1 has no label"),
        ({"1.jpg": b"x", "1.png": b"y", "1.cls": "0"}, r"a.tar has two images named 1; a sample has one"),
        ({"1.jpg": b"x", "1.json": "{"}, r"a.tar, 1.json cannot be read as json; it must contain the label"),
        ({"1.jpg": b"x", "1.json": "[" * 100_000}, r"a.tar, 1.json cannot be read as json; it must contain the label"),
        ({"1.jpg": b"x", "1.cls": b"\xff\xfe"}, r"a.tar, 1.cls cannot be read as cls; it must contain the label"),
        (
            {"1.jpg": b"x", "1.cls": "0", "2.jpg": b"x", "2.cls": "cat"},
            r"a.tar has the labels 0 and 'cat'; labels are all numbers or all names",
        ),
    ],
)
def test_samples_that_cannot_be_used_are_named(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    path = write_tar(tmp_path / "a.tar", files)
    with pytest.raises(InputError, match=message) as caught:
        index_shard(path)
    assert "\n" not in str(caught.value)


def test_a_truncated_file_or_another_kind_of_file_is_named(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"1.png": png(0, 64), "1.cls": "0"})
    whole = path.read_bytes()
    for damaged in (b"no tar" * 500, b"", whole[:5000]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"cannot read .*a.tar as tar: .*plain .tar files|a.tar is truncated"):
            index_shard(path)


def test_an_index_is_read_as_it_was_written(tmp_path: Path) -> None:
    shards = [
        index_shard(write_tar(tmp_path / f"{n}.tar", {f"{n}.png": png(n), f"{n}.cls": "é"}), checksum=True)
        for n in range(2)
    ]
    write_index(tmp_path / "index.json", shards, ("é", "b"), more=1)
    found, classes, everything = parse_index((tmp_path / "index.json").read_bytes(), "index.json")
    assert (found, classes, everything["more"]) == (shards, ("é", "b"), 1)
    assert found[0].sha256 is not None
    assert len(found[0].sha256) == 64


def test_an_index_is_a_shard_list_for_wids_as_well(tmp_path: Path) -> None:
    shard = index_shard(write_tar(tmp_path / "a.tar", {"1.png": png(1), "1.cls": "0", "2.png": png(2), "2.cls": "1"}))
    write_index(tmp_path / "index.json", [shard], None)
    found = json.loads((tmp_path / "index.json").read_bytes())
    assert (found["__kind__"], found["wids_version"]) == ("wids-shard-index-v1", 1)
    assert found["shardlist"] == [{"url": "a.tar", "nsamples": 2, "filesize": shard.size}]
    assert wids_shards(json.dumps(found).encode()) is None, "it has the offsets too"


@pytest.mark.parametrize("url", ["../a.tar", "/a.tar", "http://host/a.tar", "a.zip", 1])
def test_a_wids_index_does_not_lead_out_of_its_folder(url: object) -> None:
    def content(url: object) -> bytes:
        return json.dumps({"wids_version": 1, "shardlist": [{"url": url, "nsamples": 1}]}).encode()

    assert wids_shards(content("a.tar")) == ["a.tar"]
    assert wids_shards(content(url)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../a.tar"},
        {"name": "a.txt"},
        {"size": "10"},
        {"keys": []},
        {"keys": [1]},
        {"offsets": [-1]},
        {"offsets": [6]},
        {"offsets": [10**30]},
        {"sizes": [2**62]},
        {"size": 10**30, "offsets": [10**29]},
        {"sizes": [None]},
        {"labels": [True]},
        {"sha256": 1},
        {"unknown": 1},
    ],
)
def test_wrong_types_and_offsets_in_an_index_are_refused(change: dict[str, object]) -> None:
    shard = {"name": "a.tar", "size": 10, "keys": ["1"], "offsets": [0], "sizes": [5], "labels": [0], "sha256": None}
    whole = {"format": "modernet shards 1", "classes": ["a"], "shards": [shard]}
    assert parse_index(json.dumps(whole).encode(), "index.json")[0][0].keys == ["1"]
    whole["shards"] = [{**shard, **change}]
    with pytest.raises(InputError, match=r"index.json is not an index of shards; remove it, or recreate it"):
        parse_index(json.dumps(whole).encode(), "index.json")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"<html>", b'{"format": "2", "classes": null, "shards": []}', b"[" * 100_000]
)
def test_other_files_are_refused(content: bytes) -> None:
    with pytest.raises(InputError, match=r"index.json is not an index of shards"):
        parse_index(content, "index.json")
