from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder for what is read of files."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("MODERNET_CACHE", str(folder))
    return folder
