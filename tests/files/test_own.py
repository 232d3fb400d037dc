import os
from pathlib import Path

import pytest

from modernet.files.own import is_own, remember_own


def test_only_what_the_same_user_wrote_is_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path / "cache"))
    assert not is_own("ab12")
    remember_own("ab12")
    remember_own("ab12")
    assert is_own("ab12")
    assert not is_own("ab13")
    other, mine = os.getuid() + 1, tmp_path / "cache" / f"own-{os.getuid()}"
    monkeypatch.setattr(os, "getuid", lambda: other)
    assert not is_own("ab12"), "another user's note in a shared cache"
    mine.rename(mine.with_name(f"own-{other}"))
    assert not is_own("ab12"), "another user's folder under my name"


def test_a_note_that_was_renamed_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path))
    remember_own("ab12")
    note = tmp_path / f"own-{os.getuid()}" / "ab12"
    assert note.stat().st_mode & 0o777 == 0o600
    assert note.parent.stat().st_mode & 0o777 == 0o700, "others cannot rename notes"
    note.rename(note.with_name("cd34"))
    assert not is_own("cd34")
