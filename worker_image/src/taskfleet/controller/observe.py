"""From what was gathered to what the plans look at, and to the look that is kept. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from taskfleet.contract import names
from taskfleet.contract.manifest import PoolManifest
from taskfleet.controller.fleet_snapshot import PoolSnapshot, QueueSnapshot, RunsSnapshot, left
from taskfleet.controller.gather import Gathered
from taskfleet.controller.tasks import runs
from taskfleet.measuring import failed
from taskfleet.measuring.depth import EMPTY, FallbackDepth, PrimaryDepth
from taskfleet.measuring.fetching import Fetching
from taskfleet.measuring.services import Service
from taskfleet.releases.model import Record, State
from taskfleet.releases.observation import Observation
from taskfleet.releases.retiring import wants_no_worker
from taskfleet.scaling import holds
from taskfleet.scaling.capacity_gap import PoolLoad, capacity_gap
from taskfleet.scaling.fallback import FallbackPool
from taskfleet.scaling.history import History
from taskfleet.scaling.rates import Counted, Rates


@dataclass(frozen=True, kw_only=True)
class Remembered:
    """What of one look alone can't be seen. ``histories`` by ECS service, ``fetching`` by versioned queue.

    ``runs``: what workers counted, by release and queue; None: not known.
    """

    histories: Mapping[str, History] = field(default_factory=dict)
    fetching: Mapping[str, Fetching] = field(default_factory=dict)
    runs: Mapping[tuple[str, str], Counter[str]] | None = None


NOTHING = Remembered()

# Before it serves and while it drains a release keeps a worker, even in a pool that may sleep.
_KEEPS_ONE = frozenset({State.REGISTERED, State.GATING, State.CANARY, State.DRAINING})
# Those that publishes go to.
_SERVES = frozenset({State.CANARY, State.CURRENT})


def observation(seen: Gathered, environment: str) -> Observation | None:
    """What the release plan looks at; None while the state table does not answer."""
    if seen.snapshot is None:
        return None
    return Observation(
        now=seen.now,
        records=seen.snapshot.records,
        manifests=seen.manifests,
        begun=seen.begun,
        pointer=seen.snapshot.pointer,
        published=seen.published,
        proofs=seen.snapshot.proofs,
        checks=seen.snapshot.checks,
        verdicts=seen.snapshot.verdicts,
        running=_running(seen),
        deployments=seen.deployments,
        before=seen.before,
        comparisons=seen.comparisons,
        alarms=seen.alarms,
        leases=seen.leases,
        holding=seen.holding,
        awake=_awake(seen),
        beats=_beats(seen),
        left={r.release: left(pools(r, seen, environment)) for r in seen.live},
    )


def producers(record: Record, seen: Gathered) -> int | None:
    """How many processes may publish to a release."""
    if seen.leases is None:
        return None
    return sum(record.release in each.releases and not each.past(seen.now) for each in seen.leases)


def beat(record: Record, seen: Gathered) -> Service | None:
    """How many tasks the service of its own beat wants and runs; None: it has none, or that is not known."""
    return (seen.services or {}).get(names.beat_service(record.release)) if record.manifest.beat else None


def _running(seen: Gathered) -> dict[tuple[str, str], int] | None:
    if seen.services is None:
        return None
    return {
        (pool.name, record.release): service.running
        for record in seen.live
        for pool in record.manifest.pools
        if (service := seen.services.get(names.service(pool.name, record.release))) is not None
    }


def pools(
    record: Record, seen: Gathered, environment: str, remembered: Remembered = NOTHING
) -> tuple[PoolSnapshot, ...]:
    """What was seen of each pool of a release."""
    return tuple(_Pool(record, pool, seen, environment, remembered).look() for pool in record.manifest.pools)


def remembered(seen: Gathered, environment: str, before: Remembered) -> Remembered:
    """With this look; what of services and queues that are gone was remembered ends."""
    histories: dict[str, History] = {}
    fetching: dict[str, Fetching] = {}
    for record in seen.live:
        for pool in record.manifest.pools:
            of = _Pool(record, pool, seen, environment, NOTHING)
            desired, running = of.service(fallback=False)
            name = of.name(fallback=False)
            histories[name] = before.histories.get(name, History()).after(
                now=seen.now, counted=of.counted(), desired=desired, running=running
            )
            fetching |= of.fetching(before.fetching)
    return Remembered(histories=histories, fetching=fetching)


def _awake(seen: Gathered) -> dict[str, tuple[str, ...]] | None:
    """Services that want workers, but for those whose number a person holds."""
    if seen.services is None:
        return None
    return {record.release: tuple(_awake_of(record, seen, seen.services)) for record in seen.live}


def _awake_of(record: Record, seen: Gathered, services: Mapping[str, Service]) -> Iterator[str]:
    for pool in record.manifest.pools:
        for fallback in (False, True):
            name = names.service(pool.name, record.release, fallback=fallback)
            if name in services and services[name].desired and name not in seen.holds:
                yield name


def _beats(seen: Gathered) -> dict[str, int] | None:
    if seen.services is None:
        return None
    named = {names.beat_service(record.release): record.release for record in seen.live}
    return {named[name]: service.desired for name, service in seen.services.items() if name in named}


@dataclass(frozen=True)
class _Pool:
    record: Record
    pool: PoolManifest
    seen: Gathered
    environment: str
    remembered: Remembered

    def look(self) -> PoolSnapshot:
        pool, queues = self.pool, tuple(map(self._queue, self.pool.queues))
        rates = self._history.rates if self.counted() else Rates()
        desired, running = self.service(fallback=False)
        fallback_desired, fallback_running = self.service(fallback=True)
        look = PoolSnapshot(
            pool=pool.name,
            slots=pool.slots,
            min_workers=pool.min_workers,
            max_workers=pool.max_workers,
            latency_target_seconds=pool.latency_target_seconds,
            desired=desired,
            running=running,
            fallback_desired=fallback_desired,
            fallback_running=fallback_running,
            gap=None,
            fallback_gap=None,
            failed=failed.of(self.seen.failed, map(self.name, (False, True))),
            queues=queues,
            arrivals=_rounded(rates.arrivals),
            completions=_rounded(rates.completions),
            runs=self._runs(*pool.queues),
        )
        return replace(
            look,
            gap=self._gap(self._load(look), fallback=False),
            fallback_gap=self._gap(self._fallback_load(look), fallback=True),
        )

    def _gap(self, load: PoolLoad, *, fallback: bool) -> int | None:
        hold = self.seen.holds.get(self.name(fallback))
        measured = capacity_gap(load)
        if wants_no_worker(self.record) and load.desired is not None:
            measured = -load.desired
        return holds.gap(hold, load.desired, measured)

    def _load(self, look: PoolSnapshot) -> PoolLoad:
        history = self._history
        return PoolLoad(
            waiting=look.waiting,
            busy=look.unacknowledged,
            oldest_age_seconds=look.oldest_age_seconds,
            slots=look.slots,
            latency_target_seconds=look.latency_target_seconds,
            min_workers=look.min_workers,
            max_workers=look.max_workers,
            desired=look.desired,
            keep=1 if self.record.state in _KEEPS_ONE else 0,
            running=look.running,
            flow=history.flow,
            startup_seconds=history.startup_seconds,
            changed=history.changed,
        )

    @property
    def _history(self) -> History:
        return self.remembered.histories.get(self.name(fallback=False), History())

    def _runs(self, *queues: str) -> RunsSnapshot | None:
        if self.remembered.runs is None:
            return None
        counts = Counter[str]()
        for queue in queues:
            counts.update(self.remembered.runs.get((self.record.release, queue), {}))
        return runs(counts)

    def fetching(self, before: Mapping[str, Fetching]) -> dict[str, Fetching]:
        """Of each of its queues, by versioned queue; those of which something is not known are left out."""
        counted, (desired, running) = self.counted(), self.service(fallback=False)
        if counted is None or desired is None or running is None:
            return {}
        # One worker more than are wanted is told to fetch no more.
        free = counted.busy < min(desired, running) * self.pool.slots
        found = {}
        for queue in self.pool.queues:
            name = names.versioned_queue(queue, self.record.release)
            depth = self._depth(queue)
            if depth is not None and depth.taken is not None:
                now = Fetching(at=self.seen.now, waiting=depth.waiting, taken=depth.taken, free=free)
                found[name] = replace(now, since=now.after(before.get(name)))
        return found

    def _depth(self, queue: str) -> PrimaryDepth | None:
        return (self.seen.depths or {}).get(names.versioned_queue(queue, self.record.release))

    def counted(self) -> Counted | None:
        """All its queues together; None if one of them is not known."""
        found = [self._depth(queue) for queue in self.pool.queues]
        known = [
            (depth.waiting, depth.unacknowledged, depth.taken)
            for depth in found
            if depth is not None and depth.unacknowledged is not None and depth.taken is not None
        ]
        if len(known) < len(found):
            return None
        waiting, busy, fetched = (sum(each) for each in zip(*known, strict=True))
        return Counted(at=self.seen.now, waiting=waiting, busy=busy, fetched=fetched)

    def _fallback_load(self, look: PoolSnapshot) -> PoolLoad:
        depths = [self._on_sqs(queue) for queue in self.pool.queues]
        known = [depth for depth in depths if depth is not None]
        depth = sum(known, EMPTY) if len(known) == len(depths) else None
        return FallbackPool(
            depth=depth,
            waited_seconds=depth.waited(self.seen.now) if depth else 0.0,
            slots=look.slots,
            latency_target_seconds=look.latency_target_seconds,
            warm_workers=self.pool.warm_fallback_workers,
            max_workers=self.pool.most_fallback_workers,
            desired=look.fallback_desired,
            broker_up=self.seen.broker_up,
            needed=not self.seen.broker_up and self.record.state in _SERVES,
        ).load()

    def _queue(self, queue: str) -> QueueSnapshot:
        versioned = names.versioned_queue(queue, self.record.release)
        depth, on_sqs = self._depth(queue), self._on_sqs(queue)
        fetching = self.remembered.fetching.get(versioned)
        return QueueSnapshot(
            queue=queue,
            waiting=depth.waiting if depth else None,
            unacknowledged=depth.unacknowledged if depth else None,
            scheduled=depth.scheduled if depth else None,
            oldest_age_seconds=depth.age(self.seen.now) if depth else None,
            fallback=on_sqs.total if on_sqs else None,
            parked=(self.seen.parked or {}).get(versioned),
            fallback_waited_seconds=_rounded(on_sqs.waited(self.seen.now)) if on_sqs else None,
            held_seconds=_rounded(depth.held(self.seen.now)) if depth else None,
            unfetched_seconds=_rounded(fetching.seconds) if fetching else None,
            runs=self._runs(queue),
        )

    def _on_sqs(self, queue: str) -> FallbackDepth | None:
        name = names.fallback_queue(self.environment, queue, self.record.release)
        depth = self.seen.twins.depths.get(name)
        if depth is not None:
            return depth
        # A queue that was deleted with its stack holds nothing; one that is missing beside its stack
        # has only not been seen yet.
        manifests = self.seen.manifests
        deleted = manifests is not None and self.record.release not in manifests
        return EMPTY if deleted and name in self.seen.twins.missing else None

    def name(self, fallback: bool) -> str:
        return names.service(self.pool.name, self.record.release, fallback=fallback)

    def service(self, *, fallback: bool) -> tuple[int | None, int | None]:
        service = (self.seen.services or {}).get(self.name(fallback))
        return (service.desired, service.running) if service else (None, None)


def _rounded(value: float | None) -> float | None:
    """As exact as it is of use: what is kept is paid for by its size."""
    return None if value is None else round(value, 3)
