"""An HTTP server in this process, whose faults a test chooses."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote


@dataclass
class Server:
    """A server for a test to look at and to break.

    Attributes:
        url: its address.
        requests: path and range of each request.
        tokens: the Authorization header of each request.
        failures: responses to give before the file itself: a status, or "cut" for half of the bytes asked for.
        redirects: path -> the address it redirects to.
        version_header: the header that identifies a file's version; None sends none.
        supports_ranges: False always sends the whole file.
        supports_if_range: False sends ranges also of another version.
        sends_length: False sends no Content-Length and closes the connection at the end.
    """

    url: str
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    failures: list[int | str] = field(default_factory=list)
    redirects: dict[str, str] = field(default_factory=dict)
    version_header: str | None = "ETag"
    supports_ranges: bool = True
    supports_if_range: bool = True
    sends_length: bool = True

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.requests]

    @property
    def ranges(self) -> list[str | None]:
        return [asked for _, asked in self.requests]


@contextmanager
def serving(
    folder: Path, pages: Mapping[str, bytes | Path] | None = None, refused: Mapping[str, tuple[int, str]] | None = None
) -> Iterator[Server]:
    """Serve a folder over HTTP, with ranges.

    Args:
        pages: further paths -> their content.
        refused: paths -> status, and the reason in the Hub's header.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path, asked = unquote(self.path.split("?")[0]), self.headers.get("Range")
            server.requests.append((path, asked))
            server.tokens.append(self.headers.get("Authorization"))
            failure = server.failures.pop(0) if server.failures else None
            if isinstance(failure, int):
                self.respond(failure, {})
                return
            if path in server.redirects:
                self.respond(302, {"Location": server.redirects[path]})
                return
            if path in (refused or {}):
                status, reason = (refused or {})[path]
                self.respond(status, {"X-Error-Code": reason})
                return
            found = (pages or {}).get(path, folder / path.lstrip("/"))
            if isinstance(found, Path) and not found.is_file():
                self.respond(404, {})
                return
            content = found.read_bytes() if isinstance(found, Path) else found
            version = f'"{sha256(content).hexdigest()}"'
            other_version = server.supports_if_range and self.headers.get("If-Range", version) != version
            if other_version or not server.supports_ranges:
                asked = None
            start, end = 0, len(content)
            if asked:
                first, _, last = asked.removeprefix("bytes=").partition("-")
                start, end = int(first), min(int(last) + 1, end) if last else end
                if start >= len(content):
                    self.respond(416, {"Content-Range": f"bytes */{len(content)}"})
                    return
            piece = content[start:end]
            headers = {} if server.version_header is None else {server.version_header: version}
            sent = piece[: len(piece) // 2] if failure == "cut" else piece
            self.respond(206 if asked else 200, headers, sent, len(piece))

        def respond(self, status: int, headers: Mapping[str, str], body: bytes = b"", length: int = 0) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if server.sends_length:
                self.send_header("Content-Length", str(length))
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
