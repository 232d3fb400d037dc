from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from modernet.catalogue import imagenet_classes, imagenet_synsets
from modernet.data import ClassTargets, OnDisk
from modernet.data.images.files import ImageFiles
from modernet.errors import InputError
from modernet.evaluation.judging import Judged
from modernet.evaluation.real_labels import RealLabels

NAMES = ("ILSVRC2012_val_00000002.JPEG", "ILSVRC2012_val_00000001.JPEG", "ILSVRC2012_val_00000007.JPEG")
"""ReaL gives the first the labels 970 and 795, the second none, and the last 334."""


def split_of(*names: str) -> OnDisk:
    encoded = pa.array([name.encode() for name in names], pa.large_binary())
    images = ImageFiles(Path("val"), ("",), np.zeros(len(names), dtype=np.int32), encoded)
    return OnDisk(images, torch.arange(len(names)), ClassTargets(torch.zeros(len(names), dtype=torch.int64)))


def judged(*predicted: int) -> Judged:
    classes = torch.tensor(predicted)
    return Judged(torch.zeros_like(classes), classes, classes, classes.float())


def test_any_of_its_labels_is_right_and_an_image_without_one_does_not_count() -> None:
    labels = RealLabels(split_of(*NAMES), imagenet_classes())

    assert labels.accuracy(judged(795, 0, 334)) == (100.0, 2)
    assert labels.accuracy(judged(970, 0, 335)) == (50.0, 2)


def test_labels_are_those_of_the_network_in_its_own_order() -> None:
    backwards = RealLabels(split_of(*NAMES), imagenet_synsets()[::-1])

    assert backwards.accuracy(judged(999 - 795, 0, 999 - 334)).top1 == 100


def test_images_are_known_by_their_names_wherever_they_are() -> None:
    labels = RealLabels(split_of("n03773504/ILSVRC2012_val_00000007_n03773504.JPEG"), imagenet_classes())
    assert labels.accuracy(judged(334)) == (100.0, 1)

    with pytest.raises(InputError, match=r"val/a\.jpg does not say which image .*; leave out --real, or give files of"):
        RealLabels(split_of("a.jpg"), imagenet_classes())
    with pytest.raises(InputError, match=r"has no label for any of these images; leave out --real"):
        RealLabels(split_of(NAMES[1]), imagenet_classes())


def test_a_network_without_all_classes_of_imagenet_is_refused() -> None:
    with pytest.raises(InputError, match="ReaL has images of the class 'n01440764', and the network does not know it"):
        RealLabels(split_of(*NAMES), ("cat", "dog"))
