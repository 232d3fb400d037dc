from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from modernet.data import SceneGenerator, make_scenes, open_dataset
from modernet.data.digit_scenes import SPLITS, _digits, source_digits
from modernet.errors import InputError

CROWD = SceneGenerator("train", image_size=64, num_digits=(2, 5), digit_side=(0.25, 0.5))


def test_no_source_digit_is_in_two_splits_and_each_is_in_one() -> None:
    assert sorted(digit for split in SPLITS for digit in source_digits(split)) == list(range(1797))


def test_every_split_has_every_digit_in_the_same_share() -> None:
    labels = load_digits().target
    for split, share in zip(SPLITS, (4 / 6, 1 / 6, 1 / 6), strict=True):
        counts = np.bincount(labels[list(source_digits(split))], minlength=10)
        np.testing.assert_allclose(counts / np.bincount(labels), share, atol=0.01)


def test_a_scene_is_a_function_of_split_seed_and_number_alone() -> None:
    later = SceneGenerator("test").scene(7)  # without the seven before it
    images, labels = make_scenes("test", 8)
    assert torch.equal(later.image, images[7])
    assert later.label == labels[7]


def test_another_split_seed_or_number_is_another_scene() -> None:
    one = SceneGenerator("train").scene(0).image
    for other in (SceneGenerator("test"), SceneGenerator("train", seed=1)):
        assert not torch.equal(one, other.scene(0).image)
    assert not torch.equal(one, SceneGenerator("train").scene(1).image)


def test_the_default_scene_has_one_digit_of_most_of_its_side() -> None:
    for index in range(50):
        scene = SceneGenerator("train").scene(index)
        assert scene.image.shape == (3, 32, 32)
        assert scene.image.dtype == torch.uint8
        assert scene.labels.tolist() == [scene.label]
        x0, y0, x1, y1 = scene.boxes_xyxy[0].tolist()
        assert 0 <= x0 < x1 <= 32
        assert 12 <= y1 - y0 <= 31  # a source digit fills nearly all of its 8 rows


def test_a_digit_is_brighter_than_its_ground() -> None:
    scenes = [SceneGenerator("train").scene(index) for index in range(50)]
    contrast = [
        scene.image[:, scene.masks[0]].float().mean() - scene.image[:, ~scene.masks[0]].float().mean()
        for scene in scenes
    ]
    assert min(contrast) > 10
    assert 40 < np.mean(contrast) < 110


def test_places_and_labels_vary() -> None:
    scenes = [SceneGenerator("train").scene(index) for index in range(100)]
    assert {scene.label for scene in scenes} == set(range(10))
    assert len({tuple(scene.boxes_xyxy[0].tolist()) for scene in scenes}) > 80


def test_boxes_masks_and_semantic_map_of_a_crowd_agree() -> None:
    for index in range(30):
        scene = CROWD.scene(index)
        n = len(scene.labels)
        assert scene.masks.shape == (n, 64, 64)
        assert scene.boxes_xyxy.shape == (n, 4)
        assert int(scene.masks.sum(0).max()) == 1, "masks overlap"
        semantic = torch.zeros(64, 64, dtype=torch.uint8)
        for mask, label, box in zip(scene.masks, scene.labels, scene.boxes_xyxy, strict=True):
            semantic[mask] = 1 + int(label)
            rows, columns = mask.nonzero().T
            tight = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert box.tolist() == [float(edge) for edge in tight]
        assert torch.equal(scene.semantic, semantic)


def test_a_crowd_has_several_digits_and_overlaps_leave_half_of_each_visible() -> None:
    scenes = [CROWD.scene(index) for index in range(60)]
    counts = {len(scene.labels) for scene in scenes}
    assert counts <= {1, 2, 3, 4, 5}
    assert {2, 3, 4, 5} <= counts
    tangled = SceneGenerator("train", image_size=32, num_digits=(6, 6), digit_side=(0.6, 0.95))
    for index in range(20):
        scene = tangled.scene(index)
        assert int(scene.masks.flatten(1).sum(1).min()) > 20  # digits of 20 pixels have 100 of ink


def test_classification_scenes_come_in_channels_last_and_at_any_size() -> None:
    images, labels = make_scenes("validation", 3, image_size=48)
    assert images.shape == (3, 3, 48, 48)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert (labels.dtype, labels.shape) == (torch.int64, (3,))


@pytest.mark.medium
def test_it_opens_with_its_usual_sizes() -> None:
    dataset = open_dataset("digit_scenes")
    assert dataset.summary() == {
        "name": "digit_scenes",
        "classes": 10,
        "image_size": 32,
        "n_train": 1536,
        "n_validation": 300,
        "n_test": 1000,
        "splits": "generated; no source digit is in two splits",
        "unreadable": [],
    }
    assert dataset.classes == tuple("0123456789")
    assert torch.bincount(dataset.train.labels).min() > 100


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_size": 12}, "image_size is 12; digit_scenes needs at least 16"),
        ({"num_digits": (0, 3)}, r"num_digits is \(0, 3\); give the fewest and the most, at least 1"),
        ({"digit_side": (0.1, 0.5)}, r"digit_side is \(0.1, 0.5\); give .* from 0.25 \(8 pixels\) to 1"),
    ],
)
def test_impossible_scenes_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SceneGenerator("train", **fields)


def test_the_sources_are_the_digits_of_scikit_learn() -> None:
    images, labels = _digits()
    theirs = load_digits()
    assert np.array_equal(images * 16, theirs.images)
    assert np.array_equal(labels, theirs.target)


def test_scenes_are_the_same_bytes_in_every_release() -> None:
    """Accuracies on digit_scenes are compared across releases."""
    digest = hashlib.sha256()
    for split in SPLITS:
        images, labels = make_scenes(split, 100)
        digest.update(images.contiguous().numpy().tobytes() + labels.numpy().tobytes())
    assert digest.hexdigest() == "1885b2834961ca8fdbba1f9137d92e1daa9bd58b4e7fb9cbc97db94bd4dbd1f3"
    for index in range(50):
        scene = CROWD.scene(index)
        for values in (scene.image, scene.boxes_xyxy, scene.labels, scene.masks, scene.semantic):
            digest.update(values.contiguous().numpy().tobytes())
    assert digest.hexdigest() == "c5a2730cc228d0e37e4616b4617a26692c157c352da9bd0ad57a341f7fd6aa50"
