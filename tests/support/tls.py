"""The local fleet's TLS front before a test's Valkey, on a loop in a thread of this process."""

from __future__ import annotations

import asyncio
import ssl
import threading
from pathlib import Path

from local.broker import certificates
from local.broker.faults import Command, Fault
from local.broker.front import Front
from tests.support.processes import free_port, listens, wait_for


class TlsFront:
    """Listens with TLS on ``port``; ``ca`` is the file to trust (``SSL_CERT_FILE``)."""

    def __init__(self, directory: Path, upstream_port: int) -> None:
        self.port, self.ca = free_port(), directory / "ca.pem"
        certificate, key = certificates.ensure(directory, self.ca)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        self._loop = asyncio.new_event_loop()
        self._front = Front(port=self.port, upstream_port=upstream_port, context=context)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        """Serve; returns when it listens."""
        self._thread.start()
        self._loop.call_soon_threadsafe(self._front.listen)
        wait_for(lambda: listens(self.port), what=f"the TLS front on port {self.port}")

    def refuse(self) -> None:
        """Cut all connections, and refuse new ones."""
        asyncio.run_coroutine_threadsafe(self._refuse(), self._loop).result(5)

    def move(self, port: int) -> None:
        """Lead new connections to the server there, as an endpoint does after a failover."""
        moved = self._front.apply(Command(fault=Fault.MOVE, port=port))
        asyncio.run_coroutine_threadsafe(moved, self._loop).result(5)

    async def _refuse(self) -> None:
        await self._front.apply(Command(fault=Fault.REFUSE))
        await self._front.apply(Command(fault=Fault.CUT))

    def stop(self) -> None:
        """End it; connections are cut."""
        asyncio.run_coroutine_threadsafe(self._cancel_all(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _cancel_all(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
