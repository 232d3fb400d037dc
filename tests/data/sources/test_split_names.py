from __future__ import annotations

from pathlib import PurePath

import pytest

from modernet.data.sources.split_names import place_of, split_of


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        ("training", "train"),
        ("Train", "train"),
        ("TRAIN-00000-of-00005.parquet", "train"),
        ("train2017", "train"),
        ("train_images", "train"),
        ("partial-train", "train"),
        ("imagenet-train-000000.tar", "train"),
        ("val", "validation"),
        ("valid", "validation"),
        ("validation_matched-0.parquet", "validation"),
        ("dev", "validation"),
        ("imagenet-val-07.tar", "validation"),
        ("imagenet-val-07.parquet", "validation"),
        ("test_images", "test"),
        ("testing", "test"),
        ("test-dev2017", "test"),
        ("trained", None),
        ("contrain", None),
        ("contest.tar", None),
        ("latest-0.parquet", None),
        ("value", None),
        ("device", None),
        ("interval-3", None),
        ("0000.parquet", None),
        ("", None),
    ],
)
def test_the_split_of_a_name(name: str, split: str | None) -> None:
    assert split_of(name) == split


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("train-0.parquet", ("default", "train")),
        ("data/test-0.parquet", ("default", "test")),
        ("default/train/0000.parquet", ("default", "train")),
        ("partial-train/0000.parquet", ("default", "train")),
        ("plain_text/test/0000.parquet", ("plain_text", "test")),
        ("test_a/train-0.parquet", ("test_a", "train")),
        ("train/train-0.parquet", ("default", "train")),
        ("train/0.tar", ("default", "train")),
        ("shards/0.tar", None),
        ("0.tar", None),
    ],
)
def test_the_configuration_and_split_of_a_path(path: str, place: tuple[str, str] | None) -> None:
    assert place_of(PurePath(path)) == place
