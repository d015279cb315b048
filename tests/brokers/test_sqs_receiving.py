"""kombu's HTTP client on an event loop whose sockets forked children have, too."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

from kombu.asynchronous.http import Request
from kombu.asynchronous.http.curl import CurlClient
from kombu.asynchronous.hub import Hub
from taskfleet.brokers.sqs.receiving import http_client


@contextlib.contextmanager
def _child_without(*sockets: socket.socket) -> Iterator[None]:
    """A process that was forked now, and has every socket but these."""
    pid = os.fork()
    if not pid:
        for each in sockets:
            each.close()
        time.sleep(30)
        os._exit(0)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _turns_after_its_peer_is_gone(made: Callable[[Hub], Any]) -> int:
    """Of the loop in half a second: a request is under way, a child is forked, curl closes the connection."""
    hub = Hub()
    client, loop = made(hub), hub.create_loop()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        client.add_request(Request(f"http://127.0.0.1:{server.getsockname()[1]}/", method="POST", body=b"x"))
        peer = None
        while peer is None:
            next(loop)
            with contextlib.suppress(BlockingIOError):
                peer, _ = server.accept()
        next(loop)
        with _child_without(server, peer):
            (under_way,) = (curl for curl in client._curls if curl not in client._free_list)
            client._multi.remove_handle(under_way)
            peer.close()
            turns, end = 0, time.monotonic() + 0.5
            while time.monotonic() < end:
                next(loop)
                turns += 1
    return turns


def test_what_curl_closes_leaves_the_loop_though_a_child_has_it() -> None:
    assert _turns_after_its_peer_is_gone(http_client) < 100


def test_with_kombus_own_the_loop_never_rests_again() -> None:
    """The contrast: if this fails, kombu has mended it and our part may go."""
    assert _turns_after_its_peer_is_gone(CurlClient) > 1000


def test_a_loop_has_one_client() -> None:
    hub = Hub()

    assert http_client(hub) is http_client(hub)
