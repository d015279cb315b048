"""One look after the other: gather, plan, execute, publish."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import redis
from botocore.exceptions import BotoCoreError, ClientError

from taskfleet.contract import names
from taskfleet.controller import observe
from taskfleet.controller.clients import Clients
from taskfleet.controller.collect import collect
from taskfleet.controller.datapoints import datapoints, put
from taskfleet.controller.execute import Execution
from taskfleet.controller.fleet_snapshot import FleetSnapshot, ReleaseSnapshot, total
from taskfleet.controller.gather import Gathered, gather
from taskfleet.controller.leaving import Leaving
from taskfleet.controller.tasks import TaskFigures
from taskfleet.releases.model import LIVE, Published, Record, State
from taskfleet.releases.observation import Memory, Rules
from taskfleet.releases.plan import Plan, plan
from taskfleet.releases.store import NO_HOLDS, NO_POINTER, Snapshot

logger = logging.getLogger(__name__)
_ROUNDS = 5


class Controller:
    """Takes looks. What it remembers between them may be lost at any time: counting starts again."""

    def __init__(
        self, clients: Clients, *, rules: Rules | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._clients, self._rules, self._clock = clients, rules or Rules(), clock
        self._started = clock()
        self._memory = Memory()
        self._remembered = observe.NOTHING
        self._leaving = Leaving()
        self.tasks = TaskFigures()
        self._snapshot: Snapshot | None = None
        self._published: Published | None = None
        self.last: FleetSnapshot | None = None

    def look(self) -> FleetSnapshot:
        """Take one look and act on it. Failing edges are problems in it, not exceptions."""
        # As exact as the state table keeps it, so that what comes back from there compares equal.
        now, begun = round(self._clock(), 3), time.monotonic()
        seen = gather(self._clients, now=now, last=self._snapshot, rules=self._rules)
        self._remembered = observe.remembered(seen, self._clients.environment, self._remembered)
        planned, problems = self._act(seen)
        problems += collect(self._clients, seen)
        problems += self._leaving.look(self._clients, seen)
        problems += self._count_tasks(seen)
        self._remembered = replace(self._remembered, runs=self.tasks.recent(now))
        look = self._build(seen, planned, (*seen.problems, *problems), took=time.monotonic() - begun)
        self.last = look
        self._publish(look)
        for problem in look.problems:
            logger.warning("%s", problem)
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("look %s", look.to_json())
        return look

    def _act(self, seen: Gathered) -> tuple[Plan | None, list[str]]:
        """Plan and carry out; nothing while the state table does not answer.

        What one round makes possible (registered, so gated; passed, so promoted) is done by the next at
        once: a deploy waits for it.
        """
        observation = observe.observation(seen, self._clients.environment)
        if observation is None:
            return None, []
        before = self._memory.consecutive_empty_looks  # a look counts once, however many rounds it takes
        for _ in range(_ROUNDS):
            planned = plan(
                observation,
                replace(self._memory, consecutive_empty_looks=before),
                self._rules,
            )
            done = Execution.of(observation, self._clients, self._clock)
            problems = done.run(planned.actions)
            self._memory = done.remembered(planned.memory)
            changed = (done.records, done.pointer) != (observation.records, observation.pointer)
            observation = done.after(observation)
            if problems or not changed:
                break
        self._snapshot = Snapshot(
            dict(observation.records),
            observation.pointer,
            dict(observation.proofs),
            seen.snapshot.beat_at if seen.snapshot else None,
            seen.snapshot.holds if seen.snapshot else NO_HOLDS,
            dict(observation.checks),
            dict(observation.verdicts),
        )
        self._published = observation.published
        return planned, [*planned.problems, *problems]

    def _build(
        self, seen: Gathered, planned: Plan | None, problems: tuple[str, ...], *, took: float
    ) -> FleetSnapshot:
        known = self._snapshot
        records = known.records if known else {}
        return FleetSnapshot(
            environment=self._clients.environment,
            at=seen.now,
            took_seconds=round(took, 3),
            current=(known.pointer if known else NO_POINTER).release,
            published=_release_of(self._published if planned else seen.published),
            broker_up=seen.broker_up,
            fallback_up=_both_up(seen),
            beat_age_seconds=self._beat_age(seen),
            dead_letters=_dead_letters(seen, self._clients.environment),
            new_dead_letters=seen.new_letters,
            drain_overdue=len(planned.overdue) if planned else None,
            releases=tuple(self._release(record, seen, planned) for record in _order(records)),
            problems=problems,
            next_eta=next(iter(seen.etas or ()), None),
            etas_late_seconds=_late(seen),
        )

    def _release(self, record: Record, seen: Gathered, planned: Plan | None) -> ReleaseSnapshot:
        beat = observe.beat(record, seen)
        return ReleaseSnapshot(
            release=record.release,
            state=str(record.state),
            ready=record.ready,
            since=record.since,
            image=record.image,
            reason=record.history[-1].reason if record.history else "",
            empty_looks=self._memory.consecutive_empty_looks.get(record.release, 0),
            overdue=planned is not None and record.release in planned.overdue,
            pools=observe.pools(record, seen, self._clients.environment, self._remembered),
            producers=observe.producers(record, seen),
            beat=record.manifest.beat,
            beat_desired=beat.desired if beat else None,
            beat_running=beat.running if beat else None,
            judged=str(seen.comparisons.get(record.release) or seen.alarms.get(record.release) or ""),
        )

    def _beat_age(self, seen: Gathered) -> float | None:
        """Since the last tick; before the first one, since this controller began to wait for it."""
        if seen.snapshot is None:
            return None
        return max(0.0, seen.now - (seen.snapshot.beat_at or self._started))

    def _count_tasks(self, seen: Gathered) -> list[str]:
        """Once a minute: what workers counted of their tasks. What went wrong."""
        if not seen.broker_up:
            return []  # it is a problem already, and another time-out long
        clients, releases = self._clients, [record.release for record in seen.live]
        try:
            hour = self.tasks.look(clients.primary, clients.environment, releases, seen.now)
            if hour is not None:
                clients.store.write_hour(hour.to_json())
        except (redis.RedisError, OSError, ValueError, BotoCoreError, ClientError) as error:
            return [f"what tasks experienced is not known: {error}"]
        return []

    def _publish(self, look: FleetSnapshot) -> None:
        """To CloudWatch and to the state table; neither may keep the other from it."""
        clients = self._clients
        steps: dict[str, Callable[[], None]] = {
            "CloudWatch takes no metrics": lambda: put(clients.cloudwatch, datapoints(look), at=look.at),
            "DynamoDB does not keep the look": lambda: clients.store.write_look(look.to_json(), at=look.at),
        }
        for what, step in steps.items():
            try:
                step()
            except (BotoCoreError, ClientError) as error:
                logger.warning("%s: %s", what, error)


def _release_of(published: Published | None) -> str | None:
    return published.release if published else None


def _order(records: Mapping[str, Record]) -> list[Record]:
    """The current release first, then the others that live, the newest first."""
    live = [record for record in records.values() if record.state in LIVE]
    return sorted(live, key=lambda r: (r.state is not State.CURRENT, -r.since, r.release))


def _late(seen: Gathered) -> float | None:
    return None if seen.etas is None else max([0.0, *(seen.now - due for due in seen.etas)])


def _both_up(seen: Gathered) -> bool | None:
    answers = [look.up for look in (seen.twins, seen.dead) if look.up is not None]
    return all(answers) if answers else None


def _dead_letters(seen: Gathered, environment: str) -> dict[str, int | None]:
    """By logical queue: in the store, and what SQS put aside that is not there yet."""
    queues = sorted({*(seen.letters or ()), *(q for record in seen.live for q in record.manifest.queues)})
    return {queue: _dead(seen, names.dead_letter_queue(environment, queue), queue) for queue in queues}


def _dead(seen: Gathered, name: str, queue: str) -> int | None:
    depth = seen.dead.depths.get(name)
    # One that does not exist holds nothing, and one of a queue that no live release has is not asked.
    on_sqs = 0 if name in seen.dead.missing else depth.total if depth else None
    if on_sqs is None and not any(queue in record.manifest.queues for record in seen.live):
        on_sqs = 0
    in_store = None if seen.letters is None else seen.letters.get(queue, 0)
    return total((on_sqs, in_store))
