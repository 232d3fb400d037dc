from __future__ import annotations

import hashlib
import pickle
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from http_server import serving
from modernet import progress
from modernet.files import fetch as fetching
from modernet.files.fetch import FetchError, fetch, fetch_bytes

CONTENT = bytes(range(256)) * 20
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_PAUSES_S", (0.0, 0.0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "a.tar").write_bytes(CONTENT)
    return tmp_path / "served"


def left(folder: Path) -> list[str]:
    """Return the files in a folder, but for locks."""
    return sorted(path.name for path in folder.iterdir() if path.is_file() and path.suffix != ".lock")


def test_a_file_is_fetched_and_verified(folder: Path, tmp_path: Path) -> None:
    with serving(folder) as server:
        fetch(f"{server.url}/a.tar", tmp_path / "a.tar", size=len(CONTENT), sha256=SHA256)
        assert fetch_bytes(f"{server.url}/a.tar") == CONTENT
    assert (tmp_path / "a.tar").read_bytes() == CONTENT
    assert left(tmp_path) == ["a.tar"]


def test_a_file_that_is_there_is_not_fetched(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"here")
    with serving(folder) as server:
        fetch(f"{server.url}/a.tar", tmp_path / "a.tar")
        assert server.requests == []


def test_only_one_of_several_fetches_a_target(folder: Path, tmp_path: Path) -> None:
    with serving(folder) as server:
        server.failures = ["cut"]
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda _: fetch(f"{server.url}/a.tar", tmp_path / "a.tar"), range(4)))
        assert server.ranges == [None, f"bytes={len(CONTENT) // 2}-"]
    assert (tmp_path / "a.tar").read_bytes() == CONTENT


def test_a_broken_transfer_is_resumed(folder: Path, tmp_path: Path) -> None:
    with serving(folder) as server:
        server.failures = ["cut", 503]
        fetch(f"{server.url}/a.tar", tmp_path / "a.tar", sha256=SHA256)
        assert server.ranges == [None, *[f"bytes={len(CONTENT) // 2}-"] * 2]
    assert (tmp_path / "a.tar").read_bytes() == CONTENT


def test_a_later_process_resumes(folder: Path, tmp_path: Path) -> None:
    with serving(folder) as server:
        server.failures = ["cut", 503, 503]
        message = r"cannot fetch .*/a.tar \(HTTP Error 503: .*, 3 attempts\); check the network and start again"
        with pytest.raises(FetchError, match=message):
            fetch(f"{server.url}/a.tar", tmp_path / "a.tar")
        assert not (tmp_path / "a.tar").exists()
        fetch(f"{server.url}/a.tar", tmp_path / "a.tar")
        assert server.ranges[-1] == f"bytes={len(CONTENT) // 2}-"
    assert (tmp_path / "a.tar").read_bytes() == CONTENT
    assert left(tmp_path) == ["a.tar"]


def test_a_server_without_ranges_sends_the_whole_file_again(folder: Path, tmp_path: Path) -> None:
    with serving(folder) as server:
        server.supports_ranges = False
        server.failures = ["cut"]
        fetch(f"{server.url}/a.tar", tmp_path / "a.tar")
        assert server.ranges == [None, f"bytes={len(CONTENT) // 2}-"]
    assert (tmp_path / "a.tar").read_bytes() == CONTENT


@pytest.mark.parametrize("header", ["ETag", "Last-Modified", None])
@pytest.mark.parametrize("supports_if_range", [True, False])
@pytest.mark.parametrize("known", [{"size": len(CONTENT)}, {"sha256": hashlib.sha256(CONTENT[::-1]).hexdigest()}])
def test_two_versions_of_a_file_are_never_spliced(
    folder: Path, tmp_path: Path, header: str | None, supports_if_range: bool, known: dict[str, Any]
) -> None:
    with serving(folder) as server:
        server.version_header, server.supports_if_range = header, supports_if_range
        server.failures = ["cut", 503, 503]
        with pytest.raises(FetchError):
            fetch(f"{server.url}/a.tar", tmp_path / "a.tar")
        (folder / "a.tar").write_bytes(CONTENT[::-1])
        fetch(f"{server.url}/a.tar", tmp_path / "a.tar", **known)
    assert (tmp_path / "a.tar").read_bytes() == CONTENT[::-1]


