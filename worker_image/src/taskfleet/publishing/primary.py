"""Redis behind its circuit breaker: while it is known to be dead, it costs no publish its time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import redis
from redis.exceptions import NoScriptError
from redis.exceptions import TimeoutError as RedisTimeoutError

from taskfleet.brokers.eta import seconds_until
from taskfleet.brokers.redis import commands
from taskfleet.brokers.redis.commands import Command, Keys
from taskfleet.brokers.redis.pipeline import Pipeline
from taskfleet.contract.environment import PRIMARY
from taskfleet.contract.messages import REDIS_PROBE
from taskfleet.publishing.breaker import Breaker, State
from taskfleet.publishing.group_commit import Entry, GroupCommit
from taskfleet.publishing.outgoing import Outgoing
from taskfleet.publishing.probe import Probe
from taskfleet.publishing.refusal import NOT_ACCEPTED, Refusal

# What goes out in one round trip: some milliseconds of Redis's time.
MOST_MESSAGES = 500
MOST_BYTES = 1024 * 1024
# How long a publish waits for a replica: Redis says so before the pipeline gives up on its answer.
CONFIRM_TIMEOUT_MS = 200

BREAKER_OPEN = Refusal("its circuit breaker is open: it did not answer lately")
# The round trip after a silence connects anew, which may be in vain for as long again.
SILENT = Refusal("it did not answer those before this one, which waited for them")

# kombu's names, and no prefix.
_KEYS = Keys(unacked="unacked", index="unacked_index", prefix="")
# Done as a publish is, by a script that writes: a replica answers a PING as well.
_PROBE: Command = ["EVAL", "redis.call('SET', KEYS[1], '1', 'EX', 60)", 1, REDIS_PROBE]


class Primary:
    """Safe for threads and greenlets; one per process, or two: those with ``replicas`` wait for them.

    A publish that does returns when so many replicas have it: a failover can't lose it then. One of several
    is enough, as ElastiCache promotes the one that is the least behind.
    """

    def __init__(
        self, connect: Callable[[], redis.Connection], *, replicas: int = 0, breaker: Breaker | None = None
    ) -> None:
        self._pipeline, self._replicas = Pipeline(connect), replicas
        self._breaker = breaker or Breaker()
        self._probe = Probe(self._breaker, self.answers)
        self._commit = GroupCommit(
            self._exchange, round_trips=1, most_messages=MOST_MESSAGES, most_bytes=MOST_BYTES
        )

    def offer(self, messages: Sequence[Outgoing]) -> None:
        """Each is accepted, or has why not (``by_primary``)."""
        if not self._breaker.allows():
            self._probe.start()  # unless it runs, as it should
            for message in messages:
                message.by_primary = BREAKER_OPEN
            return
        entries = [_entry(message) for message in messages]
        self._commit.send(entries)
        for message, entry in zip(messages, entries, strict=True):
            message.by_primary = entry.refusal
            if message.by_primary is None:
                message.accepted_by = PRIMARY

    def answers(self, within_seconds: float = 2.0) -> bool:
        """Whether it takes a write, and its replicas too if publishes wait for them."""
        probe = Entry(_PROBE, 0, ends_at=time.monotonic() + within_seconds, probe=True)
        self._commit.send([probe])
        return probe.refusal is None

    def _exchange(self, entries: Sequence[Entry]) -> None:
        if self._breaker.state is State.OPEN:  # others found it dead while these waited
            for entry in entries:
                if not entry.probe:
                    entry.settle(BREAKER_OPEN)
            entries = [entry for entry in entries if entry.probe]
        if entries:
            self._send(entries)
            self._report(entries)

    def _send(self, entries: Sequence[Entry]) -> None:
        answers, copies = self._round_trip([entry.content for entry in entries])
        unknown_script = []
        for entry, answer in zip(entries, answers, strict=True):
            if isinstance(answer, NoScriptError):
                unknown_script.append(entry)
            elif isinstance(answer, BaseException):
                entry.settle(Refusal.of(answer))
            else:
                entry.settle(self._unconfirmed(copies))
        if unknown_script:  # a Redis that was restarted, or failed over
            for entry in unknown_script:
                entry.content = commands.whole(entry.content)
            self._send(unknown_script)

    def _round_trip(self, sent: Sequence[Command]) -> tuple[list[Any], Any]:
        """The answer to each command, and that of the replicas; an error in place of a missing one."""
        waits = [["WAIT", self._replicas, CONFIRM_TIMEOUT_MS]] if self._replicas else []
        answers: list[Any] = []
        try:
            self._pipeline.run([*sent, *waits], answers)
        except NOT_ACCEPTED as error:
            if isinstance(error, RedisTimeoutError):
                self._commit.give_up(SILENT)
            answers += [error] * (len(sent) + len(waits) - len(answers))
        return answers[: len(sent)], answers[len(sent)] if waits else 0

    def _unconfirmed(self, copies: Any) -> Refusal | None:
        if isinstance(copies, BaseException):
            return Refusal(f"no replica confirmed it: {copies}", uncertain=True)
        if copies < self._replicas:
            return Refusal(
                f"{copies} of {self._replicas} replicas have it after {CONFIRM_TIMEOUT_MS} ms", uncertain=True
            )
        return None

    def _report(self, entries: Sequence[Entry]) -> None:
        """Tell the breaker how the broker did: it is well if it took one of them, or keeps a queue closed."""
        refused = [entry.refused for entry in entries if entry.refused and not entry.refused.closed]
        if refused:
            self._pipeline.close()  # the name may lead to another server by now
        if len(refused) < len(entries):
            self._breaker.succeeded()
        elif self._breaker.failed():
            self._probe.start()


def _entry(message: Outgoing) -> Entry:
    priority, text, tag = message.for_redis
    ahead = seconds_until(message.headers, now=time.time())
    known_as = message.comes_from_table_as or tag
    command = commands.publish(_KEYS, message.queue, priority, text, seconds_ahead=ahead, tag=known_as)
    return Entry(command, message.size, ends_at=message.ends_at)
