"""What happened in one run of a program: plain data, which the checker reads and a file keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from taskfleet.releases.model import State

from drills.history.program import Fault, Publish
from drills.history.stalls import Stall


@dataclass(frozen=True, kw_only=True)
class Published:
    """A publish and its outcome (`drills.history.outcomes`)."""

    publish: Publish
    outcome: str
    invoked_at: float | None
    answered_at: float | None
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Execution:
    """One run of one task of a publish. ``ended_at`` is None if it never came to its end."""

    n: int
    task: int
    key: str
    release: str
    broker: str
    began_at: float
    ended_at: float | None
    pid: int


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A fault that was injected, and to what."""

    fault: Fault
    target: str
    began_at: float
    ended_at: float


@dataclass(frozen=True, kw_only=True)
class ReleasesSeen:
    """What the controller has made of the releases at the end.

    ``current`` is in the record, ``published`` is what producers read; ``drained`` says when which
    release was called so, in seconds since the epoch.
    """

    current: str
    published: str
    states: Mapping[str, State]
    drained: Sequence[tuple[float, str]] = field(default=())


@dataclass(frozen=True, kw_only=True)
class History:
    """Everything that was seen of one run.

    ``left`` counts what is left on the brokers and in Redis' books; ``pointer`` is
    the current release over time, before the program too, as ``(since, release)``;
    ``bodies`` what each chord's body got, by publish;
    ``stalls`` when the machine stood still.
    """

    seed: int
    published: Sequence[Published]
    executions: Sequence[Execution]
    broken: Sequence[Broken]
    pointer: Sequence[tuple[float, str]]
    bodies: Mapping[int, Sequence[Sequence[int]]]
    left: Mapping[str, int]
    dead_letters: Sequence[str] = field(default=())
    stalls: Sequence[Stall] = field(default=())
    releases: ReleasesSeen | None = None
