from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from modernet.data.sequences.encoding import Encoding, pillow_grey, tensorflow_grey
from modernet.data.sequences.inputs import SequenceInputs
from modernet.data.sequences.named_encodings import NAMED_ENCODINGS, NamedEncoding
from modernet.errors import InputError

COLOURS = np.random.default_rng(0).integers(0, 256, (3, 64, 64), dtype=np.uint8)


def test_tokens_of_bytes_are_one_more_than_the_byte_and_cut() -> None:
    encoding = NAMED_ENCODINGS["text_lra"].fit()
    assert encoding.inputs == SequenceInputs(1000, vocabulary=257)
    assert encoding.encode("A é\udcff").tolist() == [66, 33, 0xC3 + 1, 0xA9 + 1, 256]
    assert encoding.encode("é" * 999).tolist() == [0xC3 + 1, 0xA9 + 1] * 500


def test_characters_are_those_that_are_frequent_in_what_is_read_of_the_training_texts() -> None:
    named = NamedEncoding("characters", 5, "a test", min_frequency=3, eos=True)
    encoding = named.fit(["aabb", "abc", "ccccc", "ddddzzzz"])  # of the last one four characters are read
    assert encoding.symbols == ("c", "d", "a", "b")
    assert encoding.inputs == SequenceInputs(5, vocabulary=7)
    assert encoding.encode("abz").tolist() == [3, 4, 5, 6]
    assert encoding.encode("cdcdcd").tolist() == [1, 2, 1, 2, 6]
    assert encoding.encode("😀").tolist() == [5, 6]


def test_words_are_what_blanks_separate_without_parentheses() -> None:
    encoding = NamedEncoding("words", 6, "a test").fit(["( ( [MAX 4 ) 3 ) ]"])
    assert encoding.symbols == ("3", "4", "[MAX", "]")
    assert encoding.inputs.vocabulary == 1 + 4 + 1
    assert encoding.encode("( [MAX 3 9 ]").tolist() == [3, 1, 5, 4]


def test_tensorflow_cuts_grey_values_off() -> None:
    primaries = np.eye(3, dtype=np.uint8)[:, None] * 255
    assert tensorflow_grey(primaries).tolist() == [[76, 149, 29]]
    assert tensorflow_grey(np.full((3, 1, 1), 255, np.uint8)).tolist() == [[255]]
    exact = 255.5 * np.tensordot([0.2989, 0.5870, 0.1140], COLOURS / 255, 1)
    clear = abs(exact - exact.round()) > 1e-3
    assert clear.mean() > 0.99
    assert np.array_equal(tensorflow_grey(COLOURS)[clear], np.floor(exact)[clear])


def test_grey_numbers_are_those_of_pillow() -> None:
    image = Image.fromarray(np.moveaxis(COLOURS, 0, -1))
    assert np.array_equal(pillow_grey(COLOURS), np.asarray(image.convert("L")))


def test_an_image_is_read_row_by_row() -> None:
    grey = np.array([[0, 61], [122, 255]], dtype=np.uint8)
    numbers = NamedEncoding("grey", 4, "a test", mean=122.6 / 255, std=61 / 255).fit()
    np.testing.assert_allclose(
        numbers.encode(grey)[:, 0], (np.array([0, 61, 122, 255]) - 122.6) / 61, rtol=0, atol=1e-6
    )
    assert NamedEncoding("grey_tokens", 4, "a test").fit().encode(grey).tolist() == [1, 62, 123, 256]


def test_black_is_padding_only_where_the_arena_has_it_so() -> None:
    assert NAMED_ENCODINGS["image_tokens"].fit().inputs == SequenceInputs(1024, vocabulary=257)
    encoding = NAMED_ENCODINGS["image_lra"].fit()
    assert encoding.inputs == SequenceInputs(1024, vocabulary=256, zero_is_padding=True)
    assert encoding.encode(np.arange(1024, dtype=np.uint8).reshape(32, 32))[:3].tolist() == [0, 1, 2]


def test_sound_is_divided_by_its_deviation_and_cut() -> None:
    encoding = NamedEncoding("sound", 3, "a test", std=0.5, rate=8000).fit()
    assert encoding.encode(np.array([0.0, 0.25, -1.0, 1.0])).tolist() == [[0.0], [0.5], [-2.0]]
    assert encoding.inputs == SequenceInputs(3)


@pytest.mark.parametrize(
    ("named", "raw", "message"),
    [
        ("text", "", "^it is empty$"),
        ("image", np.zeros((3, 8, 9), np.uint8), "^the image has 8 x 9 pixels; scale it to 32 x 32$"),
    ],
)
def test_what_cannot_be_encoded_is_refused(named: str, raw: str | np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        NAMED_ENCODINGS[named].fit().encode(raw)


@pytest.mark.parametrize("name", NAMED_ENCODINGS)
def test_an_encoding_survives_json(name: str) -> None:
    encoding = NAMED_ENCODINGS[name].fit(["some text", "é"])
    assert Encoding.of_json(json.loads(json.dumps(encoding.as_json()))) == encoding


@pytest.mark.parametrize(
    ("name", "steps", "towers", "mark"),
    [("text_s4", 4096, 1, True), ("retrieval", 4000, 2, False), ("retrieval_s4", 4000, 2, True)],
)
def test_lengths_are_the_published_ones(name: str, steps: int, towers: int, mark: bool) -> None:
    named = NAMED_ENCODINGS[name]
    assert (named.max_length, named.towers, named.eos) == (steps, towers, mark)
    assert named.short().max_length == 256
