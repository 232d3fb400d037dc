"""Generated pictures have the statistics of the published generator, and are read as data sets."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.sequences.reference import pathfinder as reference
from modernet.data.sequences.dataset import SequenceDataset
from modernet.data.sequences.pathfinder import pathfinder_dataset
from modernet.data.sequences.pathfinder.distractors import draw_distractors
from modernet.data.sequences.pathfinder.generation import chunk, generated_pictures
from modernet.data.sequences.pathfinder.pairs import Pairs, draw_pairs
from modernet.data.sequences.pathfinder.pictures import draw_pictures, layers, marked_ends
from modernet.data.sequences.pathfinder.settings import PUBLISHED
from modernet.data.sequences.pathfinder.tables import Tables, tables
from modernet.errors import InputError

EASY = replace(PUBLISHED[32], contour_length=6)


def drawn_pairs(side: int, n: int, *, clean: bool = False) -> tuple[Tables, Pairs]:
    settings = PUBLISHED[side].clean() if clean else PUBLISHED[side]
    table = tables(settings, settings.margins[0])
    return table, draw_pairs(table, n, np.random.default_rng(0))


def first_tails(table: Tables, pairs: Pairs) -> np.ndarray:
    """Return y and x of where first snakes begin, (n, 2)."""
    places = pairs.places[:, 0, 0]
    return np.stack([places // table.width, places % table.width], axis=1) - table.border


@pytest.mark.medium
@pytest.mark.parametrize(("side", "zeros", "grey"), [(32, 66, None), (128, 86, 7.8)])
def test_as_many_pixels_are_black_as_published(side: int, zeros: float, grey: float | None) -> None:
    n = {32: 60, 128: 16}[side]
    images, _ = draw_pictures(PUBLISHED[side], n, np.random.default_rng(0))
    assert 100 * (images == 0).mean() == pytest.approx(zeros, abs=1.5)
    assert (images.reshape(n, -1).max(1) == 255).all()
    if grey is not None:
        assert images.mean() == pytest.approx(grey, abs=0.6)


@pytest.mark.medium
def test_as_many_attempts_fail_as_published() -> None:
    # 440 a picture at 32 pixels with the published arithmetic; the mean of n has a relative deviation of 1 / sqrt(n)
    _, pairs = drawn_pairs(32, 150)
    assert pairs.attempts == pytest.approx(440, rel=0.3)


@pytest.mark.medium
def test_the_law_is_that_of_the_reference() -> None:
    rng = np.random.default_rng(1)
    n = 40
    expected = [reference.draw(EASY, rng) for _ in range(n)]
    table = tables(EASY, 1)
    pairs = draw_pairs(table, 2000, np.random.default_rng(2))
    distractors = sum(len(found.rows) for found in draw_distractors(table, pairs.canvases, np.random.default_rng(3)))
    images, _ = draw_pictures(EASY, 500, np.random.default_rng(4))
    attempts = np.array([drawn.attempts for drawn in expected])
    assert pairs.attempts == pytest.approx(attempts.mean(), abs=4 * attempts.std() / n**0.5)
    counts = np.array([drawn.distractors for drawn in expected])
    assert distractors / 2000 == pytest.approx(counts.mean(), abs=4 * counts.std() / n**0.5)
    for statistic in (lambda image: (image > 0).mean(), np.mean, lambda image: (image > 128).mean()):
        values = np.array([statistic(drawn.image) for drawn in expected])
        ours = np.mean([statistic(image) for image in images])
        assert ours == pytest.approx(values.mean(), abs=4 * values.std() / n**0.5)


@pytest.mark.parametrize("side", [32, 64, 128, 256])
def test_distractors_are_brighter_than_long_snakes_only_at_32(side: int) -> None:
    settings = PUBLISHED[side]
    assert settings.distractor_contrast / settings.target_contrast == pytest.approx(4 / 3 if side == 32 else 1)
    assert settings.clean().distractor_contrast == settings.target_contrast


@pytest.mark.medium
def test_long_and_short_snakes_are_drawn_alike_before_their_contrast() -> None:
    table, pairs = drawn_pairs(32, 100)
    targets, others = layers(table, pairs, draw_distractors(table, pairs.canvases, np.random.default_rng(0)))
    # the brightest pixels are 0.865 in long snakes, and 1.08 in pictures, of which markers are 1
    peaks = targets.reshape(100, -1).max(1) / 255 * PUBLISHED[32].target_contrast
    assert np.median(peaks) == pytest.approx(0.865, abs=0.03)
    peaks = others.reshape(100, -1).max(1) / 255 * PUBLISHED[32].distractor_contrast
    assert np.median(peaks[peaks > 0]) == pytest.approx(1.08, abs=0.1)


@pytest.mark.medium
@pytest.mark.parametrize(("side", "central"), [(32, 4), (64, 16)])
def test_first_snakes_begin_near_the_centre_but_in_clean_pictures(side: int, central: int) -> None:
    table, pairs = drawn_pairs(side, 12)
    tails, least = first_tails(table, pairs), (side - central) // 2 - 1  # the shift by a pixel
    assert tails.min() >= least - 1
    assert tails.max() <= least + central
    table, pairs = drawn_pairs(side, 12, clean=True)
    assert first_tails(table, pairs).std() > side / 8


def test_the_label_decides_only_which_end_is_marked() -> None:
    rng = np.random.default_rng(0)
    pairs = draw_pairs(tables(EASY, 1), 50, rng)
    origins = rng.integers(2, size=50)
    apart, connected = (marked_ends(pairs, np.full(50, label), origins) for label in (0, 1))
    assert np.array_equal(apart[:, 0], connected[:, 0])
    rows = np.arange(50)
    assert np.array_equal(connected[:, 0], pairs.places[rows, origins, 0])
    assert np.array_equal(connected[:, 1], pairs.places[rows, origins, -1])
    assert np.array_equal(apart[:, 1], pairs.places[rows, 1 - origins, -1])


@pytest.mark.medium
def test_labels_are_even_and_say_nothing_about_brightness() -> None:
    images, labels = draw_pictures(EASY, 1000, np.random.default_rng(0))
    assert labels.mean() == pytest.approx(0.5, abs=4 * 0.5 / 1000**0.5)
    means = images.reshape(1000, -1).mean(1)
    apart, connected = means[labels == 0], means[labels == 1]
    deviation = (apart.var() / len(apart) + connected.var() / len(connected)) ** 0.5
    assert abs(apart.mean() - connected.mean()) < 4 * deviation


@pytest.mark.medium
def test_a_picture_depends_on_seed_and_index_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path))
    few, more = (generated_pictures("easy", EASY, 3, n) for n in (20, 300))
    assert np.array_equal(few.images, more.images[:20])
    assert np.array_equal(few.labels, more.labels[:20])
    second = chunk(EASY, 3, 1)
    assert np.array_equal(more.images[250:], second.images[:50])
    assert not np.array_equal(more.images[0], second.images[0])
    assert not np.array_equal(few.images[0], generated_pictures("easy", EASY, 4, 20).images[0])


def test_a_data_set_has_three_splits_of_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path))
    dataset = pathfinder_dataset(32, "nano", clean=True, pictures=50)
    assert dataset.name == "pathfinder32-nano-clean"
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [40, 5, 5]
    tower = dataset.test.towers[0]
    assert tower.values.shape == (5 * 256, 1)
    assert set(tower.lengths) == {256}
    images = generated_pictures(dataset.name, EASY.clean(), 0, 50).images
    squares = images[49].reshape(16, 2, 16, 2).astype(int).sum((1, 3))
    assert np.abs(tower[4].reshape(16, 16) - squares / 4).max() <= 0.5
    assert dataset.provenance["seed"] == 0
    assert dataset.provenance["settings"]["contour_length"] == 6
    assert dataset.provenance["pictures"] == 50
    assert (tower.scale, tower.shift) == (1 / 255, 0)
    answer = round(dataset.train.labels.mean())
    assert dataset.floors == {"the most frequent class": 100 * (dataset.test.labels == answer).mean()}


def test_grey_values_may_be_tokens_with_black_as_padding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path))
    numbers = pathfinder_dataset(32, "nano", pictures=20)
    tokens = pathfinder_dataset(32, "nano", pictures=20, tokens=True)
    assert tokens.name == "pathfinder32_lra-nano"
    assert (tokens.encoding.inputs.vocabulary, tokens.encoding.inputs.zero_is_padding) == (256, True)
    values = tokens.train.towers[0][3]
    assert np.array_equal(values, numbers.train.towers[0][3][:, 0])
    assert np.array_equal(values, tokens.encoding.encode(values.reshape(16, 16)))
    assert len([path for path in (tmp_path / "sequences").iterdir() if path.is_dir()]) == 1  # generated once


def test_other_sizes_are_refused() -> None:
    with pytest.raises(InputError, match="no Pathfinder of 48 pixels; give one of 32, 64, 128, 256"):
        pathfinder_dataset(48)
    with pytest.raises(InputError, match="pictures is 9; give at least 10"):
        pathfinder_dataset(32, pictures=9)
    with pytest.raises(InputError, match="give no folder to generate pathfinder32-clean"):
        pathfinder_dataset(32, clean=True, folder=Path("lra"))


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the layout of the Arena's archive: three lists of ten pictures, of which one is empty."""
    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "lra" / "pathfinder32" / "curv_contour_length_14"
    (root / "metadata").mkdir(parents=True)
    images, labels = draw_pictures(EASY, 30, np.random.default_rng(0))
    np.savez(tmp_path / "expected.npz", images=images, labels=labels)
    for number, part in enumerate((0, 2, 10)):  # 10 comes after 2
        (root / "imgs" / str(part)).mkdir(parents=True)
        lines = []
        for index in range(10):
            name, row = f"sample_{index}.png", 10 * number + index
            Image.fromarray(images[row]).save(root / "imgs" / str(part) / name)
            lines.append(f"imgs/{part} {name} {index} {labels[row]} 1.0 14 4 2 0.5 1 1\n")
        (root / "metadata" / f"{part}.npy").write_text("".join(lines))
    (root / "imgs" / "2" / "sample_3.png").write_bytes(b"")
    return root


