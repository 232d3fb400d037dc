from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modernet.data.images.collection import DecodedImages
from modernet.data.sources.examples import Examples, Source, all_of, labelled
from modernet.data.splits import three_splits
from modernet.data.targets import NoTargets
from modernet.errors import InputError


def classes(*counts: int) -> Examples:
    """So many images of each class, classes in turn."""
    labels = np.repeat(np.arange(len(counts)), counts)
    return labelled(DecodedImages(torch.zeros(len(labels), 1, 1, dtype=torch.uint8), "file"), labels)


def source(train: Examples, validation: Examples | None = None, test: Examples | None = None) -> Source:
    return Source(Path("set"), ("cat", "dog"), train, validation, test)


def test_given_splits_stay_as_they_are() -> None:
    train, validation, test = classes(5, 5), classes(2, 2), classes(3, 3)
    splits = three_splits(source(train, validation, test))
    assert splits[:3] == (train, validation, test)
    assert splits.words == "train, validation and test as given"


def test_without_validation_a_tenth_of_train_is_held_out() -> None:
    test = classes(3, 3)
    splits = three_splits(source(classes(1000, 500), test=test))
    assert splits.test is test
    assert (np.bincount(splits.train.labels) + np.bincount(splits.validation.labels)).tolist() == [1000, 500]
    assert np.bincount(splits.validation.labels) == pytest.approx([100, 50], abs=25)
    assert splits.words == "test as given; validation is about 10 % of each class of the given train"


def test_without_test_the_given_validation_is_test() -> None:
    validation = classes(3, 3)
    splits = three_splits(source(classes(1000, 500), validation))
    assert splits.test is validation
    assert len(splits.validation) == pytest.approx(150, abs=35)
    assert splits.words == "test is the given validation; validation is about 10 % of each class of the given train"


@given(counts=st.tuples(st.integers(3, 60), st.integers(3, 60)))
@settings(deadline=None)
def test_one_set_is_split_in_three_without_overlap_or_loss(counts: tuple[int, int]) -> None:
    splits = three_splits(source(classes(*counts)))
    parts = splits[:3]
    indices = np.concatenate([part.indices for part in parts])
    assert sorted(indices) == list(range(sum(counts)))
    for part in parts:
        assert set(part.labels) == {0, 1}, "a class is missing"
        np.testing.assert_array_equal(part.labels, part.indices >= counts[0])


def test_a_tenth_of_each_class_is_held_out_for_validation_and_for_test() -> None:
    splits = three_splits(source(classes(5000, 2000)))
    for held_out in (splits.validation, splits.test):
        assert np.bincount(held_out.labels) == pytest.approx([500, 200], abs=60)


def test_splits_are_the_same_in_every_version_on_every_machine() -> None:
    splits = three_splits(source(classes(15, 15)))
    assert splits.validation.indices.tolist() == [9, 29]
    assert splits.test.indices.tolist() == [8, 17]


@given(counts=st.tuples(st.integers(3, 60), st.integers(3, 60)))
@settings(deadline=None)
def test_an_image_leaves_its_natural_split_only_to_fill_an_empty_one(counts: tuple[int, int]) -> None:
    """The natural split of an image is the one that it has in a class too large for gaps."""
    many = three_splits(source(labelled(classes(200).images, np.arange(200) % 2)))
    natural = np.select(
        [np.isin(np.arange(200), many.validation.indices), np.isin(np.arange(200), many.test.indices)], [1, 2]
    )
    splits = three_splits(source(classes(*counts)))
    for label, first in enumerate((0, counts[0])):
        members = np.arange(first, first + counts[label])
        found = np.select([np.isin(members, splits.validation.indices), np.isin(members, splits.test.indices)], [1, 2])
        if set(natural[members]) == {0, 1, 2}:
            np.testing.assert_array_equal(found, natural[members])
        else:
            assert (found != natural[members]).sum() <= 3


def test_held_out_images_are_not_just_the_first_or_last() -> None:
    held_out = three_splits(source(classes(100, 100))).test.indices[:10]
    assert held_out.max() - held_out.min() > 20


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            (classes(2, 9), None, None),
            "'cat' in set has too few images, 2; splitting it into train, validation and test",
        ),
        (
            (classes(9, 1), None, classes(1, 1)),
            "'dog' in set has too few images, 1; .* train and validation needs at least 2",
        ),
    ],
)
def test_a_class_with_too_few_images_is_named(given: tuple[Examples, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        three_splits(source(*given))


def test_an_empty_split_is_refused() -> None:
    with pytest.raises(InputError, match=r"the test split of set is empty; put images in it, or remove it"):
        source(classes(5, 5), test=classes(0, 0)).check()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "set has no class; a classifier needs at least two"),
        (("cat", "cat"), "set has two classes called 'cat'; give each its own name"),
        (("cat", "dog", "emu"), "set has no training image of the class 'emu'; add some, or remove the class"),
    ],
)
def test_a_source_with_useless_classes_is_refused(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Source(Path("set"), names, classes(3, 3)).check()


def test_images_without_classes_are_split_as_one_class() -> None:
    images = classes(1000).images
    splits = three_splits(Source(Path("set"), (), all_of(images, NoTargets(1000))))
    assert [len(part) for part in splits[:3]] == pytest.approx([800, 100, 100], abs=30)
    assert splits.words == "about 80 / 10 / 10 % of the one given set"
    with pytest.raises(InputError, match=r"^the training split in set has too few images, 2; splitting it into train"):
        three_splits(Source(Path("set"), (), all_of(classes(2).images, NoTargets(2))))
