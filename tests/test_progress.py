import io
import os
from dataclasses import dataclass, field

import pytest

from modernet import progress


@dataclass
class Diary:
    """A display that logs its calls."""

    lines: list[str] = field(default_factory=list)

    def open(self, name: str, total: float) -> progress.OpenBar:
        self.lines.append(f"open {name} {total:g}")
        return DiaryBar(self)

    def say(self, message: str) -> None:
        self.lines.append(f"say {message}")


@dataclass
class DiaryBar:
    diary: Diary

    def advance(self, amount: float = 1, note: str | None = None) -> None:
        self.diary.lines.append(f"advance {amount:g} {note}")

    def close(self) -> None:
        self.diary.lines.append("close")


def test_nothing_is_shown_outside_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.bar("working", 2) as bar:
        bar.advance()
    progress.say("hello")

    assert capsys.readouterr() == ("", "")


def test_a_display_shows_every_bar() -> None:
    diary = Diary()
    with progress.shown(diary):
        assert list(progress.track("ab", "reading", 2)) == ["a", "b"]
        progress.say("hello")
    progress.say("after the end")

    assert diary.lines == ["open reading 2", "advance 1 None", "advance 1 None", "close", "say hello"]


def test_no_message_is_said_twice_inside_saying_once() -> None:
    diary = Diary()
    with progress.shown(diary):
        with progress.saying_once():
            progress.say("hello")
            with progress.saying_once(), progress.bar("working", 1):
                progress.say("hello")
                progress.say("there")
        progress.say("hello")
    assert diary.lines == ["say hello", "open working 1", "say there", "close", "say hello"]
    with progress.saying_once():
        progress.say("nobody hears")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_does_not_use_the_display() -> None:
    diary = Diary()
    with progress.shown(diary):
        child = os.fork()
        if child == 0:
            with progress.bar("fetching", 1) as bar:
                bar.advance()
            progress.say("hello")
            os._exit(len(diary.lines))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        progress.say("still here")

    assert diary.lines == ["say still here"]


def test_nested_contexts_share_a_display() -> None:
    diary = Diary()
    with progress.shown(diary), progress.shown():
        progress.say("hello")

    assert diary.lines == ["say hello"]


def test_a_bar_is_closed_when_its_work_fails() -> None:
    diary = Diary()
    with progress.shown(diary), pytest.raises(RuntimeError), progress.bar("working", 1):
        raise RuntimeError

    assert diary.lines[-1] == "close"


def test_a_log_gets_lines_with_the_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.shown(), progress.bar("working", 100) as bar:
        now[0] = 5.0
        bar.advance(10)  # work done before the first call says nothing about the speed
        now[0] = 35.0
        bar.advance(25, "loss 0.5")

    out, err = capsys.readouterr()
    assert out == ""
    assert err == "working:  35%, 1:18 left  loss 0.5\n"


def test_what_is_printed_to_a_file_goes_there_while_bars_are_in_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress.shown(), progress.bar("predicting", 2):
        print("a prediction")

    assert capsys.readouterr().out == "a prediction\n"
    assert "predicting" in terminal.getvalue()
    assert "a prediction" not in terminal.getvalue()