def test_without_a_version_only_a_checksum_allows_to_resume(folder: Path, tmp_path: Path) -> None:
    with serving(folder) as server:
        server.version_header = None
        for known, second in (({"sha256": SHA256}, f"bytes={len(CONTENT) // 2}-"), ({}, None)):
            server.requests.clear()
            server.failures = ["cut"]
            fetch(f"{server.url}/a.tar", tmp_path / "a.tar", **known)
            assert server.ranges == [None, second]
            assert (tmp_path / "a.tar").read_bytes() == CONTENT
            (tmp_path / "a.tar").unlink()


@pytest.mark.parametrize(
    ("known", "ranges"),
    [
        ({"size": len(CONTENT)}, []),
        ({"sha256": SHA256}, [f"bytes={len(CONTENT)}-"]),  # answered with 416: there is no more
        ({}, [None]),
    ],
)
def test_a_partial_file_that_is_complete_is_fetched_again_only_if_nothing_verifies_it(
    folder: Path, tmp_path: Path, known: dict[str, Any], ranges: list[str | None]
) -> None:
    (tmp_path / "a.tar.part").write_bytes(CONTENT)
    with serving(folder) as server:
        fetch(f"{server.url}/a.tar", tmp_path / "a.tar", **known)
        assert server.ranges == ranges
    assert (tmp_path / "a.tar").read_bytes() == CONTENT


@pytest.mark.parametrize("known", [{"size": len(CONTENT)}, {"sha256": SHA256}])
@pytest.mark.parametrize("stale", [bytes(len(CONTENT)), bytes(10), bytes(2 * len(CONTENT))])
def test_a_stale_partial_file_is_replaced(folder: Path, tmp_path: Path, known: dict[str, Any], stale: bytes) -> None:
    (tmp_path / "a.tar.part").write_bytes(stale)
    with serving(folder) as server:
        fetch(f"{server.url}/a.tar", tmp_path / "a.tar", **known, **({} if "sha256" in known else {"sha256": SHA256}))
    assert (tmp_path / "a.tar").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("expected", "difference"),
    [
        ({"size": 10}, f"is {len(CONTENT)} bytes instead of 10"),
        ({"size": 10**6}, f"is {len(CONTENT)} bytes instead of 1000000"),
        ({"sha256": "0" * 64}, f"has the sha256 {SHA256[:8]}... instead of 00000000..."),
    ],
)
def test_another_file_than_expected_is_refused_and_not_kept(
    folder: Path, tmp_path: Path, expected: dict[str, Any], difference: str
) -> None:
    with serving(folder) as server, pytest.raises(FetchError) as caught:
        fetch(f"{server.url}/a.tar", tmp_path / "a.tar", **expected, if_changed="index it again")
    assert str(caught.value) == f"{server.url}/a.tar {difference}; index it again"
    assert len(server.requests) == 1
    assert left(tmp_path) == []


