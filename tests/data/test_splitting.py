from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modernet.data.pictures import DecodedPictures
from modernet.data.source import Labelled, Source, all_of
from modernet.data.splitting import three_splits
from modernet.errors import InputError


def labelled(*counts: int) -> Labelled:
    """So many pictures of each class, classes in turn."""
    labels = np.repeat(np.arange(len(counts)), counts)
    return all_of(DecodedPictures(torch.zeros(len(labels), 1, 1, dtype=torch.uint8), "file"), labels)


def source(train: Labelled, validation: Labelled | None = None, test: Labelled | None = None) -> Source:
    return Source(Path("set"), ("cat", "dog"), train, validation, test)


def test_given_splits_stay_as_they_are() -> None:
    train, validation, test = labelled(5, 5), labelled(2, 2), labelled(3, 3)
    splits = three_splits(source(train, validation, test))
    assert splits[:3] == (train, validation, test)
    assert splits.words == "train, validation and test as given"


def test_without_validation_a_tenth_of_train_is_held_out() -> None:
    test = labelled(3, 3)
    splits = three_splits(source(labelled(100, 50), test=test))
    assert splits.test is test
    assert np.bincount(splits.train.labels).tolist() == [90, 45]
    assert np.bincount(splits.validation.labels).tolist() == [10, 5]
    assert splits.words == "test as given; validation is 10 % of the given train, stratified by class"


def test_without_test_the_given_validation_is_test() -> None:
    validation = labelled(3, 3)
    splits = three_splits(source(labelled(100, 50), validation))
    assert splits.test is validation
    assert len(splits.validation) == 15
    assert splits.words.startswith("test is the given validation; validation is 10 %")


@given(counts=st.tuples(st.integers(3, 60), st.integers(3, 60)))
@settings(deadline=None)
def test_one_set_is_split_in_three_without_overlap_or_loss(counts: tuple[int, int]) -> None:
    splits = three_splits(source(labelled(*counts)))
    parts = splits[:3]
    indices = np.concatenate([part.indices for part in parts])
    assert sorted(indices) == list(range(sum(counts)))
    for part in parts:
        assert set(part.labels) == {0, 1}, "a class is missing"
        np.testing.assert_array_equal(part.labels, part.indices >= counts[0])
    for held_out in parts[1:]:
        for label, count in enumerate(counts):
            assert abs((held_out.labels == label).sum() - 0.1 * count) <= 1


def test_splits_are_the_same_every_time() -> None:
    one, other = (three_splits(source(labelled(30, 30))) for _ in range(2))
    for part, same in zip(one[:3], other[:3], strict=True):
        np.testing.assert_array_equal(part.indices, same.indices)


def test_held_out_pictures_are_not_just_the_first_or_last() -> None:
    held_out = three_splits(source(labelled(100, 100))).test.indices[:10]
    assert held_out.max() - held_out.min() > 20


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            (labelled(2, 9), None, None),
            "'cat' in set has too few pictures, 2; splitting it into train, validation and test",
        ),
        (
            (labelled(9, 1), None, labelled(1, 1)),
            "'dog' in set has too few pictures, 1; .* train and validation needs at least 2",
        ),
    ],
)
def test_a_class_with_too_few_pictures_is_named(given: tuple[Labelled, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        three_splits(source(*given))


def test_an_empty_split_is_refused() -> None:
    with pytest.raises(InputError, match=r"the test split of set is empty; put pictures in it, or remove it"):
        source(labelled(5, 5), test=labelled(0, 0))


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ((), "set has no class; a classifier needs at least two"),
        (("cat", "cat"), "set has two classes called 'cat'; give each its own name"),
        (("cat", "dog", "emu"), "set has no training picture of the class 'emu'; add some, or remove the class"),
    ],
)
def test_a_source_with_useless_classes_is_refused(classes: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Source(Path("set"), classes, labelled(3, 3))
