from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from modernet.errors import InputError
from modernet.files.atomic import check_free, whole_file, whole_folder


def test_a_file_appears_with_all_its_content(tmp_path: Path) -> None:
    with whole_file(tmp_path / "new" / "record.json") as unfinished:
        unfinished.write_text("whole")
        assert not (tmp_path / "new" / "record.json").exists()

    assert (tmp_path / "new" / "record.json").read_text() == "whole"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["record.json"]


def test_weights_have_the_permissions_of_other_new_files(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    with whole_file(tmp_path / "model.safetensors") as unfinished:
        save_file({"weight": torch.zeros(1)}, unfinished)
    assert (tmp_path / "model.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_failure_while_writing_keeps_the_old_file_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text("old")

    with pytest.raises(OSError, match="No space left"), whole_file(path) as unfinished:
        unfinished.write_text("half of the ne")
        raise OSError(28, "No space left on device")

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_appears_with_all_its_files(tmp_path: Path) -> None:
    path = tmp_path / "new" / "fast"
    check_free(path)
    path.mkdir()
    check_free(path)
    (path.parent / ".fast.unfinished").mkdir()
    (path.parent / ".fast.unfinished" / "of a killed process").touch()
    with whole_folder(path) as unfinished:
        (unfinished / "way").mkdir()
        (unfinished / "way" / "program").write_text("whole")
        assert not any(path.iterdir())

    assert [each.name for each in path.parent.iterdir()] == ["fast"]
    assert [str(each.relative_to(path)) for each in path.rglob("*")] == ["way", "way/program"]


def test_a_failure_while_writing_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left"), whole_folder(tmp_path / "fast") as unfinished:
        (unfinished / "program").write_text("half")
        raise OSError(28, "No space left on device")
    assert not any(tmp_path.iterdir())


def test_what_is_there_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file"):
        with pytest.raises(InputError, match=f"{path} exists already; give another --out, or remove it"):
            check_free(path)
    with pytest.raises(InputError, match=f"cannot write to {tmp_path / 'file'}: .*; give another --out"):
        check_free(tmp_path / "file" / "fast")
