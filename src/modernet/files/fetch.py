"""Files over HTTP: tried several times, gone on with where they ended, compared with what they should be."""

from __future__ import annotations

import hashlib
import http.client
import ssl
import string
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlsplit

from modernet import progress
from modernet.errors import InputError
from modernet.files.cache import cache_folder

_PAUSES_S = (1.0, 2.0, 4.0, 8.0)  # between five attempts
_PATIENCE_S = 30.0  # without a byte
_CHUNK = 1 << 20
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})  # answers that may be others in a moment
_NETWORK = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError)
_FAILURES = (*_NETWORK, ValueError)  # the last is what Python's client says of addresses and answers without sense

_Fetched = TypeVar("_Fetched")


class FetchError(InputError):
    """A file that could not be had.

    Attributes:
        status: the server's answer; None where it gave none.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status

    def __reduce__(self) -> tuple[type[FetchError], tuple[str, int | None]]:
        return FetchError, (str(self), self.status)  # it crosses from a worker process to the training process


def fetch(
    url: str, target: Path, *, size: int | None = None, sha256: str | None = None, token: str | None = None
) -> None:
    """Fetch a file to `target`.

    What was fetched before the connection broke lies beside it (`.part`), and the next attempt goes on from there,
    also that of a later process, if the server still has the file that it began with (`.part.version` says which).
    Where neither the server nor a checksum tells that, it begins anew.

    Args:
        size: how many bytes it must have, where that is known.
        sha256: its checksum, where that is known.
        token: what lets us in; it is not told to hosts that the server sends us on to.

    Raises:
        FetchError: the server refuses it, does not answer five times, or has another file than expected.
    """
    partial = target.with_name(f"{target.name}.part")
    _persistently(url, lambda: _attempt(url, partial, size, sha256 is not None, token))
    length = partial.stat().st_size
    if sha256 is not None:
        with partial.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    if (size is not None and length != size) or (sha256 is not None and found != sha256):
        _remove(partial)
        raise FetchError(
            f"{url} has changed since it was indexed; make its index.json anew, or, where it has none, remove "
            f"{cache_folder() / 'indexes'}"
        )
    partial.replace(target)
    _remove(partial)


def fetch_bytes(url: str) -> bytes:
    """The content of a small file.

    Raises:
        FetchError: as `fetch`.
    """

    def attempt() -> bytes:
        with urllib.request.urlopen(_request(url), timeout=_PATIENCE_S) as answer:
            content: bytes = answer.read()
            return content

    return _persistently(url, attempt)


def _persistently(url: str, attempt: Callable[[], _Fetched]) -> _Fetched:
    pauses_s = iter(_PAUSES_S)
    while True:
        try:
            return attempt()
        except _FAILURES as error:
            _wait_or_give_up(url, error, next(pauses_s, None))


def _wait_or_give_up(url: str, error: Exception, pause_s: float | None) -> None:
    reason = " ".join(str(getattr(error, "reason", "") or error).split()) or type(error).__name__
    if isinstance(error, urllib.error.HTTPError):
        error.close()  # it is the answer as well
    if isinstance(error, urllib.error.HTTPError) and error.code not in _PASSING:
        raise FetchError(f"cannot fetch {url} ({error.code} {reason}); check the address", error.code) from error
    if isinstance(error, http.client.InvalidURL) or not isinstance(error, _NETWORK):
        raise FetchError(f"cannot fetch {url} ({reason}); check the address") from error
    if pause_s is None:
        raise FetchError(
            f"cannot fetch {url} ({reason}, {len(_PAUSES_S) + 1} times); check the network and start again: "
            "what was fetched stays"
        ) from error
    time.sleep(pause_s)


def _attempt(url: str, partial: Path, size: int | None, compared: bool, token: str | None) -> None:
    """Fetch what is missing of a file.

    Args:
        compared: whether a checksum will tell a file that is pieced together from two.

    Raises:
        ConnectionError: it ended early.
    """
    start = partial.stat().st_size if partial.is_file() else 0
    if size is not None and start >= size:
        return
    begun = (_version_file(partial).read_text() or None) if _version_file(partial).is_file() else None
    if begun is None and not compared:
        start = 0
    try:
        answer = urllib.request.urlopen(_request(url, start, token, begun), timeout=_PATIENCE_S)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        error.close()
        _remove(partial)  # there is nothing after what is here, and whether that is all of it is not known
        raise ConnectionError("the server has less of it than before") from error
    with answer:
        resumed, version = answer.status == 206, _version(answer.headers)
        if resumed and begun is not None and version not in (None, begun):  # it does not know If-Range
            _remove(partial)
            raise ConnectionError("the server has another file than before")
        if not resumed:
            _remove(partial)
            if version is not None:
                _version_file(partial).write_text(version)
        length = answer.headers.get("Content-Length")
        total = None if length is None else int(length) + (start if resumed else 0)
        with (
            partial.open("ab" if resumed else "wb") as out,
            progress.task(f"fetching {url.rpartition('/')[2]}", total or size or 1) as task,
        ):
            task.advance(start if resumed else 0)
            while chunk := answer.read(_CHUNK):
                out.write(chunk)
                task.advance(len(chunk))
    fetched = partial.stat().st_size
    if total is not None and fetched < total:
        raise ConnectionError(f"it ended at {fetched} of {total} bytes")


def _version(headers: http.client.HTTPMessage) -> str | None:
    """What a server calls the content of its file, for If-Range, which takes no weak tag; None where it does not."""
    for value in (headers["ETag"], headers["Last-Modified"]):
        if value is not None and value.isascii() and value.isprintable() and not value.startswith("W/"):
            return value
    return None


def _version_file(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.version")


def _remove(partial: Path) -> None:
    partial.unlink(missing_ok=True)
    _version_file(partial).unlink(missing_ok=True)


def _request(url: str, start: int = 0, token: str | None = None, begun: str | None = None) -> urllib.request.Request:
    """What to ask a server for; letters in the address that HTTP has not are quoted.

    Args:
        start: the first byte wanted.
        begun: the version of the file that the bytes before are of; of another one all is wanted. None is any.

    Raises:
        ValueError: it is no address.
    """
    parts = urlsplit(url)
    path, query = (quote(part, safe=string.punctuation) for part in (parts.path, parts.query))  # quoted "%" stay
    headers = {"Range": f"bytes={start}-"} if start else {}
    if start and begun is not None:
        headers["If-Range"] = begun
    request = urllib.request.Request(parts._replace(path=path, query=query).geturl(), headers=headers)
    if token is not None:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    return request
