"""Execute: carry out the release plan, action by action. One that fails leaves the rest to be done."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, assert_never

import redis
from botocore.exceptions import BotoCoreError, ClientError
from kombu.exceptions import KombuError
from kombu.exceptions import OperationalError as BrokerError

from taskfleet import stacks
from taskfleet.brokers.redis import closing as primary_closing
from taskfleet.brokers.sqs import closing as fallback_closing
from taskfleet.contract import names
from taskfleet.controller import before, parking
from taskfleet.controller.clients import Clients
from taskfleet.errors import TaskfleetError
from taskfleet.releases import answers, commands, promoting
from taskfleet.releases.actions import (
    Action,
    Answer,
    Await,
    Close,
    Delete,
    DiscardGates,
    EndBake,
    EndCanary,
    FailGate,
    Move,
    Park,
    PassGate,
    Promote,
    Publish,
    Register,
    Renew,
    Reopen,
    Retire,
    Roll,
    RollBack,
    RunBefore,
    SendCheck,
    SendGate,
    Sleep,
    StartCanary,
    StopBefore,
    Unmade,
    WakeBeat,
)
from taskfleet.releases.commands import Promotion
from taskfleet.releases.model import (
    BY_ITSELF,
    Before,
    Pointer,
    Published,
    Record,
    State,
    registered,
    unmade,
)
from taskfleet.releases.observation import Memory, Observation
from taskfleet.releases.store import Conflict

logger = logging.getLogger(__name__)
ACTOR = BY_ITSELF
# Longer than a look whose every source times out: what was seen so long ago may not be so any more.
TOO_OLD_SECONDS = 60.0
# These are no conditional writes, as those of records are: it is made sure of the record right before.
_TAKES_AWAY = (Close, Sleep, Delete, Park)
_NO_SERVICE = frozenset({"ServiceNotFoundException", "ServiceNotActiveException"})
_EXPECTED = (TaskfleetError, BotoCoreError, ClientError, BrokerError, KombuError, redis.RedisError, OSError)


@dataclass
class Execution:
    """Carries actions out against the records as they are after each one."""

    clients: Clients
    now: float
    records: dict[str, Record]
    pointer: Pointer
    published: Published | None
    clock: Callable[[], float] = time.time
    unsent: dict[str, str] = field(default_factory=dict)  # key of a gate task → why no broker took it
    undeleted: set[str] = field(default_factory=set)  # releases whose stack could not be deleted
    away: dict[str, str] = field(default_factory=dict)  # broker → why it took none

    @classmethod
    def of(cls, seen: Observation, clients: Clients, clock: Callable[[], float] = time.time) -> Execution:
        """Ready to change what was seen."""
        return cls(clients, seen.now, dict(seen.records), seen.pointer, seen.published, clock)

    def after(self, seen: Observation) -> Observation:
        """What was seen, with what was done since."""
        return replace(seen, records=self.records, pointer=self.pointer, published=self.published)

    def remembered(self, memory: Memory) -> Memory:
        """What the plan remembers, without the gate tasks that were not sent: they are due at once."""
        sent = {key: at for key, at in memory.gates_sent.items() if key not in self.unsent}
        asked = {name: at for name, at in memory.deletes_asked.items() if name not in self.undeleted}
        memory = replace(memory, deletes_asked=asked)
        return replace(memory, gates_sent=sent, gates_refused={**memory.gates_refused, **self.unsent})

    def run(self, actions: tuple[Action, ...]) -> list[str]:
        """Do them all; returns what went wrong. What somebody else did meanwhile is not wrong."""
        problems = []
        for action in actions:
            if (stood := self.clock() - self.now) > TOO_OLD_SECONDS:
                problems.append(f"this controller stood still: it looked {stood:.0f} s ago, and looks again")
                break
            try:
                if isinstance(action, _TAKES_AWAY):
                    self._make_sure(action.release)
                self._do(action)
            except Conflict as conflict:
                logger.info("left to the next look: %s", conflict)
            except _EXPECTED as error:
                problems.append(f"{type(action).__name__} failed: {error}")
        return problems

    def _make_sure(self, release: str) -> None:
        """`Conflict` if somebody wrote its record, or publishes to it, since it was seen."""
        now = self.clients.store.read([release])
        known, told = now.records.get(release), (now.pointer.release, now.pointer.canary)
        if known is None or known.version != self.records[release].version or release in told:
            raise Conflict(f"release {release} was changed by somebody else meanwhile")

    def _do(self, action: Action) -> None:
        match action:
            case Register(manifest):
                before_it = self.records.get(manifest.release)
                self._register(registered(manifest, at=self.now, actor=ACTOR, before=before_it))
            case Unmade(manifest, reason):
                before_it = self.records.get(manifest.release)
                self._register(unmade(manifest, at=self.now, actor=ACTOR, reason=reason, before=before_it))
            case Move(release, to, reason):
                self._move(self.records[release].moved(to, at=self.now, actor=ACTOR, reason=reason))
            case Renew(manifest):
                self._save(self._next(manifest.release, manifest=manifest))
            case Roll(manifest):
                self._move(self.records[manifest.release].rolled(manifest, at=self.now, actor=ACTOR))
            case FailGate(release, reason):
                self._save(self._next(release, gate_failed=reason))
                logger.error("release %s has not passed its gate: %s", release, reason)
            case PassGate(release, took):
                self._keep_signatures(release)
                self._save(self._next(release, gate_passed_at=self.now, gate_took=took))
                logger.info("the gate of release %s has passed", release)
            case Close(release):
                self._close(release)
            case Reopen(release):
                primary_closing.reopen(self.clients.primary, self._versioned_queues(release))
                fallback_closing.reopen(self.clients.fallback.sqs, self._twins(release))
                self._save(self._next(release, closed_at=None))
                logger.info("release %s is open again", release)
            case Await(release, deployment):
                self._save(self._next(release, deployment=deployment))
            case Answer(release, deployment, url, success, reason):
                if url is not None:
                    answers.send(url, success=success, reason=reason)
                kept = {"kept": deployment} if success else {}
                self._save(self._next(release, answered=deployment, **kept))
                logger.info("the deploy of release %s is answered: %s", release, reason)
            case RunBefore(release, command):
                task = before.start(self.clients, self.records[release], command)
                self._save(self._next(release, before=Before(task, self.now)))
                logger.info("the command before the gate of release %s is task %s", release, task)
            case Sleep(_, services):
                for service in services:
                    self._want(service, 0)
            case WakeBeat(release):
                self._want(names.beat_service(release), 1)
            case Retire(release, actor):
                self._save(self._next(release, retiring=actor))
            case DiscardGates(release):
                fallback_closing.discard_gates(self.clients.fallback.sqs, self._twins(release))
            case Park(release):
                parking.park(self.clients, self.records[release])
            case Delete(release):
                self._delete(release)
            case StopBefore(release, command):
                before.stop(self.clients, self.records[release], command)
            case SendGate() | SendCheck():
                self._send(action)
            case Promote(release, reason):
                self._promote(release, reason)
            case StartCanary(release, reason):
                self._point(commands.start_canary(self.records, self.pointer, release, **self._by(reason)))
            case EndCanary(_, reason, rejected):
                self._point(
                    commands.end_canary(self.records, self.pointer, **self._by(reason), rejected=rejected)
                )
            case RollBack(_, to, reason):
                self._point(commands.roll_back(self.records, self.pointer, to, **self._by(reason)), both=True)
            case EndBake(release, reason):
                self._move(self.records[release].baked(reason, at=self.now, actor=ACTOR))
            case Publish():
                self._publish()
            case _:
                assert_never(action)

    def _send(self, gate: SendGate | SendCheck) -> None:
        """A broker that did not take one is not asked again in the same look: each try takes its time."""
        if gate.broker in self.away:
            self.unsent[gate.key] = self.away[gate.broker]
            return
        try:
            self.clients.gates.send(gate)
        except _EXPECTED as error:
            self.unsent[gate.key] = self.away[gate.broker] = str(error)
            raise

    def _keep_signatures(self, release: str) -> None:
        """From now on each build of a release that is rolled must take what this one takes."""
        build = self.records[release].manifest.build
        if build is not None:
            self.clients.store.keep_signatures(release, build)

    def _close(self, release: str) -> None:
        """At every look. What was found open, though it had been closed, is closed since now."""
        was_open = primary_closing.close(self.clients.primary, self._versioned_queues(release))
        was_open |= fallback_closing.close(self.clients.fallback.sqs, self._twins(release))
        if was_open or self.records[release].closed_at is None:
            self._save(self._next(release, closed_at=self.now))
            logger.info("release %s is closed: nothing is published to it any more", release)

    def _want(self, service: str, tasks: int) -> None:
        """One that is gone with its stack needs none."""
        cluster = names.cluster(self.clients.environment)
        try:
            self.clients.ecs.update_service(cluster=cluster, service=service, desiredCount=tasks)
            logger.info("the service %s %s", service, "is awake" if tasks else "sleeps")
        except ClientError as error:
            if error.response["Error"]["Code"] not in _NO_SERVICE:
                raise

    def _delete(self, release: str) -> None:
        """CloudFormation does it with the role that it made the stack with, which is not the controller's."""
        env = self.clients.environment
        stack = names.release_stack(env, release)
        try:
            stacks.delete(self.clients.cloudformation, stack, environment=env, wait=False)
        except Exception:
            self.undeleted.add(release)
            raise
        logger.info("the stack %s of release %s is being deleted", stack, release)

    def _versioned_queues(self, release: str) -> list[str]:
        return [names.versioned_queue(queue, release) for queue in self.records[release].manifest.queues]

    def _twins(self, release: str) -> list[str]:
        env = self.clients.environment
        return [names.fallback_queue(env, queue, release) for queue in self.records[release].manifest.queues]

    def _next(self, release: str, **changes: object) -> Record:
        record = self.records[release]
        return replace(record, version=record.version + 1, **changes)  # type: ignore[arg-type]

    def _by(self, reason: str) -> dict[str, Any]:
        return {"at": self.now, "actor": ACTOR, "reason": reason}

    def _register(self, record: Record) -> None:
        write = self.clients.store.create if record.version == 1 else self.clients.store.save
        write(record)
        self._noted(record)

    def _move(self, record: Record) -> None:
        if record.state is State.RETIRED and record.manifest.build is not None:
            self.clients.store.keep_no_signatures(record.release)
        self._save(record)
        self._noted(record)

    def _save(self, record: Record) -> None:
        self.clients.store.save(record)
        self.records[record.release] = record

    def _promote(self, release: str, reason: str) -> None:
        self._point(commands.promote(self.records, self.pointer, release, **self._by(reason)))

    def _point(self, made: Promotion | None, *, both: bool = False) -> None:
        """Move the pointer; with ``both`` the record of the one that drains says why, in the same write."""
        if made is None:
            return
        written = [made.green, made.blue] if both and made.blue else [made.green]
        self.clients.store.promote(made.pointer, *written)
        self.pointer = made.pointer
        for record in written:
            self._noted(record)
        self._publish()

    def _publish(self) -> None:
        """What the record says now: this process may have stood still since it looked."""
        self.published = promoting.publish(self.clients.store, self.clients.ssm, self.clients.environment)
        logger.info("release %s is published to producers", self.published.release)

    def _noted(self, record: Record) -> None:
        self.records[record.release] = record
        last = record.history[-1]
        logger.info(
            "release %s: %s -> %s (%s)",
            record.release,
            last.before or "new",
            last.after,
            last.reason,
        )
