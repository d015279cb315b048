"""Gather: look at everything once, decide nothing. A source that does not answer is None and a problem."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import redis
from botocore.exceptions import BotoCoreError, ClientError

from taskfleet.contract import names
from taskfleet.contract import state as keys
from taskfleet.contract.manifest import ReleaseManifest
from taskfleet.contract.metrics import WINDOW_SECONDS
from taskfleet.controller import before, judging, unmade
from taskfleet.controller.clients import Clients
from taskfleet.errors import ReleaseError
from taskfleet.measuring import primary
from taskfleet.measuring.depth import PrimaryDepth
from taskfleet.measuring.fallback import FallbackLook
from taskfleet.measuring.holding import holding
from taskfleet.measuring.parked import parked
from taskfleet.measuring.services import Service, services, services_of
from taskfleet.releases import pointer
from taskfleet.releases.comparing import Comparison
from taskfleet.releases.draining import overdue
from taskfleet.releases.gating import wanted
from taskfleet.releases.lease import Lease
from taskfleet.releases.model import LIVE, Published, Record
from taskfleet.releases.observation import Alarms, Begun, Command, Deployment, Rules
from taskfleet.releases.store import NO_POINTER, Snapshot
from taskfleet.scaling.holds import Hold

T = TypeVar("T")
_AWS = (BotoCoreError, ClientError)


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """What was seen. ``known`` is the snapshot, or the one before it while the table does not answer."""

    now: float
    snapshot: Snapshot | None
    known: Snapshot | None
    manifests: Mapping[str, ReleaseManifest] | None
    begun: Mapping[str, Begun] | None  # releases whose stack is there, and not their manifest
    deployments: Mapping[str, Deployment] | None
    published: Published | None
    depths: Mapping[str, PrimaryDepth] | None  # by versioned queue
    holding: Mapping[str, Mapping[str, int]]  # by release whose drain is overdue: tasks by name
    parked: Mapping[str, int] | None  # dead letters that are still on Redis, by versioned queue
    broker_up: bool
    twins: FallbackLook
    dead: FallbackLook
    leases: tuple[Lease, ...] | None  # of producers' processes
    etas: tuple[float, ...] | None  # when the first of the far ETAs is due; empty if none waits
    letters: Mapping[str, int] | None  # in the dead-letter store, by logical queue
    new_letters: int | None  # those of the last `WINDOW_SECONDS`
    services: Mapping[str, Service] | None
    failed: Mapping[str, int] | None  # workers that ended unasked, by service
    before: Mapping[str, Command]  # the commands before the gates of registered releases
    comparisons: Mapping[str, Comparison]  # of a release in its canary with the current one
    alarms: Mapping[str, Alarms]  # of a release that bakes
    problems: tuple[str, ...]

    @property
    def holds(self) -> Mapping[str, Hold]:
        """What people hold now, by service."""
        return self.known.holds.at(self.now) if self.known else {}

    @property
    def live(self) -> list[Record]:
        """The releases whose workers run and whose queues may hold work."""
        records = self.known.records.values() if self.known else ()
        return sorted((r for r in records if r.state in LIVE), key=lambda r: (r.since, r.release))


class Problems(list[str]):
    """Collects what did not answer, in words for a person."""

    def ask(self, what: str, question: Callable[[], T], errors: tuple[type[Exception], ...]) -> T | None:
        """The answer, or None and one problem more."""
        try:
            return question()
        except errors as error:
            self.append(f"{what}: {error}")
            return None


def gather(clients: Clients, *, now: float, last: Snapshot | None, rules: Rules) -> Gathered:
    """Look at everything. ``last`` is the snapshot of the look before, None at the first."""
    env, problems = clients.environment, Problems()
    manifests = problems.ask(
        "SSM does not list manifests", lambda: pointer.manifests(clients.ssm, env), (*_AWS, ValueError)
    )
    begun = problems.ask(
        "what has become of stacks that were begun is not known",
        lambda: None if manifests is None else unmade.look(clients, manifests),
        (*_AWS, ValueError),
    )
    deployments = problems.ask(
        "SSM does not list deployments", lambda: pointer.deployments(clients.ssm, env), _AWS
    )
    published = problems.ask(
        "SSM does not tell the pointer", lambda: pointer.published(clients.ssm, env), (*_AWS, ValueError)
    )
    snapshot = problems.ask(
        "DynamoDB does not tell the state",
        lambda: _snapshot(clients, last, {**(manifests or {}), **(begun or {})}, rules),
        (*_AWS, ReleaseError, ValueError, KeyError),
    )
    known = snapshot or last
    leases = problems.ask(
        "DynamoDB does not tell who publishes", clients.leases.list, (*_AWS, ValueError, KeyError)
    )
    etas = problems.ask("DynamoDB does not tell what is due", clients.etas.next_due, (*_AWS, KeyError))
    counted = "DynamoDB does not count dead letters"
    letters = problems.ask(counted, lambda: clients.letters.counts(_queues_of_all(known)), _AWS)
    since = now - WINDOW_SECONDS
    new = problems.ask(counted, lambda: clients.letters.counts(_queues_of_all(known), since=since), _AWS)
    records = [r for r in known.records.values() if r.state in LIVE] if known else []
    with ThreadPoolExecutor(max_workers=3) as together:
        lists = together.submit(_primary, clients, records, now, problems)
        sqs = together.submit(_fallback, clients, records, now, problems)
        ecs = together.submit(_ecs, clients, records, now, problems)
    depths, on_redis, held = lists.result()
    twins, dead = sqs.result()
    running, failed = ecs.result()
    commands = problems.ask(
        "ECS does not tell the command before a gate", lambda: before.look(clients, records, now), _AWS
    )
    compared = problems.ask(
        "Redis does not tell how the tasks of a canary do",
        lambda: judging.comparisons(clients, records, known.pointer if known else NO_POINTER, now),
        (*_AWS, redis.RedisError, OSError, ValueError),
    )
    rings = problems.ask(
        "CloudWatch does not tell the alarms of a release that bakes",
        lambda: judging.alarms(clients, records),
        _AWS,
    )
    return Gathered(
        now=now,
        snapshot=snapshot,
        known=known,
        manifests=manifests,
        begun=begun,
        deployments=deployments,
        published=published,
        depths=depths,
        holding=held,
        parked=on_redis,
        broker_up=depths is not None,
        twins=twins,
        dead=dead,
        leases=leases,
        etas=etas,
        letters=letters,
        new_letters=None if new is None else sum(new.values()),
        services=running,
        failed=failed,
        before=commands or {},
        comparisons=compared or {},
        alarms=rings or {},
        problems=tuple(problems),
    )


def _snapshot(clients: Clients, last: Snapshot | None, deployed: Iterable[str], rules: Rules) -> Snapshot:
    """The whole table at first, then only what is live or deployed: it grows with every release."""
    if last is None:
        return clients.store.scan()
    live = {name for name, record in last.records.items() if record.state in LIVE}
    gates = (
        {
            gate.key
            for record in last.records.values()
            if record.state in LIVE and record.gate_passed_at is None
            for gate in wanted(record, rules.gate_brokers)
        }
        | {
            keys.gate_beat(record.release)
            for record in last.records.values()
            if record.state in LIVE and record.gate_passed_at is None and record.manifest.beat
        }
        | {
            keys.gate_check(release, check.task)
            for release, checks in last.checks.items()
            if release in live
            for check in checks
        }
    )
    return clients.store.read(live | set(deployed) | {last.pointer.release}, gates)


def _queues_of_all(known: Snapshot | None) -> list[str]:
    """The logical queues that any release has had: its dead letters outlive it."""
    records = known.records.values() if known else ()
    return sorted({queue for record in records for queue in record.manifest.queues})


def _primary(
    clients: Clients, records: Sequence[Record], now: float, problems: Problems
) -> tuple[Mapping[str, PrimaryDepth] | None, Mapping[str, int] | None, Mapping[str, Mapping[str, int]]]:
    late = [record for record in records if overdue(record, now)]
    queues = [queue for record in records for queue in _versioned(record)]
    try:
        held = {record.release: holding(clients.primary, _versioned(record)) for record in late}
        return primary.depths(clients.primary, queues, now=now), parked(clients.primary, queues), held
    # The password comes from Secrets Manager, so reaching the broker can fail there too.
    except (redis.RedisError, OSError, *_AWS) as error:
        problems.append(f"the primary broker does not answer: {error}")
        return None, None, {}


def _versioned(record: Record) -> list[str]:
    return [names.versioned_queue(queue, record.release) for queue in record.manifest.queues]


def _fallback(
    clients: Clients, records: Iterable[Record], now: float, problems: Problems
) -> tuple[FallbackLook, FallbackLook]:
    """Twins of live releases, and the dead-letter queues of their logical queues."""
    env, held = clients.environment, list(records)
    wanted = [names.fallback_queue(env, queue, r.release) for r in held for queue in r.manifest.queues]
    twins = clients.fallback.look(wanted, now=now)
    logical = sorted({queue for r in held for queue in r.manifest.queues})
    # One that does not answer is not asked again in the same look.
    dead = clients.fallback.look([] if twins.problem else [names.dead_letter_queue(env, q) for q in logical])
    problems.extend(each.problem for each in (twins, dead) if each.problem)
    problems.extend(
        f"there is no dead-letter queue {name}: deploy the fleet's stack" for name in dead.missing
    )
    return twins, dead


def _ecs(
    clients: Clients, records: list[Record], now: float, problems: Problems
) -> tuple[dict[str, Service] | None, Mapping[str, int] | None]:
    cluster = names.cluster(clients.environment)
    running = problems.ask("ECS does not tell services", lambda: _services(clients, records), _AWS)
    failed = problems.ask(
        "ECS does not tell stopped tasks", lambda: clients.failures.look(cluster, now=now), _AWS
    )
    return running, failed


def _services(clients: Clients, records: Iterable[Record]) -> dict[str, Service]:
    wanted = [service for record in records for service in services_of(record)]
    return services(clients.ecs, names.cluster(clients.environment), wanted)
