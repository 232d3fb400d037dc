from __future__ import annotations

import hashlib
from pathlib import Path

from modernet.files.fingerprint import file_sha256, json_sha256


def test_the_digest_of_a_file_is_that_of_its_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    assert file_sha256(tmp_path / "a") == hashlib.sha256(b"content").hexdigest()


def test_the_digest_of_a_value_depends_on_its_content_alone() -> None:
    assert json_sha256({"a": 1, "b": [2, None]}) == json_sha256({"b": (2, None), "a": 1})
    values = [{"a": 1}, {"a": 2}, {"b": 1}, {"a": "1"}, [["a", 1]], "a\udcff", "a"]
    assert len({json_sha256(value) for value in values}) == len(values)
