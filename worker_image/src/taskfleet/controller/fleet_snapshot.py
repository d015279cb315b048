"""A look: everything that the controller saw and decided once, as kept for `fleet` and for `/metrics`.

None is "not known" throughout.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from taskfleet.releases.observation import RemainingWork


def total(parts: Iterable[int | None]) -> int | None:
    """The sum; None if any part is not known."""
    known = list(parts)
    return None if None in known else sum(part for part in known if part is not None)


def longest(times: Iterable[float | None]) -> float | None:
    """The longest of some times. One that is not known does not hide another that is known to be long."""
    parts = list(times)
    known = [each for each in parts if each is not None]
    return None if not known or (None in parts and max(known) == 0) else max(known)


@dataclass(frozen=True, kw_only=True)
class RunsSnapshot:
    """Runs of tasks that came to their end in the last five minutes that are over; waits in seconds.

    ``failed``: also those that were rejected, and whose process was killed. No wait: none was measured.
    """

    ended: int
    failed: int
    retried: int
    wait_p50_seconds: float | None
    wait_p95_seconds: float | None


@dataclass(frozen=True, kw_only=True)
class QueueSnapshot:
    """One versioned queue, messages and seconds.

    ``fallback`` is all that its SQS queue holds, and for ``fallback_waited_seconds`` some of it could be
    fetched in every look; ``parked`` are dead letters that are still on Redis. The oldest unacknowledged
    message was fetched ``held_seconds`` ago. For ``unfetched_seconds`` nobody has fetched what waits,
    although slots of the pool are free.
    """

    queue: str
    waiting: int | None
    unacknowledged: int | None
    scheduled: int | None
    oldest_age_seconds: float | None
    fallback: int | None
    parked: int | None = 0
    fallback_waited_seconds: float | None = None
    held_seconds: float | None = None
    unfetched_seconds: float | None = None
    runs: RunsSnapshot | None = None


@dataclass(frozen=True, kw_only=True)
class PoolSnapshot:
    """One pool of a release: its own queues, its workers wanted and running, and its capacity gaps.

    ``failed`` workers, on either broker, ended unasked in the five minutes before. ``arrivals`` and
    ``completions`` are tasks a second on Redis, over half a minute.
    """

    pool: str
    slots: int
    min_workers: int
    max_workers: int
    latency_target_seconds: float
    desired: int | None
    running: int | None
    fallback_desired: int | None
    fallback_running: int | None
    gap: int | None
    fallback_gap: int | None
    failed: int | None
    queues: tuple[QueueSnapshot, ...]
    arrivals: float | None = None
    completions: float | None = None
    runs: RunsSnapshot | None = None

    @property
    def total_slots(self) -> int | None:
        """Of its running workers on Redis."""
        return None if self.running is None else self.running * self.slots

    @property
    def held_seconds(self) -> float | None:
        """Since the oldest unacknowledged message of its queues was fetched."""
        return longest(queue.held_seconds for queue in self.queues)

    @property
    def unfetched_seconds(self) -> float | None:
        """The longest of its queues."""
        return longest(queue.unfetched_seconds for queue in self.queues)

    @property
    def waiting(self) -> int | None:
        """Messages in all its queues."""
        return total(queue.waiting for queue in self.queues)

    @property
    def unacknowledged(self) -> int | None:
        """Fetched and not acknowledged: what keeps a slot busy."""
        return total(queue.unacknowledged for queue in self.queues)

    @property
    def fallback(self) -> int | None:
        """Everything in its SQS queues."""
        return total(queue.fallback for queue in self.queues)

    @property
    def oldest_age_seconds(self) -> float | None:
        """The longest wait, over its queues."""
        return longest(queue.oldest_age_seconds for queue in self.queues)


def left(pools: Iterable[PoolSnapshot]) -> RemainingWork:
    """What is left in a release's pools. Dead letters count until the store has them."""
    queues = [queue for pool in pools for queue in pool.queues]
    return RemainingWork(
        **{part.name: total(getattr(queue, part.name) for queue in queues) for part in fields(RemainingWork)}
    )


