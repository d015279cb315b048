"""An HTTP server between a worker and SQS that answers wrongly when it is told to."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.processes import free_port


class FaultySqs:
    """Passes everything on to ``upstream_port`` unless a fault is set."""

    def __init__(self, upstream_port: int) -> None:
        self.upstream_port, self.port = upstream_port, free_port()
        self._lock = threading.Lock()
        self._fault, self._operation, self._left = "", "", 0
        self.hits = 0
        self.delay_seconds = 0.0  # for everything
        self.targets: list[str] = []
        self._server: ThreadingHTTPServer | None = None

    def fail(self, fault: str, *, operation: str = "ReceiveMessage", times: int = 1) -> None:
        """``fault`` is a status code or ``reset``; ``operation`` may be empty for all of them."""
        with self._lock:
            self._fault, self._operation, self._left = fault, operation, times

    def heal(self) -> None:
        """No fault any more."""
        self.fail("", times=0)

    def next_fault(self, target: str) -> str:
        """The fault for a request, if it is one to spoil."""
        with self._lock:
            self.targets.append(target)
            if self._left <= 0 or self._operation not in target:
                return ""
            self._left -= 1
            self.hits += 1
            return self._fault

    def start(self) -> None:
        """Listen."""
        ThreadingHTTPServer.allow_reuse_address = True
        ThreadingHTTPServer.request_queue_size = 100  # or some of many threads wait a second for their SYN
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections, as an endpoint that is down."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def _handler(faults: FaultySqs) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            time.sleep(faults.delay_seconds)
            fault = faults.next_fault(self.headers.get("X-Amz-Target", ""))
            if fault == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                self.close_connection = True
            elif fault:
                self._answer(int(fault), b'{"__type":"InternalFailure"}', {})
            else:
                self._pass_on(body)

        def _pass_on(self, body: bytes) -> None:
            upstream = http.client.HTTPConnection("127.0.0.1", faults.upstream_port, timeout=30)
            try:
                upstream.request("POST", self.path, body, dict(self.headers.items()))
                reply = upstream.getresponse()
                self._answer(reply.status, reply.read(), dict(reply.getheaders()))
            except OSError:
                self.close_connection = True
            finally:
                upstream.close()

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in {
                    "content-length",
                    "transfer-encoding",
                    "connection",
                    "server",
                    "date",
                }:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    return Handler
