"""Fetch files over HTTP: with retries, resumed where they broke off, verified by size and sha256."""

from __future__ import annotations

import http.client
import ssl
import string
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlsplit

from modernet import progress
from modernet.errors import InputError, one_line, root_cause
from modernet.files.cache import only_one
from modernet.files.fingerprint import file_sha256

_PAUSES_S = (1.0, 2.0, 4.0, 8.0)  # between five attempts
_TIMEOUT_S = 30.0  # without a byte
_CHUNK = 1 << 20
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})  # HTTP statuses
_NETWORK = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError)
_FAILURES = (*_NETWORK, ValueError)  # urllib raises ValueError for malformed URLs and responses

_Fetched = TypeVar("_Fetched")


class FetchError(InputError):
    """A file that could not be fetched.

    Attributes:
        status: HTTP status of the response; None without a response.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status

    def __reduce__(self) -> tuple[type[FetchError], tuple[str, int | None]]:
        return FetchError, (str(self), self.status)  # it crosses from a worker process to the training process


class _OtherFile(Exception):
    """A file is not the expected one; the message says how it differs."""


def fetch(
    url: str,
    target: Path,
    *,
    size: int | None = None,
    sha256: str | None = None,
    token: str | None = None,
    if_changed: str = "fetch it again",
) -> None:
    """Fetch a file to `target`, unless it is there.

    One process at a time fetches a target; others wait for it. A download that breaks off stays next to the target
    (`.part`, with the version of the file in `.part.version`) and is resumed by the next attempt, also of a later
    process, as long as the server has the same version. If neither a version nor a checksum can show that, it starts
    over.

    Args:
        size: expected length in bytes; None accepts any.
        sha256: expected checksum in hex, or its first digits; None accepts any content.
        token: Bearer token; not forwarded on redirects.
        if_changed: advice that ends the message when the file is not the expected one.

    Raises:
        FetchError: the server refuses, fails five times, or has another file than expected.
        OSError: the file cannot be written (a full disk); the partial download stays.
    """
    partial = target.with_name(f"{target.name}.part")
    with only_one(target):
        if target.is_file():
            return
        verified = False
        while not verified:
            resumed = False
            try:
                resumed = _with_retries(url, lambda: _attempt(url, partial, size, sha256 is not None, token))
                _verify(partial, size, sha256)
                verified = True
            except _OtherFile as error:
                _remove(partial)
                if not resumed:  # else the bytes of an earlier attempt may be to blame: start over
                    raise FetchError(f"{url} {error}; {if_changed}") from error
        partial.replace(target)
        _remove(partial)


def fetch_bytes(url: str) -> bytes:
    """Fetch the content of a small file.

    Raises:
        FetchError: as `fetch`.
    """

    def attempt() -> bytes:
        with urllib.request.urlopen(_request(url), timeout=_TIMEOUT_S) as response:
            content: bytes = response.read()
            return content

    return _with_retries(url, attempt)


def _with_retries(url: str, attempt: Callable[[], _Fetched]) -> _Fetched:
    pauses_s = iter(_PAUSES_S)
    while True:
        try:
            return attempt()
        except _FAILURES as error:
            _wait_or_raise(url, error, next(pauses_s, None))


def _wait_or_raise(url: str, error: Exception, pause_s: float | None) -> None:
    reason = one_line(root_cause(error))
    if isinstance(error, urllib.error.HTTPError):
        error.close()  # it is also the response
        if error.code not in _TRANSIENT:
            raise FetchError(f"cannot fetch {url} ({reason}); check the address", error.code) from error
    if isinstance(error, http.client.InvalidURL) or not isinstance(error, _NETWORK):
        raise FetchError(f"cannot fetch {url} ({reason}); check the address") from error
    if pause_s is None:
        raise FetchError(
            f"cannot fetch {url} ({reason}, {len(_PAUSES_S) + 1} attempts); check the network and start again: "
            "the download resumes"
        ) from error
    time.sleep(pause_s)


def _attempt(url: str, partial: Path, size: int | None, has_checksum: bool, token: str | None) -> bool:
    """Fetch the missing bytes of a file.

    Args:
        has_checksum: a checksum will detect a file that is spliced from two versions.

    Returns:
        Whether bytes of an earlier attempt are part of it.

    Raises:
        ConnectionError: it ended early.
        _OtherFile: the server's file has another length than `size`.
    """
    start = partial.stat().st_size if partial.is_file() else 0
    if size is not None and start >= size:
        return True
    version_file = _version_file(partial)
    begun = (version_file.read_text() or None) if version_file.is_file() else None
    if begun is None and not has_checksum:
        start = 0
    try:
        response = urllib.request.urlopen(_request(url, start, token, begun), timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # no bytes after `start`
            raise
        error.close()
        if error.headers["Content-Range"] == f"bytes */{start}" and has_checksum:
            return True  # complete, if the checksum agrees
        _remove(partial)
        raise ConnectionError("the server's file is shorter than before") from error
    with response:
        resumed: bool = response.status == 206
        version = _version(response.headers)
        if resumed and begun is not None and version not in (None, begun):  # the server ignores If-Range
            _remove(partial)
            raise ConnectionError("the server's file has changed")
        if not resumed:
            _remove(partial)
            if version is not None:
                version_file.write_text(version)
        length = response.headers.get("Content-Length")
        total = size if length is None else int(length) + (start if resumed else 0)
        if size is not None and total != size:
            _remove(partial)
            raise _OtherFile(f"is {total} bytes instead of {size}")
        with (
            partial.open("ab" if resumed else "wb") as out,
            progress.bar(f"fetching {url.rpartition('/')[2]}", total) as task,
        ):
            task.advance(start if resumed else 0)
            for chunk in _chunks(response):
                out.write(chunk)
                task.advance(len(chunk), f"{out.tell() / 1e6:.0f} MB")
    fetched = partial.stat().st_size
    if total is not None and fetched < total:
        raise ConnectionError(f"it ended at {fetched} of {total} bytes")
    return resumed


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            chunk = response.read(_CHUNK)
        except OSError as error:  # such as ENETDOWN; plain OSError is kept for files that cannot be written
            raise ConnectionError(one_line(error)) from error
        if not chunk:
            return
        yield chunk


def _verify(file: Path, size: int | None, sha256: str | None) -> None:
    length = file.stat().st_size
    if size is not None and length != size:
        raise _OtherFile(f"is {length} bytes instead of {size}")
    if sha256 is not None:
        found = file_sha256(file)
        if not found.startswith(sha256):
            raise _OtherFile(f"has the sha256 {found[:8]}... instead of {sha256[:8]}...")


def _version(headers: http.client.HTTPMessage) -> str | None:
    """Return the header that identifies the content for If-Range, which takes no weak ETag; None if there is none."""
    for value in (headers["ETag"], headers["Last-Modified"]):
        if value is not None and value.isascii() and value.isprintable() and not value.startswith("W/"):
            return value
    return None


def _version_file(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.version")


def _remove(partial: Path) -> None:
    partial.unlink(missing_ok=True)
    _version_file(partial).unlink(missing_ok=True)


def _request(url: str, start: int = 0, token: str | None = None, version: str | None = None) -> urllib.request.Request:
    """Make a request; characters that are not legal in a URL are percent-encoded.

    Args:
        start: the first byte wanted.
        version: of the bytes before `start`; if the server has another, it sends the whole file. None accepts any.

    Raises:
        ValueError: malformed URL.
    """
    parts = urlsplit(url)
    path, query = (quote(part, safe=string.punctuation) for part in (parts.path, parts.query))  # keeps "%20"
    headers = {"Range": f"bytes={start}-"} if start else {}
    if start and version is not None:
        headers["If-Range"] = version
    request = urllib.request.Request(parts._replace(path=path, query=query).geturl(), headers=headers)
    if token is not None:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    return request
