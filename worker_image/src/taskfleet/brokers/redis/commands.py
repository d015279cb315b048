"""Call the scripts by their digest, or with their text where Redis lacks them (a restart, a failover)."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis
from kombu.utils.json import dumps
from redis.exceptions import NoScriptError

from taskfleet.brokers import eta
from taskfleet.brokers.redis import scripts
from taskfleet.contract.limits import REDIS_LEASE_SECONDS

Command = list[Any]

# How far ahead `unacked_index` says that a held message becomes visible to stock workers.
STOCK_VISIBILITY_SECONDS = 6 * 3600
# Given back in one call: some milliseconds of Redis's time.
BATCH = 500


@dataclass(frozen=True)
class Lease:
    """How long a silent worker keeps its messages. All workers of a broker must agree."""

    seconds: float = REDIS_LEASE_SECONDS

    @property
    def beat_seconds(self) -> float:
        """Between two signs of life."""
        return self.seconds * 3 / 13

    @property
    def step_seconds(self) -> float:
        """The most that the broker's clock advances at once.

        More than a beat, so that it runs true with a single worker. The less it is, the longer the
        living have to come back after an outage: the lease less a beat and a step, 6 of 13 seconds.
        """
        return self.seconds * 4 / 13

    def milliseconds(self) -> tuple[int, int]:
        """The step and the lease, for the scripts."""
        return int(self.step_seconds * 1000), int(self.seconds * 1000)


class Script:
    """One script, and the digest that Redis knows it by."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


_FETCH, _ACKNOWLEDGE = Script(scripts.FETCH), Script(scripts.ACKNOWLEDGE)
_GIVE_BACK, _BEAT = Script(scripts.GIVE_BACK), Script(scripts.BEAT)
_SETTLE, _PUBLISH = Script(scripts.SETTLE), Script(scripts.PUBLISH)
_POSTPONE = Script(scripts.POSTPONE)
_RENEW = Script(scripts.RENEW)

_TEXTS = {script.digest: script.text for script in (_PUBLISH,)}


@dataclass(frozen=True)
class Keys:
    """Where kombu's channel keeps its books; both names include the prefix."""

    unacked: str
    index: str
    prefix: str

    def command(self, script: Script, *arguments: object, whole: bool = False) -> Command:
        """The command that runs a script. ``whole`` sends the text, which also loads it."""
        how = ("EVAL", script.text) if whole else ("EVALSHA", script.digest)
        return [*how, 2, self.unacked, self.index, self.prefix, *arguments]


def fetch(
    keys: Keys,
    *,
    session: str,
    number: int,
    many: int,
    queues: Sequence[str],
    priorities: Iterable[int],
    rotate: bool,
    acknowledge: Collection[str],
    whole: bool,
) -> Command:
    """The command that fetches. Sent without waiting for its answer, so it is not run here."""
    names = [part for queue in queues for part in (queue, json.dumps(queue))]
    head = (session, number, many, STOCK_VISIBILITY_SECONDS * 1000, int(rotate), scripts.BELL_WAIT_MS)
    counts = (len(acknowledge), len(queues))
    return keys.command(_FETCH, *head, *counts, *acknowledge, *names, *priorities, whole=whole)


def publish(keys: Keys, queue: str, priority: int, text: str, *, seconds_ahead: float, tag: str) -> Command:
    """The command that pushes a message of kombu's (its ``text``) and rings, or keeps it until its ETA.

    Many of them go out together. Sent twice by a retry of the client, a message that waits is still one, by
    its ``tag``: the publisher's, and new for each publish.
    """
    return keys.command(_PUBLISH, queue, priority, text, max(0, round(1000 * seconds_ahead)), tag)


def whole(command: Command) -> Command:
    """A command of `publish` with the script's text, for a Redis that answered NOSCRIPT."""
    return ["EVAL", _TEXTS[command[1]], *command[2:]]


def renew(keys: Keys, lease: Lease, session: str) -> Command:
    """The command that says that a session lives, for whoever can't be asked to load a script."""
    step, _ = lease.milliseconds()
    return [str(part) for part in keys.command(_RENEW, session, step, whole=True)]


class Commands:
    """The scripts that are waited for, over one client."""

    def __init__(self, client: Any, keys: Keys, lease: Lease) -> None:
        self.client = client
        self.keys = keys
        self.lease = lease

    def acknowledge(self, session: str, tags: Collection[str]) -> None:
        """These deliveries are done."""
        self._run(_ACKNOWLEDGE, session, *tags)

    def give_back(self, session: str, tags: Collection[str], *, count: int, to_the_end: bool) -> int:
        """Put deliveries back into their queues; how many there were."""
        return int(self._run(_GIVE_BACK, session, count, "LPUSH" if to_the_end else "RPUSH", *tags))

    def postpone(self, session: str, seconds_by_tag: Mapping[str, float]) -> None:
        """Have these wait in Redis until they are due; their delivery counts stay as they are."""
        times = [(tag, round(1000 * seconds)) for tag, seconds in seconds_by_tag.items()]
        self._run(_POSTPONE, session, *(part for pair in times for part in pair))

    def beat(self, session: str, *, cursor: str) -> tuple[bool, str]:
        """Say that this session lives, and restore what others left. Whether it still does, and a cursor."""
        times = (*self.lease.milliseconds(), STOCK_VISIBILITY_SECONDS * 1000)
        alive, after = self._run(_BEAT, session, *times, cursor, BATCH)
        return bool(alive), after.decode() if isinstance(after, bytes) else str(after)

    def settle(self, old: str, new: str, *, keep: Collection[str] = ()) -> None:
        """End a session, and open the next (unless empty) with the tags to keep. The rest goes back."""
        step, _ = self.lease.milliseconds()
        while not self._run(_SETTLE, old, new, step, BATCH, *keep):
            new, keep = "", ()

    def publish(
        self, queue: str, priority: int, message: Mapping[str, Any], *, replicas: int, wait_ms: int
    ) -> int:
        """Push and ring. With ``replicas``, the number of them that had it in time; else 0."""
        ahead, tag = (
            eta.seconds_until(message.get("headers"), now=time.time()),
            message["properties"]["delivery_tag"],
        )
        first = publish(self.keys, queue, priority, dumps(message), seconds_ahead=ahead, tag=tag)
        for command in (first, whole(first)):
            pipe = redis.Redis.pipeline(self.client, transaction=False)
            pipe.execute_command(*command)
            if replicas:
                pipe.execute_command("WAIT", replicas, wait_ms)
            pushed, *copies = pipe.execute(raise_on_error=False)
            if isinstance(pushed, NoScriptError):
                continue
            for answer in (pushed, *copies):
                if isinstance(answer, Exception):
                    raise answer
            return int(copies[0]) if copies else 0
        raise AssertionError("EVAL never answers NOSCRIPT")

    def fetch(self, **arguments: Any) -> list[bytes]:
        """One fetch that is waited for: queue, tag and message of each and the time, or one number."""
        try:
            return list(self.client.execute_command(*fetch(self.keys, **arguments, whole=False)))
        except NoScriptError:
            return list(self.client.execute_command(*fetch(self.keys, **arguments, whole=True)))

    def _run(self, script: Script, *arguments: object) -> Any:
        try:
            return self.client.execute_command(*self.keys.command(script, *arguments))
        except NoScriptError:
            return self.client.execute_command(*self.keys.command(script, *arguments, whole=True))
