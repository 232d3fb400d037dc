from __future__ import annotations

import gzip
import hashlib
import io
import json
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from http_server import serving
from modernet.data.sequences.dataset import SequenceDataset, SequenceSplit
from modernet.data.sequences.opening import open_sequences
from modernet.data.sequences.sources import imdb
from modernet.errors import InputError

REVIEWS = {
    "train": [("dull", 0), ("very dull", 0), ("grand <br /> café", 1), ("good", 1)],
    "test": [("bad", 0), ("great", 1)],
}
NAMES = ("neg", "pos")


def write_lines(folder: Path, suffix: str = ".jsonl.xz") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    opener = {".jsonl": open, ".jsonl.gz": gzip.open, ".jsonl.xz": lzma.open}[suffix]
    for split, reviews in REVIEWS.items():
        with opener(folder / f"{split}{suffix}", "wt") as lines:
            lines.writelines(json.dumps({"text": text, "label": label}) + "\n" for text, label in reviews)
    return folder


def write_text_files(folder: Path) -> Path:
    for split, reviews in REVIEWS.items():
        for number, (text, label) in enumerate(reviews):
            file = folder / "aclImdb" / split / NAMES[label] / f"{number}_7.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    return folder


def write_parquet(folder: Path) -> Path:
    (folder / "plain_text").mkdir(parents=True)
    for split, reviews in {**REVIEWS, "unsupervised": [("unknown", -1)]}.items():
        columns = {"text": [text for text, _ in reviews], "label": [label for _, label in reviews]}
        pq.write_table(pa.table(columns), folder / "plain_text" / f"{split}-00000-of-00001.parquet")
    return folder


def content(split: SequenceSplit) -> list[tuple[str, int]]:
    (ragged,) = split.towers
    found = [bytes((ragged[i] - 1).astype(np.uint8)).decode() for i in range(len(ragged))]
    return list(zip(found, split.labels.tolist(), strict=True))


def check(dataset: SequenceDataset) -> None:
    assert content(dataset.train) == REVIEWS["train"]
    assert content(dataset.test) == REVIEWS["test"]
    assert dataset.classes == NAMES
    assert dataset.same_held_out
    assert dataset.validation is dataset.test
    assert dataset.floors == {"the most frequent class": 50.0}


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.xz"])
def test_a_file_of_json_lines_for_each_split_is_read(tmp_path: Path, suffix: str) -> None:
    dataset = open_sequences(f"text:{write_lines(tmp_path, suffix)}")
    check(dataset)
    assert dataset.test.names == tuple(f"{tmp_path}/test{suffix}, line {number}" for number in (1, 2))


@pytest.mark.parametrize("write", [write_text_files, write_parquet])
def test_other_layouts_give_the_same(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    check(open_sequences(f"text:{write(tmp_path / 'copy')}"))


def test_the_encoding_is_that_of_the_name(tmp_path: Path) -> None:
    write_lines(tmp_path)
    encodings = {name: open_sequences(f"{name}:{tmp_path}").encoding for name in ("text", "text_lra", "text_s4")}
    assert [encoding.inputs.max_length for encoding in encodings.values()] == [4000, 1000, 4096]
    assert encodings["text_s4"].kind == "characters"
    assert open_sequences(f"text-nano:{tmp_path}").encoding.inputs.max_length == 256


def archive(text: bytes = b"grand") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for split in ("train", "test"):
            for label in ("pos", "neg", "unsup"):
                member = tarfile.TarInfo(f"aclImdb/{split}/{label}/0_1.txt")
                member.size = len(text)
                tar.addfile(member, io.BytesIO(text))
    return file.getvalue()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "imdb"


def test_without_a_folder_it_is_fetched_once(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = tmp_path / "served"
    served.mkdir()
    (served / "aclImdb_v1.tar.gz").write_bytes(archive(b"caf\xe9"))
    monkeypatch.setattr(imdb, "SHA256", hashlib.sha256((served / "aclImdb_v1.tar.gz").read_bytes()).hexdigest())
    with serving(served) as server:
        monkeypatch.setattr(imdb, "ADDRESS", f"{server.url}/aclImdb_v1.tar.gz")
        dataset = open_sequences("text")
        assert len(server.requests) == 1
    (ragged,) = dataset.train.towers
    assert [bytes((ragged[i] - 1).astype(np.uint8)) for i in range(2)] == [b"caf\xe9"] * 2
    assert dataset.train.labels.tolist() == [0, 1]
    assert sorted(file.name for file in cache.iterdir() if file.suffix != ".lock") == ["test.jsonl", "train.jsonl"]
    assert len(open_sequences("text", download=False).train) == 2


def test_what_cannot_be_fetched_says_where_to_put_it(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path) as server:
        monkeypatch.setattr(imdb, "ADDRESS", f"{server.url}/aclImdb_v1.tar.gz")
        with pytest.raises(
            InputError, match=r"^IMDB is not in the cache and cannot be fetched \(.*404.*\); put aclImdb_v1"
        ):
            open_sequences("text")
    with pytest.raises(InputError, match=r"cannot be fetched \(downloading is switched off\); put .* into .*/imdb, or"):
        open_sequences("text", download=False)


def test_a_damaged_archive_is_named(cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "aclImdb_v1.tar.gz").write_bytes(archive()[:-60])
    with pytest.raises(InputError, match=r"^cannot unpack .*aclImdb_v1.tar.gz: .*; remove it, and start again$"):
        open_sequences("text", download=False)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "is no JSON object, such as"),
        ("[1]", "is no JSON object, such as"),
        ('{"label": 1}', "has no text"),
        ('{"text": " ", "label": 1}', "has no text"),
        (r'{"text": "\ud800", "label": 1}', "has no text"),
        ('{"text": "a", "label": 2}', r"has the label 2, not 0 \(neg\) or 1 \(pos\)"),
        ('{"text": "a", "label": true}', "has the label True, not 0"),
    ],
)
def test_a_broken_line_is_named_or_skipped(tmp_path: Path, line: str, message: str) -> None:
    write_lines(tmp_path, ".jsonl")
    with (tmp_path / "train.jsonl").open("a") as lines:
        lines.write(line + "\n")
    with pytest.raises(InputError, match=f"train.jsonl, line 5 {message}.*; repair it, remove it, or skip such rows"):
        open_sequences(f"text:{tmp_path}")
    dataset = open_sequences(f"text:{tmp_path}", skip_unreadable=True)
    check(dataset)
    assert dataset.unreadable == (f"{tmp_path}/train.jsonl, line 5",)


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    file = write_lines(tmp_path) / "test.jsonl.xz"
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(InputError, match=rf"^cannot read {file}: .*; fetch it again$"):
        open_sequences(f"text:{tmp_path}")


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no known layout of IMDB; give a folder with train.jsonl.xz"):
        open_sequences(f"text:{tmp_path}")


@pytest.mark.medium
@pytest.mark.data("imdb")
def test_imdb_has_the_published_sizes_and_vocabulary(data_folder: Path) -> None:
    dataset = open_sequences(f"text_s4:{data_folder}")
    assert [len(dataset.train), len(dataset.test)] == [25_000, 25_000]
    assert dataset.encoding.inputs.vocabulary == 134  # a comment of S4's code says 135
    assert dataset.floors == {"the most frequent class": 50.0}
    assert dataset.train.towers[0].lengths.max() == 4096
