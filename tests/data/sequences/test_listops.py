"""ListOps is the Long Range Arena's."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from data.sequences.reference import listops as reference
from modernet.data.ragged import Ragged
from modernet.data.sequences.dataset import SequenceSplit
from modernet.data.sequences.listops import generation, listops_dataset
from modernet.data.sequences.listops.floors import listops_floors
from modernet.data.sequences.listops.generation import chunk, generated_expressions
from modernet.data.sequences.listops.grammar import SYMBOLS, draw_expression
from modernet.data.sequences.listops.published import read_expressions
from modernet.errors import InputError


def words(tokens: bytes) -> str:
    return " ".join(SYMBOLS[token - 1] for token in tokens)


def tokens_of(text: str) -> np.ndarray:
    return np.array([SYMBOLS.index(word) + 1 for word in text.split()], np.uint8)


def split_of(*texts_and_labels: tuple[str, int]) -> SequenceSplit:
    texts, labels = zip(*texts_and_labels, strict=True)
    return SequenceSplit((Ragged.of(map(tokens_of, texts)),), np.array(labels))


def test_expressions_and_values_are_those_of_the_published_recursion() -> None:
    lists = 0
    for seed in range(400):
        tree = reference.tree(random.Random(seed))
        expression = draw_expression(random.Random(seed), 2000)
        text = reference.text(tree)
        if len(text.split()) >= 2000:
            assert expression is None
        else:
            assert expression is not None
            assert words(expression.tokens) == text
            assert expression.value == reference.value(tree)
        lists += text.startswith("[")
    assert 70 < lists < 130  # a quarter


def test_an_expression_has_less_than_the_limit() -> None:
    drawn = ((seed, draw_expression(random.Random(seed), 100)) for seed in range(1000))
    seed, whole = next((seed, found) for seed, found in drawn if found is not None and len(found.tokens) > 20)
    n = len(whole.tokens)
    for limit in (1, 2, n // 2, n - 1, n):
        assert draw_expression(random.Random(seed), limit) is None
    assert draw_expression(random.Random(seed), n + 1) == whole


@pytest.mark.medium
def test_lengths_labels_and_the_share_kept_are_those_of_the_published_files() -> None:
    drawn = chunk(501, 1999, 0, 0)
    lengths, labels = drawn["lengths"], drawn["labels"]
    assert len(lengths) == 500
    assert lengths.min() > 500
    assert lengths.max() < 2000
    # 96,800 draws of the published code: 8.3 % kept, length 1048 (sd 397), labels 0 and 9 17.2 and 16.9 %
    assert 500 / int(drawn["draws"]) == pytest.approx(0.083, abs=4 * 0.0036)
    assert lengths.mean() == pytest.approx(1048, abs=4 * 397 / 500**0.5)
    shares = np.bincount(labels, minlength=10) / 500
    assert shares[0] == pytest.approx(0.172, abs=4 * 0.017)
    assert shares[9] == pytest.approx(0.169, abs=4 * 0.017)
    assert shares[1:9] == pytest.approx(0.082, abs=5 * 0.0123)


def test_a_seed_gives_distinct_expressions_of_the_lengths_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path))
    monkeypatch.setattr(generation, "_PER_CHUNK", 40)
    first, other = (generated_expressions("short", 21, 99, seed, 60) for seed in (0, 1))
    assert len(first.labels) == len(first.expressions) == 60
    assert first.expressions.lengths.min() >= 21
    assert first.expressions.lengths.max() <= 99
    assert len({bytes(first.expressions[index]) for index in range(60)}) == 60
    assert bytes(first.expressions[0]) != bytes(other.expressions[0])


def test_equal_expressions_are_dropped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path))
    monkeypatch.setattr(generation, "_PER_CHUNK", 60)
    found = generated_expressions("tiny", 3, 6, 0, 80)  # lists of two to four digits: of 120, some are equal
    drawn = np.concatenate([chunk(3, 6, 0, index)["lengths"] for index in range(2)])
    distinct = {bytes(found.expressions[index]) for index in range(80)}
    assert len(distinct) == 80
    assert len(drawn) > 80


def test_floors_are_those_of_what_is_known() -> None:
    train = split_of(
        ("[MAX 2 9 ]", 9), ("[MAX 9 [MIN 1 1 ] ]", 9), ("[MIN 0 4 ]", 0), ("[MIN 3 4 ]", 3), ("[MIN 0 5 ]", 0)
    )
    test = split_of(("[MAX 9 9 ]", 9), ("[MAX 2 1 ]", 2), ("[MIN 4 0 ]", 0), ("[MIN 3 7 ]", 3))
    assert listops_floors(train, test) == {
        "the most frequent class": 25.0,  # 0, as often as 9
        "the root operator": 50.0,  # MAX 9, MIN 0
        "the root operator and its own digits": 75.0,  # what a maximum of 2 gives was never seen
    }


@pytest.mark.parametrize(("operator", "expected"), [("[MIN", 1), ("[MAX", 8), ("[MED", 4), ("[SM", 3)])
def test_the_digits_of_a_root_are_reduced_by_its_operator(operator: str, expected: int) -> None:
    known = split_of((f"{operator} 1 8 {'[MAX 9 9 ]'} 8 2 4 ]", expected), (f"{operator} 9 9 ]", 0))
    same = split_of((f"{operator} {expected} [SM 1 1 ] ]", expected))
    assert listops_floors(known, same)["the root operator and its own digits"] == 100


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A folder in the published layout, a few expressions in each file."""
    folder = tmp_path / "listops-1000"
    folder.mkdir()
    rng = random.Random(0)
    trees = [tree for _ in range(200) if not isinstance(tree := reference.tree(rng), int)]
    trees = [tree for tree in trees if len(reference.text(tree).split()) < 300]
    for name, part in (("train", trees[:12]), ("val", trees[12:14]), ("test", trees[14:18])):
        rows = [f"{reference.published_text(tree)}\t{reference.value(tree)}" for tree in part]
        (folder / f"basic_{name}.tsv").write_bytes("\r\n".join(["Source\tTarget", *rows, ""]).encode())
    (folder / "expected").write_text("\n".join(reference.text(tree) for tree in trees))
    return folder


