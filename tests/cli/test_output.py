from __future__ import annotations

import pytest

from modernet.cli.output import print_table, simple_table


def test_brackets_in_a_table_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(simple_table("networks", {"Network": False}, [["[enforce fail at alloc.cpp] no memory, [/a]"]]))
    assert "[enforce fail at alloc.cpp] no memory, [/a]" in capsys.readouterr().out
