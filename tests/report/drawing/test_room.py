"""Drawing where the address space of a process is limited, as by `ulimit -v`."""

from __future__ import annotations

from pathlib import Path

import pytest

from modernet import progress
from modernet.cli import main
from modernet.records import read_records
from modernet.report import write_report
from modernet.report.drawing import room
from modernet.report.drawing.room import missing_room
from report.advise.made_up import advice, record


def test_there_is_room_without_a_limit_and_with_a_large_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for left in (None, 100 * 2**30):
        monkeypatch.setattr(room, "address_space_left", lambda left=left: left)
        assert missing_room() is None


def test_without_room_a_report_is_left_out_and_what_to_do_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record(advice()).write(tmp_path / "record.json")
    monkeypatch.setattr(room, "address_space_left", lambda: 13 * 2**30)
    said: list[str] = []
    monkeypatch.setattr(progress, "say", said.append)

    assert write_report(read_records(tmp_path), tmp_path) == []
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]
    assert len(said) == 1
    assert "65 GiB of address space, and a limit of this shell leaves 13; lift it" in said[0]
    assert main(["report", str(tmp_path)]) == 2
    assert "ulimit -v unlimited, then run modernet report FOLDER" in capsys.readouterr().err