def whole(dataset: SequenceDataset) -> tuple[np.ndarray, np.ndarray]:
    splits = (dataset.train, dataset.validation, dataset.test)
    values = np.concatenate([split.towers[0].values for split in splits])
    return values.reshape(-1, 32, 32), np.concatenate([split.labels for split in splits])


def test_published_pictures_are_read_in_the_order_of_their_lists(archive: Path, tmp_path: Path) -> None:
    expected = np.load(tmp_path / "expected.npz")
    kept = np.arange(30) != 13
    for folder in (archive, archive.parent, archive.parent.parent):
        dataset = pathfinder_dataset(32, folder=folder)
        images, labels = whole(dataset)
        assert np.array_equal(images, expected["images"][kept])
        assert np.array_equal(labels, expected["labels"][kept])
        assert len(dataset.train) == 23
        assert dataset.unreadable == ("imgs/2/sample_3.png",)


def test_lists_may_be_arrays_of_numpy(archive: Path, tmp_path: Path) -> None:
    for file in (archive / "metadata").iterdir():
        rows = np.array([line.split() for line in file.read_text().splitlines()])
        with file.open("wb") as opened:
            np.save(opened, rows)
    assert len(whole(pathfinder_dataset(32, folder=archive))[1]) == 29


def test_what_is_wrong_in_a_folder_is_one_line(archive: Path, tmp_path: Path) -> None:
    file, metadata = archive / "imgs" / "10" / "sample_9.png", archive / "metadata" / "10.npy"
    kept = file.read_bytes(), metadata.read_text()
    with pytest.raises(InputError, match="has no imgs/ and metadata/, nor has a curv_contour_length_14 in it"):
        pathfinder_dataset(32, folder=tmp_path)
    file.unlink()
    with pytest.raises(InputError, match=r"sample_9.png is missing, but in line 10 of .*10.npy; unpack"):
        pathfinder_dataset(32, folder=archive)
    file.write_bytes(kept[0][:40])
    with pytest.raises(InputError, match=r"sample_9.png cannot be read as an image; unpack"):
        pathfinder_dataset(32, folder=archive)
    Image.new("L", (16, 16)).save(file)
    with pytest.raises(InputError, match=r"sample_9.png has 16 x 16 pixels; pathfinder32 has 32 x 32"):
        pathfinder_dataset(32, folder=archive)
    metadata.write_text(kept[1] + "imgs/10 sample_10.png 10\n")
    file.write_bytes(kept[0])
    with pytest.raises(InputError, match=r"line 11 of .*10.npy is 'imgs/10 sample_10.png 10'; it needs folder, file"):
        pathfinder_dataset(32, folder=archive)
    shutil.rmtree(archive / "metadata")
    (archive / "metadata").mkdir()
    with pytest.raises(InputError, match="has no lists of pictures"):
        pathfinder_dataset(32, folder=archive)
