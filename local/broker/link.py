"""A client's connection through the front, and the connection to the server that belongs to it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Protocol


class Half(asyncio.Protocol):
    """One side of a link. What it reads is written to the other side."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._link.made(self)

    def data_received(self, data: bytes) -> None:
        self._link.carry(self, data)

    def connection_lost(self, error: Exception | None) -> None:
        self._link.lost(self)

    def pause_writing(self) -> None:
        self._link.other(self).read(False)

    def resume_writing(self) -> None:
        if not self._link.held:
            self._link.other(self).read(True)

    def read(self, on: bool) -> None:
        """Take bytes from the peer, or leave them with the kernel."""
        if self.transport is not None:
            with contextlib.suppress(RuntimeError):  # it is closing
                self.transport.resume_reading() if on else self.transport.pause_reading()


class Owner(Protocol):
    """What a link needs to know of its front."""

    upstream_port: int
    delay_seconds: float
    holding: bool
    links: set[Link]

    def spawn(self, coroutine: Any) -> None: ...


class Link:
    """Both halves. ``held``: nothing is read now. ``vanished``: what is read is thrown away, for ever."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self.client, self.server = Half(self), Half(self)
        self.held = owner.holding
        self.vanished = False

    def other(self, half: Half) -> Half:
        return self.server if half is self.client else self.client

    def made(self, half: Half) -> None:
        if half is self.client:
            self._owner.links.add(self)
            half.read(False)
            self._owner.spawn(self._connect())
        elif self.client.transport.is_closing():
            half.transport.abort()
        else:
            self.hold(self.held)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: self.server, "127.0.0.1", self._owner.upstream_port)
        except OSError:
            self.client.transport.abort()  # as a host where nobody listens on the port

    def carry(self, half: Half, data: bytes) -> None:
        if self.vanished:
            return
        if self._owner.delay_seconds:
            later = asyncio.get_running_loop().call_later
            later(self._owner.delay_seconds, self._write, self.other(half), data)
        else:
            self._write(self.other(half), data)

    def _write(self, half: Half, data: bytes) -> None:
        if not self.vanished and half.transport is not None and not half.transport.is_closing():
            half.transport.write(data)

    def lost(self, half: Half) -> None:
        """One side is gone: so is the other, unless the two no longer know of each other."""
        other = self.other(half)
        if other.transport is None or other.transport.is_closing():
            self._owner.links.discard(self)
        elif not self.vanished:
            other.transport.close()

    def hold(self, on: bool) -> None:
        """Read nothing on either side, or go on."""
        self.held = on
        self.client.read(not on)
        self.server.read(not on)

    def abort(self) -> None:
        """Reset both sides."""
        for half in (self.client, self.server):
            if half.transport is not None:
                half.transport.abort()
