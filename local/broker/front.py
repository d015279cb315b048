"""The broker's TLS front: ends TLS for valkey-server, and can fail on purpose (`local.broker.faults`).

A black hole here is one above TCP: a new connection is still accepted by the kernel, and then hangs in the
TLS handshake, where dropped packets would let it hang in the connect. Bytes that were under way are held
and arrive after healing, as TCP's retransmissions would.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from pathlib import Path
from typing import Any

from local.broker.faults import Command, Fault
from local.broker.link import Link
from local.broker.nodes import moved_to

_HANDSHAKE_SECONDS = 10.0
_log = logging.getLogger("taskfleet.front")


class Front:
    """Listens on ``port`` of 127.0.0.1 with TLS, and connects to ``upstream_port`` without.

    ``moved`` is the file that keeps the port which the endpoint was moved to, if it was.
    """

    def __init__(
        self, *, port: int, upstream_port: int, context: ssl.SSLContext, moved: Path | None = None
    ) -> None:
        # A failover outlives the front: which server is the primary must not depend on who was restarted.
        self._moved = moved
        self.upstream_port = (moved_to(moved) if moved else None) or upstream_port
        self.links: set[Link] = set()
        self.delay_seconds = 0.0
        self.holding = False
        self._port, self._context = port, context
        self._accepting: asyncio.Task[None] | None = None
        self._listener: socket.socket | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, coroutine: Any) -> None:
        """Run it beside, and keep a reference while it runs."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def listen(self) -> None:
        """Serve new connections. Raises ``OSError`` if the port is taken."""
        if self._listener is None:
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self._port))
            listener.listen(512)
            listener.setblocking(False)
            self._listener = listener
        self._accept(True)

    def _accept(self, on: bool) -> None:
        """Take connections from the kernel, or leave them with it."""
        if self._accepting is not None and not on:
            self._accepting.cancel()
            self._accepting = None
        elif on and self._accepting is None and self._listener is not None:
            self._accepting = asyncio.get_running_loop().create_task(self._accept_all(self._listener))

    async def _accept_all(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as error:  # out of descriptors, or the peer is gone again
                _log.warning("cannot accept a connection: %s", error)
                await asyncio.sleep(0.1)
                continue
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.spawn(self._serve(connection))

    async def _serve(self, connection: socket.socket) -> None:
        link = Link(self)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: link.client, connection, ssl=self._context, ssl_handshake_timeout=_HANDSHAKE_SECONDS
            )
        except (OSError, ssl.SSLError) as error:  # a scan of the port, a client without the certificate
            _log.info("no TLS with a client: %s", error)

    async def apply(self, command: Command) -> None:
        """Fail as told, or heal."""
        _log.warning("fault: %s %s", command.fault, command.seconds or "")
        if command.fault is Fault.PASS:
            self._heal()
        elif command.fault is Fault.CUT:
            for link in list(self.links):
                link.abort()
        elif command.fault is Fault.REFUSE:
            await self._refuse()
        elif command.fault is Fault.DELAY:
            self.delay_seconds = command.seconds
        elif command.fault is Fault.MOVE:
            self.upstream_port = command.port
            if self._moved is not None:
                self._moved.write_text(str(command.port))
        elif command.fault is Fault.BLACKHOLE:
            self._hold(True)
        else:
            for link in self.links:
                link.vanished = True

    async def _refuse(self) -> None:
        self._accept(False)
        await asyncio.sleep(0)  # the cancelled accept lets go of the socket first
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _hold(self, on: bool) -> None:
        self.holding = on
        self._accept(not on)
        for link in self.links:
            link.hold(on)

    def _heal(self) -> None:
        """Everything gets through again. Connections whose peers vanished stay dead, as they would be."""
        self.delay_seconds = 0.0
        self.listen()
        self._hold(False)

    async def close(self) -> None:
        """End in order."""
        await self._refuse()
        for link in list(self.links):
            link.abort()
        for task in list(self._tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
