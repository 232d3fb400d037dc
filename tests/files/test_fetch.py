from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import pytest

from data.shards import serving
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


def test_a_file_is_fetched_and_compared(folder: Path, tmp_path: Path) -> None:
    with serving(folder) as server:
        fetch(f"{server.url}/a.tar", tmp_path / "a.tar", size=len(CONTENT), sha256=SHA256)
        assert fetch_bytes(f"{server.url}/a.tar") == CONTENT
    assert (tmp_path / "a.tar").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["a.tar"]


def test_after_a_break_it_goes_on_where_it_ended(folder: Path, tmp_path: Path) -> None:
    with serving(folder) as server:
        server.failures = ["cut", 503]
        fetch(f"{server.url}/a.tar", tmp_path / "a.tar", sha256=SHA256)
        assert server.asked == [("/a.tar", None), *[("/a.tar", f"bytes={len(CONTENT) // 2}-")] * 2]
    assert (tmp_path / "a.tar").read_bytes() == CONTENT


def test_a_later_process_goes_on_too(folder: Path, tmp_path: Path) -> None:
    with serving(folder) as server:
        server.failures = ["cut", 503, 503]
        message = r"cannot fetch .*/a.tar \(Service Unavailable, 3 times\); check the network and start again"
        with pytest.raises(FetchError, match=message):
            fetch(f"{server.url}/a.tar", tmp_path / "a.tar")
        assert not (tmp_path / "a.tar").exists()
        fetch(f"{server.url}/a.tar", tmp_path / "a.tar", sha256=SHA256)
        assert server.asked[-1] == ("/a.tar", f"bytes={len(CONTENT) // 2}-")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["a.tar"]


@pytest.mark.parametrize("header", ["ETag", "Last-Modified", None])
@pytest.mark.parametrize("knows_if_range", [True, False])
def test_a_file_that_changed_meanwhile_is_not_pieced_together(
    folder: Path, tmp_path: Path, header: str | None, knows_if_range: bool
) -> None:
    with serving(folder) as server:
        server.version_header, server.knows_if_range = header, knows_if_range
        server.failures = ["cut", 503, 503]
        with pytest.raises(FetchError):
            fetch(f"{server.url}/a.tar", tmp_path / "a.tar")
        (folder / "a.tar").write_bytes(CONTENT[::-1])
        fetch(f"{server.url}/a.tar", tmp_path / "a.tar", size=len(CONTENT))
    assert (tmp_path / "a.tar").read_bytes() == CONTENT[::-1]


def test_where_no_server_tells_versions_a_checksum_lets_it_go_on(folder: Path, tmp_path: Path) -> None:
    with serving(folder) as server:
        server.version_header = None
        for known, second in (({"sha256": SHA256}, f"bytes={len(CONTENT) // 2}-"), ({}, None)):
            server.asked.clear()
            server.failures = ["cut"]
            fetch(f"{server.url}/a.tar", tmp_path / "a.tar", **known)
            assert [asked for _, asked in server.asked] == [None, second]
            assert (tmp_path / "a.tar").read_bytes() == CONTENT


def test_what_was_whole_before_is_not_fetched_again_or_fetched_anew_when_nobody_knows(
    folder: Path, tmp_path: Path
) -> None:
    with serving(folder) as server:
        (tmp_path / "a.tar.part").write_bytes(CONTENT)
        fetch(f"{server.url}/a.tar", tmp_path / "a.tar", size=len(CONTENT))
        assert not server.asked
        (tmp_path / "a.tar.part").write_bytes(CONTENT)
        fetch(f"{server.url}/a.tar", tmp_path / "a.tar", sha256=SHA256)
        assert [asked for _, asked in server.asked] == [f"bytes={len(CONTENT)}-", None]
        server.asked.clear()
        (tmp_path / "a.tar.part").write_bytes(CONTENT)
        fetch(f"{server.url}/a.tar", tmp_path / "a.tar")
        assert [asked for _, asked in server.asked] == [None]
    assert (tmp_path / "a.tar").read_bytes() == CONTENT


@pytest.mark.parametrize("expected", [{"size": 10}, {"size": 10**6}, {"sha256": "0" * 64}])
def test_another_file_than_expected_is_refused_and_not_kept(
    folder: Path, tmp_path: Path, expected: dict[str, int | str]
) -> None:
    with serving(folder) as server, pytest.raises(FetchError, match=r"/a.tar has changed since it was indexed; make"):
        fetch(f"{server.url}/a.tar", tmp_path / "a.tar", **expected)
    assert [path for path in tmp_path.iterdir() if path.is_file()] == []


def test_what_a_server_refuses_is_asked_for_once(folder: Path, tmp_path: Path) -> None:
    with serving(folder) as server:
        for attempt in (lambda: fetch(f"{server.url}/b.tar", tmp_path / "b.tar"), lambda: fetch_bytes(server.url)):
            with pytest.raises(FetchError, match=r"cannot fetch .* \(404 Not Found\); check the address") as caught:
                attempt()
            assert caught.value.status == 404
        assert len(server.asked) == 2


def test_letters_beyond_ascii_and_spaces_are_quoted_and_what_is_quoted_stays(folder: Path, tmp_path: Path) -> None:
    (folder / "Bär %1.tar").write_bytes(CONTENT)
    with serving(folder) as server:
        for name in ("Bär %251.tar", "B%C3%A4r%20%251.tar?größe=1"):
            assert fetch_bytes(f"{server.url}/{name}") == CONTENT
            fetch(f"{server.url}/{name}", tmp_path / "a.tar", sha256=SHA256)
        assert set(server.paths()) == {"/Bär %1.tar"}


@pytest.mark.parametrize("url", ["http://[bad/a.tar", "http://127.0.0.1:port/a.tar", "a.tar"])
def test_what_is_no_address_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(fetching.time, "sleep", lambda seconds: pytest.fail("it is tried again"))
    for attempt in (lambda: fetch(url, tmp_path / "a.tar"), lambda: fetch_bytes(url)):
        with pytest.raises(FetchError, match=r"cannot fetch .*a.tar \(.+\); check the address") as caught:
            attempt()
        assert "\n" not in str(caught.value)


def test_without_a_network_it_is_said_in_a_line(tmp_path: Path) -> None:
    for attempt in (
        lambda: fetch("http://127.0.0.1:9/a.tar", tmp_path / "a.tar"),
        lambda: fetch_bytes("http://127.0.0.1:9/a"),
    ):
        with pytest.raises(FetchError, match=r"cannot fetch .*Connection refused, 3 times\); check the net") as caught:
            attempt()
        assert caught.value.status is None
        assert "\n" not in str(caught.value)


def test_a_token_lets_in_and_is_not_told_to_other_hosts(folder: Path, tmp_path: Path) -> None:
    request = fetching._request("http://127.0.0.1/a", 0, "secret")
    assert request.get_header("Authorization") == "Bearer secret"
    assert "Authorization" not in request.headers, "these are sent to every host on the way"
    with serving(folder) as server:
        fetch(f"{server.url}/a.tar", tmp_path / "a.tar", token="secret")
        assert server.tokens == ["Bearer secret"]


def test_the_error_survives_the_way_out_of_a_worker() -> None:
    error = pickle.loads(pickle.dumps(FetchError("a line", 404)))
    assert (str(error), error.status) == ("a line", 404)
