from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from modernet.errors import InputError
from modernet.files.bounded_cache import cached, open_cached


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path))
    return tmp_path / "shards"


def kilobyte(path: Path) -> None:
    path.write_bytes(b"x" * 1000)


def used(path: Path, seconds_ago: float) -> None:
    os.utime(path, (time.time() - seconds_ago,) * 2)


def files(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if not path.name.startswith("."))


def test_a_file_is_made_once(cache: Path) -> None:
    made: list[Path] = []

    def make(path: Path) -> None:
        made.append(path)
        kilobyte(path)

    assert cached("a", make) == cached("a", make) == cache / "a"
    with open_cached("a", make) as file:
        assert len(file.read()) == 1000
    assert len(made) == 1


def test_each_folder_has_a_limit_of_its_own(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERNET_CACHE_GB", "0.0000015")
    cached("a", kilobyte)
    with open_cached("a", kilobyte, folder="others") as file:
        assert Path(file.name) == cache.parent / "others" / "a"
    cached("b", kilobyte, folder="others")

    assert (files(cache), files(cache.parent / "others")) == (["a"], ["b"])


def test_recently_used_files_stay(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERNET_CACHE_GB", "0.000003")
    for name, seconds_ago in (("a", 300), ("b", 500), ("c", 400)):
        used(cached(name, kilobyte), seconds_ago)
    cached("b", kilobyte)  # used now
    cached("d", kilobyte)
    assert files(cache) == ["a", "b", "d"]
    cached("e", lambda path: path.write_bytes(b"x" * 10_000))
    assert files(cache) == ["e"], "one that is larger than the budget is kept while it is needed"


def test_an_open_file_stays_readable_when_it_is_removed(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERNET_CACHE_GB", "0.000001")
    with open_cached("a", kilobyte) as file:
        used(cache / "a", 100)
        cached("b", kilobyte)
        assert files(cache) == ["b"]
        assert len(file.read()) == 1000


def test_a_file_that_another_process_removes_before_it_is_opened_is_made_again(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening = Path.open
    removed: list[Path] = []

    def remove_first(self: Path, *arguments: object, **keywords: object) -> object:
        if self == cache / "a" and not removed:
            removed.append(self)
            self.unlink()
        return opening(self, *arguments, **keywords)

    cached("a", kilobyte)
    monkeypatch.setattr(Path, "open", remove_first)
    with open_cached("a", kilobyte) as file:
        assert len(file.read()) == 1000
    assert removed


def test_one_process_makes_a_file_and_others_wait(cache: Path) -> None:
    cache.mkdir()
    code = (
        "import sys, time, filelock\nfrom pathlib import Path\nfolder = Path(sys.argv[1])\n"
        "with filelock.FileLock(folder / '.a.lock'):\n"
        "    print('locked', flush=True); time.sleep(0.2); (folder / 'a').write_bytes(b'theirs')"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(cache)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert cached("a", lambda path: pytest.fail("it was made twice")).read_bytes() == b"theirs"


def test_concurrent_threads_make_a_file_once(cache: Path) -> None:
    made: list[int] = []

    def make(path: Path) -> None:
        made.append(1)
        time.sleep(0.05)
        kilobyte(path)

    threads = [threading.Thread(target=cached, args=("b", make)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1


def test_a_failure_leaves_no_file(cache: Path) -> None:
    def torn(path: Path) -> None:
        path.write_bytes(b"half")
        raise InputError("the network has gone")

    with pytest.raises(InputError, match="the network has gone"):
        cached("a", torn)
    assert files(cache) == []
    assert cached("a", kilobyte).stat().st_size == 1000


def test_a_full_disk_is_explained(cache: Path) -> None:
    def full(path: Path) -> None:
        path.touch()
        raise OSError(28, "No space left on device")

    message = r"cannot write a to .*shards: No space left on device; set MODERNET_CACHE_GB below the free space"
    with pytest.raises(InputError, match=message):
        cached("a", full)


@pytest.mark.parametrize("given", ["", "many", "-1", "0", "nan"])
def test_a_limit_that_is_not_a_size_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("MODERNET_CACHE_GB", given)
    with pytest.raises(InputError, match=rf"MODERNET_CACHE_GB is '{given}'; give the size of the cache in GB"):
        cached("a", kilobyte)
