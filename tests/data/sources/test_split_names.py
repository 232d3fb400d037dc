from __future__ import annotations

import pytest

from modernet.data.sources.split_names import split_of


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