def test_published_files_are_read_as_they_are(published: Path) -> None:
    dataset = listops_dataset(folder=published)
    expected = (published / "expected").read_text().splitlines()
    splits = (dataset.train, dataset.validation, dataset.test)
    assert [len(split) for split in splits] == [12, 2, 4]
    read = [words(bytes(split.towers[0][index])) for split in splits for index in range(len(split))]
    assert read == expected[:18]
    assert dataset.train.names[0] == f"line 2 of {published / 'basic_train.tsv'}"
    assert dataset.encoding.inputs.vocabulary == 17
    assert set(dataset.provenance["sha256"]) == {"basic_train.tsv", "basic_val.tsv", "basic_test.tsv"}


def test_x_ends_a_list_as_well(tmp_path: Path) -> None:
    file = tmp_path / "basic_test.tsv"
    file.write_text("[MAX 2 [SM 1 1 X X\t2\n")
    assert words(bytes(read_expressions(file, 2000).towers[0][0])) == "[MAX 2 [SM 1 1 ] ]"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[MAX 2 9 ]", "as the value of its expression; it must be a digit"),
        ("[MAX 2 9 ]\t10", "has '10' as the value"),
        ("[MAX 2 9\t9", r"has '\[MAX 2 9'; it needs an expression such as"),
        ("[MAX 2 9 ] ]\t9", "needs an expression"),
        ("[MAX 2 9 ] [MIN 1 2 ]\t9", "needs an expression"),
        ("[MAX ]\t9", "needs an expression"),
        ("[MAX 2 12 ]\t9", "needs an expression"),
        ("[MEAN 2 1 ]\t9", "needs an expression"),
        ("[MAX 2 a ]\t2", "needs an expression"),
        ("7\t7", "needs an expression"),
        ("\t9", "needs an expression"),
        ("[MAX " + "1 " * 2000 + "]\t1", "has an expression of 2002 tokens; at most 2000 are possible"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "basic_train.tsv"
    file.write_text(f"Source\tTarget\n[MIN 1 2 ]\t1\n{line}\n[MIN 1 2 ]\t1\n")
    with pytest.raises(InputError, match=message) as error:
        read_expressions(file, 2000)
    assert str(error.value).startswith(f"line 3 of {file} has ")


def test_what_is_not_there_is_one_line(published: Path) -> None:
    (published / "basic_val.tsv").unlink()
    with pytest.raises(InputError, match=r"cannot read .*basic_val.tsv: No such file.*; give the folder"):
        listops_dataset(folder=published)
    (published / "basic_val.tsv").write_text("Source\tTarget\n")
    with pytest.raises(InputError, match=r"basic_val.tsv has no expressions"):
        listops_dataset(folder=published)
    with pytest.raises(InputError, match="give no folder to generate listops-nano"):
        listops_dataset("nano", folder=published)
