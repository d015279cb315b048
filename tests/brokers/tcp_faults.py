"""A TCP proxy before a broker that can cut, refuse, drop and half-open its connections."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from tests.support.processes import free_port


class FaultyTcp:
    """Forwards to ``upstream_port`` until told otherwise. Runs its own loop in a thread."""

    def __init__(self, upstream_port: int) -> None:
        self.upstream_port, self.port = upstream_port, free_port()
        self._loop = asyncio.new_event_loop()
        self._links: set[_Link] = set()
        self._server: asyncio.Server | None = None
        self.black_hole = False
        self.delay_seconds = 0.0  # for everything, in both directions

    def start(self) -> None:
        """Accept connections."""
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._run(self._listen)

    def stop(self) -> None:
        """Refuse, and cut what there is."""
        self.refuse()
        self._run(self._end_tasks)
        self._loop.call_soon_threadsafe(self._loop.stop)

    def refuse(self) -> None:
        """Close the door and every connection, as a host that reboots."""
        self._run(self._close_server)
        self.cut()

    def accept(self) -> None:
        """Open the door again."""
        self._run(self._listen)

    def cut(self) -> None:
        """Close every connection; new ones are fine."""
        self._run(self._close_links)

    def half_open(self) -> None:
        """Both ends of every connection hear nothing any more, not even an end; new ones are fine."""
        for link in list(self._links):
            link.dropped = True

    def drop(self) -> None:
        """Packets vanish, of old connections and of new ones."""
        self.black_hole = True

    def heal(self) -> None:
        """Packets pass again. Connections that lost some stay mute, as TCP would not lose any."""
        self.half_open()
        self.black_hole = False

    def _run(self, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        asyncio.run_coroutine_threadsafe(make(), self._loop).result(5)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self.port, limit=2**20)

    async def _close_server(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _end_tasks(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _close_links(self) -> None:
        for link in list(self._links):
            link.close()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(self, writer)
        self._links.add(link)
        try:
            upstream, to_upstream = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        except OSError:
            link.close()
            return
        link.writers.append(to_upstream)
        await asyncio.gather(link.pump(reader, to_upstream), link.pump(upstream, writer))
        self._links.discard(link)


class _Link:
    """One client connection and its other half."""

    def __init__(self, proxy: FaultyTcp, writer: asyncio.StreamWriter) -> None:
        self.proxy, self.writers, self.dropped = proxy, [writer], False

    async def pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if self.dropped or self.proxy.black_hole:
                    self.dropped = True
                    continue
                await asyncio.sleep(self.proxy.delay_seconds)
                sink.write(data)
                await sink.drain()
        if not self.dropped:
            self.close()

    def close(self) -> None:
        for writer in self.writers:
            writer.transport.abort()
