"""What one look sees of the releases, and what it leaves for the next. None: that source did not answer."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from taskfleet.contract.environment import FALLBACK, PRIMARY
from taskfleet.contract.limits import (
    GATE_DEADLINE_SECONDS,
    SQS_COUNTS_SETTLE_SECONDS,
    SQS_POLICY_SETTLES_SECONDS,
)
from taskfleet.contract.manifest import ReleaseManifest
from taskfleet.contract.metrics import LOOK_SECONDS
from taskfleet.releases.comparing import Comparison
from taskfleet.releases.lease import Lease
from taskfleet.releases.model import Pointer, Published, Record


@dataclass(frozen=True)
class Rules:
    """The numbers of the plan.

    ``gate_brokers``: where gate tasks must run. That of the fallback wakes the workers on SQS as any other
    message there does, by the queue's alarm: on AWS a minute or two, and they sleep again afterwards.
    """

    zero_samples: int = 7  # looks in a row that find nothing left: a minute, in which SQS counts settle
    gate_resend_seconds: float = 60
    gate_deadline_seconds: float = GATE_DEADLINE_SECONDS
    gate_brokers: tuple[str, ...] = (PRIMARY, FALLBACK)
    # From the closing of a release's queues to its deletion: SQS takes a minute until it refuses what is
    # sent, and its counts lag behind by another.
    settle_seconds: float = SQS_POLICY_SETTLES_SECONDS + SQS_COUNTS_SETTLE_SECONDS
    delete_again_seconds: float = 300
    look_seconds: float = LOOK_SECONDS


@dataclass(frozen=True)
class RemainingWork:
    """Work left in a release, messages; None where a broker did not answer.

    ``scheduled`` waits for its ETA on Redis, ``parked`` is what Redis keeps until the dead-letter store has
    it, ``fallback`` is all that its SQS queues hold.
    """

    waiting: int | None
    scheduled: int | None
    unacknowledged: int | None
    fallback: int | None
    parked: int | None

    @property
    def total(self) -> int | None:
        """The sum, or None if any part is unknown."""
        parts = tuple(vars(self).values())
        return sum(parts) if None not in parts else None

    def __str__(self) -> str:
        said = {name: "?" if value is None else str(value) for name, value in vars(self).items()}
        return (
            "{waiting} waiting, {scheduled} scheduled, {unacknowledged} unacknowledged, "
            "{fallback} on the fallback, {parked} parked".format(**said)
        )


UNKNOWN_WORK = RemainingWork(None, None, None, None, None)


@dataclass(frozen=True)
class Running:
    """A command before a gate has not ended."""


@dataclass(frozen=True)
class Ended:
    """It has; ``code`` is None if it never began. ``says``: its last lines, or ECS's reason."""

    code: int | None
    says: str = ""


@dataclass(frozen=True)
class Gone:
    """ECS shows the task no more: it ended over an hour ago, and nobody looked."""


Command = Running | Ended | Gone


@dataclass(frozen=True)
class Check:
    """A task that the team has marked as `taskfleet.gate`. ``pool`` is empty for the default queue's."""

    task: str
    pool: str
    timeout_seconds: int


@dataclass(frozen=True)
class Verdict:
    """How far a check is: ``registered`` names the deployment that it was run for, ``ended`` None: it runs.

    Times are seconds since the epoch; ``failure`` is empty if it succeeded.
    """

    registered: str
    begun: float
    ended: float | None = None
    failure: str = ""


@dataclass(frozen=True)
class Alarms:
    """The alarms of a release that are its own doing, by name, but for those that are off.

    ``before``: in ALARM since before it became current; ``unknown``: in no state, or there is no such alarm.
    """

    ringing: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = {"in ALARM": self.ringing, "in ALARM since before": self.before, "unknown": self.unknown}
        return "; ".join(f"{how}: {', '.join(which)}" for how, which in said.items() if which) or "none rings"


@dataclass(frozen=True)
class Memory:
    """What one look leaves for the next. Losing it is safe: counting starts again."""

    consecutive_empty_looks: Mapping[str, int] = field(default_factory=dict)  # release → empty looks in a row
    gates_sent: Mapping[str, float] = field(default_factory=dict)  # gate key → when
    gates_refused: Mapping[str, str] = field(default_factory=dict)  # gate key → why no broker took it
    deletes_asked: Mapping[str, float] = field(default_factory=dict)  # release → when


@dataclass(frozen=True)
class Deployment:
    """A deploy of a release's stack, which waits at ``url`` for an answer since ``since``, epoch seconds.

    ``build`` is what it deployed, of a release that is rolled.
    """

    url: str
    since: float
    build: str = ""

    @property
    def id(self) -> str:
        """Tells it from others. Who has the URL may answer in the controller's place: it is kept nowhere."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Begun:
    """A release whose stack is there and has not written its manifest; ``failure`` is None while it may."""

    manifest: ReleaseManifest
    failure: str | None = None


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What was seen in one look. None: that source did not answer."""

    now: float
    records: Mapping[str, Record]
    manifests: Mapping[str, ReleaseManifest] | None
    pointer: Pointer
    published: Published | None  # what producers read, `NO_RELEASE` if there is nothing to read
    proofs: Mapping[str, float]  # gate key → when the gate task ran
    running: Mapping[tuple[str, str], int] | None  # (pool, release) → workers
    left: Mapping[str, RemainingWork]
    deployments: Mapping[str, Deployment] | None  # the last of each release whose stack exists
    checks: Mapping[str, tuple[Check, ...]] = field(default_factory=dict)  # release → the team's own
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)  # key of a check → how far it is
    awake: Mapping[str, tuple[str, ...]] | None = None  # release → its services that want workers
    beats: Mapping[str, int] | None = None  # release → tasks that its beat's service wants
    before: Mapping[str, Command] = field(default_factory=dict)  # release → the command before its gate
    # Release → the tasks in it by name, of those whose drain is overdue.
    holding: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    leases: tuple[Lease, ...] | None = ()  # of producers' processes, those that are past too
    begun: Mapping[str, Begun] | None = field(default_factory=dict)
    # A release in its canary → it and the current one; one that bakes → its alarms. Missing: not known.
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)
    alarms: Mapping[str, Alarms] = field(default_factory=dict)

    def producers(self, release: str) -> tuple[Lease, ...] | None:
        """Those that may publish to a release now."""
        if self.leases is None:
            return None
        return tuple(each for each in self.leases if release in each.releases and not each.past(self.now))
