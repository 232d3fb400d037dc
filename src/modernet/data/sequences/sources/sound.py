"""Folders of WAV files, a folder for each class."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from modernet.data.example_splits import three_parts
from modernet.data.images.finding import files_below, is_hidden
from modernet.data.ragged import Ragged
from modernet.data.sequences.dataset import SequenceDataset, SequenceSplit, most_frequent_floor
from modernet.data.sequences.encoding import Encoding
from modernet.data.sequences.named_encodings import NamedEncoding
from modernet.data.sequences.sources.wav import UnreadableWav, Wav, read_wav
from modernet.data.skipping import Skipped
from modernet.data.sources.assemble import as_indices, classes_of
from modernet.data.sources.image_folder import split_folders
from modernet.errors import InputError
from modernet.files.names import valid_text
from modernet.progress import say, track

MOST_SAMPLES = 16_384
"""Longest sequence; more than a second of speech at 16 kHz."""

_NO_CLASS = "_background_noise_"  # in Speech Commands: minutes of noise to mix with
_LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}  # likewise: files of these splits


class Recording(NamedTuple):
    path: Path
    label: str
    identity: str
    """What decides its split: its class and its path below it."""

    @property
    def name(self) -> str:
        return valid_text(str(self.path))


def has_recordings(path: Path) -> bool:
    """Return whether there is a WAV file in a folder or below it."""
    return any(map(_is_wav, files_below(path)))


def read_sound(name: str, path: Path, skipped: Skipped) -> SequenceDataset:
    """Read `class/*.wav`, or the same below `train/`, `val/` and `test/`; files may lie deeper inside a class.

    Splits that are missing are held out by a hash of each file's name (`three_splits`), or are those of Speech
    Commands' `validation_list.txt` and `testing_list.txt`. Channels are averaged. All files have one rate: numbers that
    a network learned at one rate mean something else at another. Steps are as many as the longest training file has, at
    most 16,384; numbers have the mean 0 that silence has, and on average the variance 1.

    Args:
        skipped: what is done with files that cannot be read, or have another rate than most.

    Raises:
        InputError: there is no class folder, a file cannot be read, or a class is in too few files.
    """
    given = _listed(path)
    train, validation, test, phrase = three_parts(given, path, "files")
    classes = classes_of([recording.label for recording in train])
    if len(classes) < 2:
        raise InputError(f"{path} has one class, {classes[0]!r}; a network needs at least two to tell apart")
    read = {
        split: _read(recordings, split, skipped)
        for split, recordings in (("train", train), ("validation", validation), ("test", test))
    }
    rate = Counter(wav.rate for found in read.values() for _, wav in found).most_common(1)[0][0]
    for split, found in read.items():
        read[split] = [(recording, wav) for recording, wav in found if _has_rate(recording, wav, rate, skipped)]
        if not read[split]:
            raise InputError(f"there is no {split} file to read in {path}; add some")
    named = _encoding(name, [wav for _, wav in read["train"]], rate)
    first, second, third = (_split(found, classes, named.fit()) for found in read.values())
    skipped.report(name)
    provenance = {"files": sum(map(len, read.values())), "rate": rate, "splits": phrase}
    return SequenceDataset(
        name,
        first,
        second,
        third,
        classes,
        named.fit(),
        provenance,
        most_frequent_floor(first, third),
        unreadable=skipped.names,
    )


def _listed(path: Path) -> dict[str, list[Recording]]:
    """Return the recordings of each split that there is."""
    folders = split_folders(path)
    given = {split: _recordings(folder) for split, folder in folders.items()}
    if set(folders) != {"train"} or folders["train"] != path:
        return given
    for split, file in _LISTS.items():
        if (path / file).is_file():
            listed = set((path / file).read_text(errors="surrogateescape").split())
            given[split] = [recording for recording in given["train"] if recording.identity in listed]
            given["train"] = [recording for recording in given["train"] if recording.identity not in listed]
    return {split: recordings for split, recordings in given.items() if recordings}


def _recordings(folder: Path) -> list[Recording]:
    classes = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not is_hidden(entry.name))
    found = []
    for class_folder in classes:
        if class_folder.name == _NO_CLASS:
            continue
        files = [file for file in files_below(class_folder) if _is_wav(file)]
        if not files:
            raise InputError(f"there is no WAV file in the class folder {class_folder}; add some, or remove the folder")
        label = valid_text(class_folder.name)
        found += [Recording(file, label, file.relative_to(folder).as_posix()) for file in files]
    if not found:
        raise InputError(f"there is no class folder in {folder}; put WAV files in a folder for each class")
    return found


def _is_wav(path: Path) -> bool:
    return path.suffix.lower() in (".wav", ".wave")


def _read(recordings: Sequence[Recording], split: str, skipped: Skipped) -> list[tuple[Recording, Wav]]:
    found = []
    for recording in track(recordings, f"reading {split} files", len(recordings)):
        try:
            found.append((recording, read_wav(recording.path)))
        except UnreadableWav as error:
            skipped.add(recording.name, str(error))
    return found


def _has_rate(recording: Recording, wav: Wav, rate: int, skipped: Skipped) -> bool:
    if wav.rate == rate:
        return True
    skipped.add(
        recording.name,
        f"has {wav.rate} samples a second, but most files have {rate} (ffmpeg -i FILE -ar {rate} OTHER resamples it)",
    )
    return False


def _encoding(name: str, train: list[Wav], rate: int) -> NamedEncoding:
    lengths = [len(wav.samples) for wav in train]
    steps = min(max(lengths), MOST_SAMPLES)
    cut = sum(length > steps for length in lengths)
    if cut:
        say(f"{name}: {cut} of {len(lengths)} training files are cut at {steps} samples, {steps / rate:.2f} seconds")
    power = sum(float(np.square(wav.samples[:steps], dtype=np.float64).sum()) for wav in train)
    std = math.sqrt(power / sum(min(length, steps) for length in lengths)) or 1.0  # nothing but silence
    return NamedEncoding("sound", steps, "the training files", std=float(f"{std:.4g}"), rate=rate)


def _split(found: list[tuple[Recording, Wav]], classes: tuple[str, ...], encoding: Encoding) -> SequenceSplit:
    sequences = (encoding.store(wav.samples) for _, wav in found)
    ragged = Ragged.of(sequences, encoding.scale, encoding.shift)
    names = tuple(recording.name for recording, _ in found)
    labels = as_indices([recording.label for recording, _ in found], classes, names.__getitem__)
    return SequenceSplit((ragged,), labels, names)
