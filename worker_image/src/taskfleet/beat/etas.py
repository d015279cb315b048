"""Beat's second duty: to send far ETAs when they are due, beside its schedule, while it is its turn."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from celery import Celery

from taskfleet import aws, boot_clock
from taskfleet.contract import etas as keys
from taskfleet.contract.etas import LEAD_SECONDS, LOOK_SECONDS
from taskfleet.etas.eta import Item
from taskfleet.etas.sending import Sending
from taskfleet.etas.store import Etas, size
from taskfleet.logs import logger
from taskfleet.publishing.primary import MOST_MESSAGES

# It stops so long after beat's last tick of its turn: before another beat may take it.
GOES_ON_SECONDS = 10.0
# After an outage the brokers get no more than this.
MOST_PER_SECOND = 2000.0
SAY_EVERY_SECONDS = 10.0
MOST_BYTES = 4 * 1024 * 1024
# A turn that is given back waits so long for the messages that are on their way.
HAND_OVER_SECONDS = 5.0


class DueEtas:
    """Safe to be told from beat's loop while its thread sends."""

    def __init__(
        self,
        app: Celery,
        *,
        lead_seconds: float | None = None,
        clock: Callable[[], float] = boot_clock.now,
    ) -> None:
        self._app, self._clock = app, clock
        self._lead_seconds = LEAD_SECONDS if lead_seconds is None else lead_seconds
        environment = app.taskfleet.settings.environment
        self._etas = Etas(partial(aws.client, "dynamodb", aws.PATIENT), environment)
        self._sending = Sending(app, self._etas)
        self._until = -math.inf
        self._busy, self._over = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None
        self._said: str | None = None

    def go_on(self) -> None:
        """It is this beat's turn; said again at each tick."""
        self._until = self._clock() + GOES_ON_SECONDS
        if self._thread is None or not self._thread.is_alive():
            thread = threading.Thread(target=self._run, name="taskfleet-etas", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no thread can be started now: at the next tick
                return
            self._thread = thread

    def pause(self) -> None:
        """The turn is about to be given back: what is sent is deleted first, or another beat sends it too."""
        self._until = -math.inf
        if self._busy.acquire(timeout=HAND_OVER_SECONDS):
            self._busy.release()

    def stop(self) -> None:
        """Beat ends."""
        self._over.set()
        self.pause()

    def _run(self) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            try:
                if self._may():
                    self.look()
                    self._said = None
            except (BotoCoreError, ClientError, TimeoutError) as error:
                self._say(f"DynamoDB does not answer: {error}")
            except Exception:  # noqa: BLE001 - whatever it is, a thread that ends sends nothing any more
                logger.exception("far ETAs can't be sent, trying on")
            self._over.wait(max(0.5, LOOK_SECONDS - (time.monotonic() - began)))

    def _may(self) -> bool:
        return self._clock() < self._until

    def look(self) -> None:
        """Send all that is due now, as long as it may."""
        progress = _Progress()
        for items in self._due():
            with self._busy:
                if not self._may():
                    return
                sent, problem = self._sending.send(items)
            progress.sent(sent, items)
            if problem is not None:
                self._say(problem)
                if not sent:
                    return  # the brokers are away: all else would wait for them as well
        progress.end()

    def _due(self) -> Iterator[list[Item]]:
        """A page of each shard in turn, so that none waits for another; a look reads no item twice."""
        until = time.time() + self._lead_seconds
        left: dict[str, Item | None] = dict.fromkeys(keys.shards())
        kept: list[Item] = []
        while left:
            for shard, after in list(left.items()):
                found, following = self._etas.due(shard, until=until, after=after, limit=MOST_MESSAGES)
                kept += found
                if following is None:
                    del left[shard]
                else:
                    left[shard] = following
                # A page of large ones is a megabyte: some of them go out sooner.
                if len(kept) >= MOST_MESSAGES or sum(map(size, kept)) >= MOST_BYTES:
                    yield kept
                    kept = []
        if kept:
            yield kept

    def _say(self, problem: str) -> None:
        """Once for each."""
        kind = problem[:40]
        if kind != self._said:
            self._said = kind
            logger.error("far ETAs that are due are not sent, trying on: %s", problem)


class _Progress:
    """Of one look: not too fast, and said in the log while it takes long."""

    def __init__(self) -> None:
        self._began = self._said_at = time.monotonic()
        self._count = 0

    def sent(self, many: int, items: list[Item]) -> None:
        self._count += many
        early = self._began + self._count / MOST_PER_SECOND - time.monotonic()
        if early > 0:
            time.sleep(early)
        now = time.monotonic()
        if now - self._said_at >= SAY_EVERY_SECONDS:
            self._said_at = now
            late = time.time() - min((float(item["due"]["N"]) for item in items), default=time.time())
            said: Any = f"{late:.0f} s late" if late > 0 else "in time"
            logger.info("%d far ETAs sent so far, those of now %s", self._count, said)

    def end(self) -> None:
        if self._count:
            logger.info("%d far ETAs sent in %.1f s", self._count, time.monotonic() - self._began)
