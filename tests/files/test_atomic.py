from pathlib import Path

import pytest

from modernet.files.atomic import whole_file


def test_a_file_appears_with_all_its_content(tmp_path: Path) -> None:
    with whole_file(tmp_path / "new" / "record.json") as unfinished:
        unfinished.write_text("whole")
        assert not (tmp_path / "new" / "record.json").exists()

    assert (tmp_path / "new" / "record.json").read_text() == "whole"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["record.json"]


def test_a_failure_while_writing_keeps_the_old_file_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text("old")

    with pytest.raises(OSError, match="No space left"), whole_file(path) as unfinished:
        unfinished.write_text("half of the ne")
        raise OSError(28, "No space left on device")

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
