"""Whose turn it is to fire: each release has a beat of its own, and that of the current release fires.

A beat without a release, the fleet's own, fires for releases that have none: those of the version before.

The pointer says whose turn it is, and one item of the state table who has it. A beat whose release is no
longer current first notes what it has sent, then gives the turn back; the next takes it with a conditional
write, and goes on from there. So no firing is missed at a promotion or a rollback, and none is sent twice.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from taskfleet import boot_clock
from taskfleet.contract import state as keys
from taskfleet.contract.leases import CLOCKS_DIFFER_SECONDS, UNLEASED_SECONDS
from taskfleet.contract.manifest import ReleaseManifest
from taskfleet.contract.parameters import NO_RELEASE
from taskfleet.logs import logger
from taskfleet.publishing.memory import Memory
from taskfleet.releases.items import plain, wire

# How often a beat asks whether it is its turn: the current one to give it back, another one to take it.
LOOK_SECONDS = 2.0
# Its turn ends so long after it was last written, if it can't write: what `Memory` allows without asking.
TURN_SECONDS = UNLEASED_SECONDS
RENEW_SECONDS = 10.0


@dataclass(frozen=True)
class Turn:
    """Whose it is. ``release`` is empty when it was given back, at ``at``; ``until`` ends it by itself.

    ``beat`` is empty, too, when its beat ended with it: then nobody was to go on at once.
    """

    release: str = ""
    beat: str = ""
    version: int = 0
    at: float = 0.0
    until: float = -math.inf

    def free_for(self, release: str, now: float) -> bool:
        """Whether a beat of this release may take it. ECS runs one of each: it succeeds the one before."""
        return self.release in ("", release) or now > self.until + CLOCKS_DIFFER_SECONDS


class Turns:
    """The item, read and written; errors of AWS pass through."""

    def __init__(self, dynamodb: Callable[[], Any], table: str) -> None:
        self._dynamodb, self._table = dynamodb, table

    def is_current(self, release: str) -> bool:
        """Whether the beat of this release is to fire now; for `NO_RELEASE`, whether the fleet's is."""
        pointer = self._get(keys.POINTER)
        if release != NO_RELEASE:
            return pointer is not None and pointer["release"] == release
        return pointer is None or not self._has_beat(pointer["release"])

    def _has_beat(self, release: str) -> bool:
        record = self._get(keys.release(release))
        return record is not None and ReleaseManifest.from_json(record["manifest"]).beat

    def read(self) -> Turn:
        """Whose turn it is."""
        item = self._get(keys.BEAT_TURN)
        if item is None:
            return Turn()
        return Turn(
            item["release"], item["beat"], int(item["version"]), float(item["at"]), float(item["until"])
        )

    def write(self, turn: Turn) -> bool:
        """Over the version before it; False if that is not there any more."""
        before = wire({":before": turn.version - 1})
        condition = "version = :before" if turn.version > 1 else f"attribute_not_exists({keys.KEY})"
        more = {"ExpressionAttributeValues": before} if turn.version > 1 else {}
        try:
            self._dynamodb().put_item(
                TableName=self._table,
                Item=wire({keys.KEY: keys.BEAT_TURN, **vars(turn)}),
                ConditionExpression=condition,
                **more,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return False
            raise
        return True

    def _get(self, key: str) -> dict[str, Any] | None:
        reply = self._dynamodb().get_item(
            TableName=self._table, Key=wire({keys.KEY: key}), ConsistentRead=True
        )
        return plain(reply["Item"]) if "Item" in reply else None


class Ours:
    """Whether the turn is this beat's, asked at each tick.

    ``give`` notes what was sent, and is False if it could not; ``take`` goes on from what was noted,
    ``True`` for it if the turn was given back just now, and is False if that can't be read.
    """

    def __init__(
        self,
        release: str,
        turns: Turns,
        *,
        give: Callable[[], bool],
        take: Callable[[bool], bool],
        clock: Callable[[], float] = boot_clock.now,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._release, self._turns, self._give, self._take = release, turns, give, take
        self._clock, self._wall = clock, wall
        self._beat = secrets.token_hex(4)
        self._turn = Turn()
        self._fires = False
        self._memory = Memory()
        self._asked_at = -math.inf
        self._said: str | None = None

    def is_it(self) -> bool:
        """Ask if it is time to; whether to fire now."""
        now = self._clock()
        if now - self._asked_at >= LOOK_SECONDS:
            self._asked_at = now
            try:
                self._look()
                self._memory.succeeded(now)
                self._said = None
            except (BotoCoreError, ClientError) as error:
                self._memory.failed(now, self._clock())
                self._say(error)
        # While nobody answers, nobody else can take the turn either: it goes on, unless it stood still.
        return self._fires and self._memory.holds(self._clock(), leased_until=-math.inf)

    def give_back(self) -> None:
        """At its end; what could not be written ends by itself."""
        try:
            if self._is_held():
                self._end(beat="")
        except (BotoCoreError, ClientError) as error:
            logger.warning("beat's turn could not be given back: it ends in %g s: %s", TURN_SECONDS, error)

    def _look(self) -> None:
        current = self._turns.is_current(self._release)
        if self._fires and self._wall() < self._turn.until - TURN_SECONDS + RENEW_SECONDS and current:
            return
        if self._is_held():
            self._go_on() if current else self._end()
        elif current:
            self._begin()

    @property
    def _whose(self) -> str:
        return "the fleet" if self._release == NO_RELEASE else f"release {self._release}"

    def _is_held(self) -> bool:
        return self._turn.release == self._release

    def _go_on(self) -> None:
        if not self._write(self._release):
            self._fires, self._turn = False, Turn()
            logger.warning("another beat has taken the turn of %s", self._whose)
        elif not self._fires:
            self._fires = self._take(False)

    def _end(self, beat: str | None = None) -> None:
        """Fires no more from now on, whether or not this can be noted."""
        self._fires = False
        # Written first: what another beat has sent since must not be forgotten for what this one noted.
        if not self._write(self._release):
            self._turn = Turn()
        elif self._give() and self._write("", beat):
            self._turn = Turn()
            logger.info("the beat of %s has given its turn back", self._whose)

    def _begin(self) -> None:
        found = self._turns.read()
        if not found.free_for(self._release, self._wall()):
            return
        self._turn = found
        if not self._write(self._release):
            self._turn = Turn()
            return
        given_back = not found.release and found.beat != ""
        self._fires = self._take(given_back and self._wall() - found.at < 2 * TURN_SECONDS)
        logger.info("the beat of %s fires from now on", self._whose)

    def _write(self, release: str, beat: str | None = None) -> bool:
        now, by = self._wall(), self._beat if beat is None else beat
        turn = Turn(release, by, self._turn.version + 1, now, now + TURN_SECONDS)
        written = self._turns.write(turn)
        if written:
            self._turn = turn
        return written

    def _say(self, error: Exception) -> None:
        if self._said != type(error).__name__:
            self._said = type(error).__name__
            logger.error("can't tell whether it is this beat's turn: %s", error)
