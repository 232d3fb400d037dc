"""The note in a folder of corrupted images decides whether a run may continue it."""

from __future__ import annotations

from pathlib import Path

import pytest

from modernet.data.corrupting.note import NOTE_NAME, check_note, write_note
from modernet.errors import InputError

SETTINGS = {"data": "pets", "images": "0123", "size": "224x224", "seed": 0}


def test_settings_add_up(tmp_path: Path) -> None:
    write_note(tmp_path, {**SETTINGS, "frost": "synthesised"})
    write_note(tmp_path, SETTINGS)
    (tmp_path / "frost").mkdir()
    assert check_note(tmp_path, SETTINGS) == {**SETTINGS, "frost": "synthesised"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"data": "birds"}, "was written with data pets, not birds; give another folder"),
        ({"images": "4567"}, "was written from other images than pets now has; give another folder"),
        ({"size": "as stored"}, "was written with size 224x224, not as stored"),
        ({"seed": 5}, "was written with seed 0, not 5"),
    ],
)
def test_other_settings_are_refused_and_change_nothing(
    changed: dict[str, str | int], message: str, tmp_path: Path
) -> None:
    write_note(tmp_path, SETTINGS)
    before = (tmp_path / NOTE_NAME).read_bytes()
    for refusing in (check_note, write_note):
        with pytest.raises(InputError, match=message):
            refusing(tmp_path, {**SETTINGS, **changed})
    assert (tmp_path / NOTE_NAME).read_bytes() == before


@pytest.mark.parametrize(
    ("note", "message"),
    [
        (b'{"data": "pets", "im', r"corrupted\.json cannot be read: .*; give another folder"),
        (b"", "cannot be read"),
        (b"\xff", "cannot be read"),
        (b"[]", "is incomplete; give another folder"),
        (b"{}", "is incomplete"),
        (b'{"data": "pets", "seed": 0}', "is incomplete"),
    ],
)
def test_a_damaged_note_is_refused(note: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / NOTE_NAME).write_bytes(note)
    with pytest.raises(InputError, match=message):
        check_note(tmp_path, SETTINGS)


def test_corrupted_images_of_unknown_origin_are_refused(tmp_path: Path) -> None:
    """As those of ImageNet-C itself."""
    (tmp_path / "notes").mkdir()
    check_note(tmp_path, SETTINGS)
    (tmp_path / "fog" / "1").mkdir(parents=True)
    with pytest.raises(InputError, match="has fog, and no note of how it was made; give a new folder, or one that"):
        check_note(tmp_path, SETTINGS)
