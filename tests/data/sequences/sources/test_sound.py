from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from modernet.data.sequences.dataset import SequenceDataset
from modernet.data.sequences.opening import open_sequences
from modernet.data.sequences.sources import sound
from modernet.errors import InputError
from modernet.progress import shown


def write(path: Path, n: int = 50, *, rate: int = 8000, channels: int = 1) -> Path:
    """Write n samples of a square wave of half the range."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(np.tile(np.array([16384, -16384], "<i2"), n * channels)[: n * channels].tobytes())
    return path


def write_digits(root: Path, n: int = 30) -> Path:
    for name in ("one", "two"):
        for number in range(n):
            write(root / name / f"{number}.wav", 40 + number)
    return root


def names(dataset: SequenceDataset) -> list[list[str]]:
    splits = dataset.train, dataset.validation, dataset.test
    return [["/".join(Path(name).parts[-2:]) for name in split.names] for split in splits]


def test_a_folder_of_classes_is_split_by_a_hash_of_the_names(tmp_path: Path) -> None:
    dataset = open_sequences(str(write_digits(tmp_path / "digits")))
    assert (dataset.name, dataset.classes) == ("digits", ("one", "two"))
    train, validation, test = names(dataset)
    assert sorted(train + validation + test) == sorted(f"{name}/{i}.wav" for name in ("one", "two") for i in range(30))
    assert validation
    assert test
    write_digits(tmp_path / "digits", 40)
    assert set(test) <= set(names(open_sequences(str(tmp_path / "digits")))[2])


def test_numbers_have_the_variance_1_and_the_longest_training_file_gives_the_steps(tmp_path: Path) -> None:
    for split, n in (("train", 60), ("val", 70), ("test", 70)):
        write_digits(tmp_path / split, 3)
        write(tmp_path / split / "two" / "long.WAV", n)
    dataset = open_sequences(str(tmp_path))
    assert dataset.encoding.inputs.max_length == 60
    assert (dataset.encoding.rate, dataset.encoding.std, dataset.encoding.inputs.channels) == (8000, 0.5, 1)
    (ragged,) = dataset.test.towers
    assert ragged.lengths.tolist() == [40, 41, 42, 40, 41, 42, 60]
    assert ragged[0][:2].tolist() == [[0.5], [-0.5]]
    assert ragged.scale == 2
    assert dataset.test.labels.tolist() == [0, 0, 0, 1, 1, 1, 1]


def test_speech_commands_lists_its_splits_and_has_noise_that_is_no_class(tmp_path: Path) -> None:
    write_digits(tmp_path, 6)
    write(tmp_path / "_background_noise_" / "noise.wav")
    (tmp_path / "validation_list.txt").write_text("one/1.wav\ntwo/1.wav\n")
    (tmp_path / "testing_list.txt").write_text("one/0.wav\ntwo/5.wav\n")
    dataset = open_sequences(str(tmp_path))
    assert names(dataset)[1:] == [["one/1.wav", "two/1.wav"], ["one/0.wav", "two/5.wav"]]
    assert len(dataset.train) == 8


def test_files_that_are_too_long_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sound, "MOST_SAMPLES", 50)
    write_digits(tmp_path / "digits", 20)
    with shown():
        dataset = open_sequences(str(tmp_path / "digits"))
    assert dataset.encoding.inputs.max_length == dataset.train.towers[0].lengths.max() == 50
    assert "training files are cut at 50 samples, 0.01 seconds" in capsys.readouterr().err


def test_a_truncated_file_is_named_or_skipped(tmp_path: Path) -> None:
    broken = write_digits(tmp_path) / "one" / "7.wav"
    broken.write_bytes(broken.read_bytes()[:-20])
    with pytest.raises(InputError) as caught:
        open_sequences(str(tmp_path))
    assert str(caught.value) == (
        f"{broken} is truncated: it has 74 of 94 bytes of samples; repair it, remove it, or skip such files with "
        "skip_unreadable=True (--skip-unreadable)"
    )
    dataset = open_sequences(str(tmp_path), skip_unreadable=True)
    assert dataset.unreadable == (str(broken),)
    assert sum(map(len, names(dataset))) == 59


def test_all_files_have_one_rate(tmp_path: Path) -> None:
    other = write(write_digits(tmp_path) / "two" / "7.wav", rate=44_100)
    with pytest.raises(
        InputError, match=f"^{other} has 44100 samples a second, but most files have 8000 .*; repair it"
    ):
        open_sequences(str(tmp_path))
    assert open_sequences(str(tmp_path), skip_unreadable=True).unreadable == (str(other),)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            ["one/0.wav", *(f"two/{i}.wav" for i in range(5))],
            "the class 'one' in .* has too few files, 1; splitting it",
        ),
        ([f"one/{i}.wav" for i in range(9)], "has one class, 'one'; a network needs at least two"),
        (["0.wav", "1.wav"], "there is no class folder in .*; put WAV files in a folder for each class"),
    ],
)
def test_folders_that_cannot_be_learned_from_are_refused(tmp_path: Path, files: list[str], message: str) -> None:
    for file in files:
        write(tmp_path / file)
    with pytest.raises(InputError, match=message):
        open_sequences(str(tmp_path))


def test_an_empty_class_folder_is_named(tmp_path: Path) -> None:
    (write_digits(tmp_path) / "three").mkdir()
    with pytest.raises(InputError, match=r"^there is no WAV file in the class folder .*three; add some, or remove"):
        open_sequences(str(tmp_path))