@pytest.mark.parametrize("known", [{}, {"sha256": SHA256}])
def test_a_length_that_the_server_does_not_state_is_no_obstacle(
    folder: Path, tmp_path: Path, known: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(folder) as server, progress.shown(progress.LineDisplay(interval_s=0.0)):
        server.sends_length = False
        fetch(f"{server.url}/a.tar", tmp_path / "a.tar", **known)
    assert (tmp_path / "a.tar").read_bytes() == CONTENT
    assert "fetching a.tar: time left unknown  0 MB" in capsys.readouterr().err


def test_without_a_stated_length_a_truncated_file_is_recognised_by_its_size_and_resumed(
    folder: Path, tmp_path: Path
) -> None:
    with serving(folder) as server:
        server.sends_length, server.failures = False, ["cut"]
        fetch(f"{server.url}/a.tar", tmp_path / "a.tar", size=len(CONTENT))
        assert server.ranges == [None, f"bytes={len(CONTENT) // 2}-"]
    assert (tmp_path / "a.tar").read_bytes() == CONTENT


def test_a_disk_that_fills_up_is_no_network_error_and_the_download_resumes(folder: Path, tmp_path: Path) -> None:
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    with serving(folder) as server:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, unlimited[1]))  # bytes of a file, like a disk without room
        try:
            with pytest.raises(OSError, match="File too large") as caught:
                fetch(f"{server.url}/a.tar", tmp_path / "a.tar")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        assert not isinstance(caught.value, FetchError)
        assert not (tmp_path / "a.tar").exists()
        fetch(f"{server.url}/a.tar", tmp_path / "a.tar")
        assert server.ranges == [None, "bytes=1000-"]
    assert (tmp_path / "a.tar").read_bytes() == CONTENT


def test_a_refusal_is_not_retried(folder: Path, tmp_path: Path) -> None:
    with serving(folder) as server:
        for attempt in (lambda: fetch(f"{server.url}/b.tar", tmp_path / "b.tar"), lambda: fetch_bytes(server.url)):
            with pytest.raises(FetchError, match=r"cannot fetch .* \(HTTP Error 404: Not Found\); check the") as caught:
                attempt()
            assert caught.value.status == 404
        assert len(server.requests) == 2


def test_characters_that_are_not_legal_in_a_url_are_encoded_once(folder: Path, tmp_path: Path) -> None:
    (folder / "Bär %1.tar").write_bytes(CONTENT)
    with serving(folder) as server:
        for number, name in enumerate(("Bär %251.tar", "B%C3%A4r%20%251.tar?größe=1")):
            assert fetch_bytes(f"{server.url}/{name}") == CONTENT
            fetch(f"{server.url}/{name}", tmp_path / f"{number}.tar", sha256=SHA256)
        assert set(server.paths) == {"/Bär %1.tar"}


@pytest.mark.parametrize("url", ["http://[bad/a.tar", "http://127.0.0.1:port/a.tar", "a.tar"])
def test_a_malformed_url_is_not_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(fetching.time, "sleep", lambda seconds: pytest.fail("it was retried"))
    for attempt in (lambda: fetch(url, tmp_path / "a.tar"), lambda: fetch_bytes(url)):
        with pytest.raises(FetchError, match=r"cannot fetch .*a.tar \(.+\); check the address") as caught:
            attempt()
        assert "\n" not in str(caught.value)


def test_no_network_is_one_line(tmp_path: Path) -> None:
    for attempt in (
        lambda: fetch("http://127.0.0.1:9/a.tar", tmp_path / "a.tar"),
        lambda: fetch_bytes("http://127.0.0.1:9/a"),
    ):
        with pytest.raises(FetchError, match=r"cannot fetch .*Connection refused, 3 attempts\); check the n") as caught:
            attempt()
        assert caught.value.status is None
        assert "\n" not in str(caught.value)


def test_a_token_is_not_forwarded_to_another_host_but_the_range_is(folder: Path, tmp_path: Path) -> None:
    with serving(tmp_path) as hub, serving(folder) as storage:
        hub.redirects["/a.tar"] = f"{storage.url}/a.tar"
        storage.failures = ["cut"]
        fetch(f"{hub.url}/a.tar", tmp_path / "a.tar", token="secret")
        assert hub.tokens == ["Bearer secret"] * 2
        assert storage.tokens == [None, None]
        assert storage.ranges == [None, f"bytes={len(CONTENT) // 2}-"]
    assert (tmp_path / "a.tar").read_bytes() == CONTENT


def test_the_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(FetchError("a line", 404)))
    assert (str(error), error.status) == ("a line", 404)