@dataclass(frozen=True, kw_only=True)
class ReleaseSnapshot:
    """One release. ``ready``: may be promoted. ``empty_looks``: looks in a row that found nothing left.

    ``producers``: processes that may still publish to it. ``beat``: whether it has one of its own; and how
    many tasks its service wants and runs. ``judged``: in its canary how it does beside the current release,
    while it bakes which alarms ring; empty if that is not known.
    """

    release: str
    state: str
    ready: bool
    since: float
    image: str
    reason: str
    empty_looks: int
    overdue: bool
    pools: tuple[PoolSnapshot, ...]
    producers: int | None = None
    beat: bool = False
    beat_desired: int | None = None
    beat_running: int | None = None
    judged: str = ""

    @property
    def left(self) -> RemainingWork:
        """Work in the release."""
        return left(self.pools)


@dataclass(frozen=True, kw_only=True)
class FleetSnapshot:
    """Everything. ``published`` is the release that producers are told; ``dead_letters`` by logical queue.

    ``next_eta`` is when the first of the far ETAs is due (seconds since the epoch; None if there is none),
    ``etas_late_seconds`` since when it should have been sent: 0 if it still has time.
    """

    environment: str
    at: float
    took_seconds: float
    current: str
    published: str | None
    broker_up: bool | None
    fallback_up: bool | None
    beat_age_seconds: float | None
    dead_letters: dict[str, int | None]
    new_dead_letters: int | None
    drain_overdue: int | None
    releases: tuple[ReleaseSnapshot, ...]
    problems: tuple[str, ...] = field(default=())
    next_eta: float | None = None
    etas_late_seconds: float | None = None

    def forgotten(self) -> FleetSnapshot:
        """The same fleet with nothing known of it: what was measured long ago is not true any more."""
        return replace(
            self,
            published=None,
            broker_up=None,
            fallback_up=None,
            beat_age_seconds=None,
            dead_letters=dict.fromkeys(self.dead_letters),
            new_dead_letters=None,
            drain_overdue=None,
            next_eta=None,
            etas_late_seconds=None,
            releases=tuple(
                replace(
                    each,
                    pools=tuple(map(_forgotten, each.pools)),
                    producers=None,
                    beat_desired=None,
                    beat_running=None,
                )
                for each in self.releases
            ),
            problems=(),
        )

    def to_json(self) -> str:
        """As kept in the state table."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> FleetSnapshot:
        """Read what `to_json` wrote. ``ValueError`` for anything else."""
        try:
            data: dict[str, Any] = json.loads(text)
            releases = tuple(_release(each) for each in data.pop("releases"))
            return cls(releases=releases, problems=tuple(data.pop("problems")), **data)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"not a look of this version of taskfleet ({error})") from error


_SETTINGS = frozenset(
    {"pool", "slots", "min_workers", "max_workers", "latency_target_seconds", "queues", "queue"}
)


def _forgotten(pool: PoolSnapshot) -> PoolSnapshot:
    queues = tuple(replace(queue, **_nothing(queue)) for queue in pool.queues)
    return replace(pool, queues=queues, **_nothing(pool))


def _nothing(look: PoolSnapshot | QueueSnapshot) -> dict[str, Any]:
    return {each.name: None for each in fields(look) if each.name not in _SETTINGS}


def _release(data: dict[str, Any]) -> ReleaseSnapshot:
    return ReleaseSnapshot(pools=tuple(_pool(each) for each in data.pop("pools")), **data)


def _pool(data: dict[str, Any]) -> PoolSnapshot:
    queues = tuple(QueueSnapshot(**_with_runs(each)) for each in data.pop("queues"))
    return PoolSnapshot(queues=queues, **_with_runs(data))


def _with_runs(data: dict[str, Any]) -> dict[str, Any]:
    runs = data.get("runs")
    return data if runs is None else {**data, "runs": RunsSnapshot(**runs)}
