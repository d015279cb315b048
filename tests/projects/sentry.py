"""A Sentry of this machine: takes what the SDK sends over HTTP, and keeps it."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Sentry:
    """``dsn`` is for ``SENTRY_DSN``."""

    def __init__(self, port: int) -> None:
        self.dsn = f"http://public@127.0.0.1:{port}/1"
        self._items: list[tuple[str, dict[str, Any]]] = []

    def take(self, envelope: bytes) -> None:
        """An envelope: its header in a line, then a header and a payload for each item."""
        rest = envelope.partition(b"\n")[2]
        while rest.strip():
            line, _, rest = rest.partition(b"\n")
            header = json.loads(line)
            length = header.get("length", rest.find(b"\n") if b"\n" in rest else len(rest))
            payload, rest = rest[:length], rest[length:].removeprefix(b"\n")
            if header["type"] in ("event", "transaction", "check_in"):
                self._items.append((header["type"], json.loads(payload)))

    def sent(self, kind: str) -> list[dict[str, Any]]:
        """What came of one kind."""
        return [payload for type_, payload in list(self._items) if type_ == kind]


@contextmanager
def capturing() -> Iterator[Sentry]:
    """On a free loopback port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            sentry.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        sentry = Sentry(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield sentry
        finally:
            server.shutdown()
            thread.join()
