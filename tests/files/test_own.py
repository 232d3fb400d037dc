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
    other = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: other)
    assert not is_own("ab12"), "another user's note in a shared cache"
