from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from modernet.errors import InputError
from modernet.tasks.input_kinds import InputKind, check_takes


def test_where_no_network_has_a_name_a_folder_of_that_name_was_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("run.2", "resnet18"):
        (tmp_path / name).mkdir()
    for kind in get_args(InputKind):
        with pytest.raises(InputError, match=r"no model is called 'run\.2'; for the folder of that name, give \./run"):
            check_takes("run.2", kind, "quick")
    check_takes("resnet18", "images", "quick")
    check_takes("no_such_net", "images", "quick")
