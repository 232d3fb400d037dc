"""Tar shards, and a server on this machine that hands out the files of a folder."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import numpy as np
from PIL import Image


def png(seed: int, size: int = 8) -> bytes:
    """An image of random pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_tar(path: Path, files: Mapping[str, bytes | str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def write_shards(folder: Path, split: str = "train", shards: int = 3, n: int = 8, first: int = 0) -> Path:
    """`split-0.tar`, ... with `n` images each, cats and dogs in turn."""
    for shard in range(shards):
        samples: dict[str, bytes | str] = {}
        for number in range(n):
            seed = first + shard * n + number
            samples |= {f"{seed:04}.png": png(seed), f"{seed:04}.cls": ("cat", "dog")[number % 2]}
        write_tar(folder / f"{split}-{shard}.tar", samples)
    return folder


class Server:
    """What a test may look at and break.

    Attributes:
        url: where it listens.
        asked: every path that was asked for, with the range.
        failures: answers to give before the file itself: a status, or "cut" for half of what was asked.
        tokens: what was given for authorization.
        version_header: what tells the version of a file; None is a server that tells none.
        knows_if_range: whether it gives the whole of a file of another version.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[tuple[str, str | None]] = []
        self.failures: list[int | str] = []
        self.tokens: list[str | None] = []
        self.version_header: str | None = "ETag"
        self.knows_if_range = True

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]


@contextmanager
def serving(
    folder: Path, pages: Mapping[str, bytes | Path] | None = None, refused: Mapping[str, tuple[int, str]] | None = None
) -> Iterator[Server]:
    """Serve a folder over HTTP, with ranges.

    Args:
        pages: further paths -> what is there.
        refused: paths -> status, and the reason in the Hub's header.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path, asked_range = unquote(self.path.split("?")[0]), self.headers.get("Range")
            server.asked.append((path, asked_range))
            server.tokens.append(self.headers.get("Authorization"))
            failure = server.failures.pop(0) if server.failures else None
            if isinstance(failure, int):
                self.answer(failure, b"")
                return
            if path in (refused or {}):
                status, reason = (refused or {})[path]
                self.answer(status, b"", reason=reason)
                return
            found = (pages or {}).get(path, folder / path.lstrip("/"))
            if isinstance(found, Path) and not found.is_file():
                self.answer(404, b"")
                return
            content = found.read_bytes() if isinstance(found, Path) else found
            version = f'"{sha256(content).hexdigest()}"'
            if server.knows_if_range and self.headers.get("If-Range", version) != version:
                asked_range = None
            start, end = 0, len(content)
            if asked_range:
                first, _, last = asked_range.removeprefix("bytes=").partition("-")
                start, end = int(first), min(int(last) + 1, end) if last else end
                if start >= len(content):
                    self.answer(416, b"")
                    return
            piece = content[start:end]
            self.answer(
                206 if asked_range else 200,
                piece[: len(piece) // 2] if failure == "cut" else piece,
                len(piece),
                version=version,
            )

        def answer(
            self, status: int, body: bytes, length: int | None = None, reason: str = "", version: str = ""
        ) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", reason)
            if server.version_header and version:
                self.send_header(server.version_header, version)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = Server(f"http://127.0.0.1:{http.server_port}")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
