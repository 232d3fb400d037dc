from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modernet.data.sequences import opening
from modernet.data.sequences.opening import open_sequences
from modernet.errors import InputError


def write(folder: Path, n: int = 12, extra: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "val", "test"):
        rows = (f"{i % 2}\t{split} {i}{extra}" for i in range(n))
        (folder / f"{split}.tsv").write_text("\n".join(["label\ttext", *rows]))
    return folder


def test_a_summary_is_json_with_sizes_and_where_the_data_is_from(tmp_path: Path) -> None:
    dataset = open_sequences(str(write(tmp_path / "mine")))
    summary = dataset.summary()
    assert json.loads(json.dumps(summary)) == summary
    assert {key: summary[key] for key in ("name", "classes", "n_train", "n_validation", "n_test", "unreadable")} == {
        "name": "mine",
        "classes": 2,
        "n_train": 12,
        "n_validation": 12,
        "n_test": 12,
        "unreadable": [],
    }
    assert (summary["encoding"], summary["max_length"], summary["median_length"]) == ("bytes", 8, 7)
    assert summary["floors"] == {"the most frequent class": 50.0}
    assert str(tmp_path) not in json.dumps(summary)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("txt", "^no task of sequences is called 'txt'; did you mean text.*; nor is there a file txt$"),
        ("imagetokens-nano", "^no task of sequences is called 'imagetokens'; did you mean image_tokens"),
        ("text-big", "^text-big has the option 'big'; text has -nano$"),
        ("pathx-small", "^pathx-small has the option 'small'; pathx has -nano and -clean$"),
        ("text:nowhere", "^there is no folder nowhere; give text:FOLDER with the folder of a copy$"),
        ("{folder}/mine.tsw", "^there is no file or folder .*mine.tsw; did you mean .*/mine.tsv\\?$"),
        ("{folder}/zzz", "^there is no file or folder .*/zzz; give a table FILE.tsv, a folder with train.tsv"),
        ("{folder}/empty", "^.*/empty has no known layout; known are a table FILE.tsv"),
        ("{folder}/a.csv", "^.*/a.csv has no known layout; known are a table FILE.tsv"),
    ],
)
def test_what_is_not_there_is_said_with_what_is_near(tmp_path: Path, spec: str, message: str) -> None:
    (tmp_path / "mine.tsv").touch()
    (tmp_path / "a.csv").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=message):
        open_sequences(spec.format(folder=tmp_path))


def test_published_files_of_listops_are_read_by_its_name(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        (tmp_path / f"basic_{split}.tsv").write_text("Source\tTarget\n( ( ( [MAX 2 ) 9 ) ] )\t9\n( ( [SM 1 ) ] )\t1\n")
    for name, vocabulary, longest, tokens in (("listops", 17, 2000, 4), ("listops_s4", 18, 2048, 5)):
        dataset = open_sequences(f"{name}:{tmp_path}")
        assert dataset.name == name
        assert dataset.train.labels.tolist() == [9, 1]
        encoded = dataset.encoding.encode("( ( ( [MAX 2 ) 9 ) ] )")
        assert np.array_equal(dataset.train.towers[0][0], encoded)
        assert np.array_equal(dataset.train.towers[0][1], dataset.encoding.encode("( ( [SM 1 ) ] )"))
        assert (len(encoded), encoded.max()) == (tokens, vocabulary - 1 if tokens == 5 else 15)
        assert (dataset.encoding.inputs.vocabulary, dataset.encoding.inputs.max_length) == (vocabulary, longest)


@pytest.mark.parametrize(
    ("spec", "side", "size", "clean"),
    [
        ("pathfinder32", 32, "published", False),
        ("pathx", 128, "published", False),
        ("pathfinder64-nano", 64, "nano", False),
        ("pathfinder256-clean-nano", 256, "nano", True),
        ("pathx_lra-nano", 128, "nano", False),
    ],
)
def test_names_of_pathfinder_say_side_size_and_version(
    monkeypatch: pytest.MonkeyPatch, spec: str, side: int, size: str, clean: bool
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(opening, "pathfinder_dataset", lambda *args, **kwargs: asked.append((args, kwargs)))
    open_sequences(spec, seed=7)
    assert asked == [((side, size), {"seed": 7, "clean": clean, "folder": None, "tokens": "_lra" in spec})]
