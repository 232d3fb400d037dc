"""Sequences in the encoding of a trained network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile

from modernet.data.ragged import Ragged
from modernet.data.sequences.dataset import SequenceDataset, SequenceSplit
from modernet.data.sequences.encoding import Encoding
from modernet.data.sequences.examples import find_examples
from modernet.data.sequences.inputs import SequenceInputs
from modernet.data.sequences.recoding import recoded
from modernet.errors import InputError

WORDS = Encoding("words", SequenceInputs(9, vocabulary=6), ("a", "b", "c"), eos=True)
GREY = Encoding("grey", SequenceInputs(16), mean=0.5, std=0.25)


def dataset(encoding: Encoding, raw: list[object]) -> SequenceDataset:
    numbers = encoding.inputs.vocabulary is None
    kept = (encoding.store(each) for each in raw)  # type: ignore[arg-type]
    tower = Ragged.of(kept, encoding.scale, encoding.shift) if numbers else Ragged.of(kept)
    split = SequenceSplit((tower,), np.zeros(len(raw), np.int64))
    return SequenceDataset("texts", split, split, split, ("one", "two"), encoding, {})


@pytest.mark.parametrize("kind", ["words", "characters"])
def test_tokens_become_those_of_the_network(kind: str) -> None:
    text = "c a b z" if kind == "words" else "cabz"
    own = replace(WORDS, kind=kind)  # type: ignore[arg-type]
    other = replace(own, symbols=("c", "x", "a"), inputs=SequenceInputs(9, vocabulary=6))
    found = recoded(dataset(own, [text, "b"]), other)

    for number, raw in enumerate((text, "b")):
        assert found.test.towers[0][number].tolist() == other.encode(raw).tolist()
    assert found.encoding == other


def test_numbers_become_those_of_the_network() -> None:
    image = np.arange(16, dtype=np.uint8).reshape(4, 4)
    other = replace(GREY, mean=0.1, std=2.0)
    (tower,) = recoded(dataset(GREY, [image]), other).train.towers

    np.testing.assert_allclose(tower[0] * tower.scale + tower.shift, other.encode(image), rtol=1e-6, atol=1e-6)


def test_other_kinds_are_refused() -> None:
    data = dataset(WORDS, ["a b"])
    for other in (replace(WORDS, kind="bytes"), replace(WORDS, eos=False), GREY):
        with pytest.raises(InputError, match=r"texts has words \(6 tokens, at most 9 steps\), and the network has"):
            recoded(data, other)
    image = np.zeros((4, 4), np.uint8)
    with pytest.raises(InputError, match="at most 25 steps"):
        recoded(dataset(GREY, [image]), replace(GREY, inputs=SequenceInputs(25)))


def test_single_files_are_read_as_the_network_takes_them(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a b\n")
    (tmp_path / "b.tsv").write_text("id\ttext\n1\tb c\n2\n")
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "c.png")
    wavfile.write(tmp_path / "d.wav", 8000, np.array([0, 16384, -16384], np.int16))
    (tmp_path / "notes.md").write_text("not found in a folder")
    text, row, broken, image, sound = find_examples([str(tmp_path)])

    assert (text.read(WORDS), row.read(WORDS)) == ("a b", "b c")
    assert [each.name for each in (row, broken)] == [f"{tmp_path}/b.tsv, line {line}" for line in (2, 3)]
    with pytest.raises(InputError, match="it has 1 column, not 2 as the header"):
        broken.read(WORDS)
    assert image.read(GREY).shape == (3, 4, 4)  # type: ignore[union-attr]
    assert GREY.encode(image.read(GREY)).shape == (16, 1)
    heard = Encoding("sound", SequenceInputs(9), rate=8000)
    assert sound.read(heard).tolist() == [0.0, 0.5, -0.5]  # type: ignore[union-attr]
    with pytest.raises(InputError, match="it has 8000 samples a second, and the network has learned from 16000"):
        sound.read(replace(heard, rate=16000))
    with pytest.raises(InputError, match=r"it is text, and the network has learned from grey \(numbers"):
        row.read(GREY)
    for other in (image, sound):
        with pytest.raises(InputError, match=r"it is no text, and the network has learned from words \("):
            other.read(WORDS)
    with pytest.raises(InputError, match="nothing matches"):
        find_examples([str(tmp_path / "*.csv")])
