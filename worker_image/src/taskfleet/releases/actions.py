"""What the plan may ask for. Each can be done twice."""

from __future__ import annotations

from dataclasses import dataclass

from taskfleet.contract import state as keys
from taskfleet.contract.environment import PRIMARY
from taskfleet.contract.manifest import BeforeGate, ReleaseManifest
from taskfleet.contract.names import versioned_queue
from taskfleet.releases.model import State


@dataclass(frozen=True)
class Register:
    """Write the first record of a release."""

    manifest: ReleaseManifest


@dataclass(frozen=True)
class Unmade:
    """Note a release whose stack failed before its manifest was written."""

    manifest: ReleaseManifest
    reason: str


@dataclass(frozen=True)
class Move:
    """Take a release to another state."""

    release: str
    to: State
    reason: str


@dataclass(frozen=True)
class Renew:
    """Keep the newer manifest of a release: same image, other numbers."""

    manifest: ReleaseManifest


@dataclass(frozen=True)
class Roll:
    """Begin the gate of another build of a release that is rolled."""

    manifest: ReleaseManifest


@dataclass(frozen=True)
class FailGate:
    """Note why the build of a current release has not passed its gate."""

    release: str
    reason: str


@dataclass(frozen=True)
class RunBefore:
    """Start the command that a release has before its gate, if it was not started already."""

    release: str
    command: BeforeGate


@dataclass(frozen=True)
class StopBefore:
    """Stop it."""

    release: str
    command: BeforeGate


@dataclass(frozen=True)
class SendGate:
    """Send a gate task to one queue of a release."""

    release: str
    queue: str
    broker: str
    build: str = ""  # of a release that is rolled: whose workers must run it

    @property
    def key(self) -> str:
        """The key of its proof in the state table."""
        return keys.gate(versioned_queue(self.queue, self.release), self.broker, self.build)


@dataclass(frozen=True)
class SendCheck:
    """Have a worker of a pool run one of the team's own checks, by way of one of the pool's queues."""

    release: str
    queue: str
    task: str
    registered: str
    timeout_seconds: int
    broker: str = PRIMARY

    @property
    def key(self) -> str:
        """The key of its end in the state table."""
        return keys.gate_check(self.release, self.task)


@dataclass(frozen=True)
class PassGate:
    """Note that all of a release's gate has passed; ``took``: seconds to the last gate task on each broker,
    and to the end of each check.
    """

    release: str
    took: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Promote:
    """Move the pointer."""

    release: str
    reason: str


@dataclass(frozen=True)
class StartCanary:
    """Have a share of publishes go to a release."""

    release: str
    reason: str


@dataclass(frozen=True)
class EndCanary:
    """Have all publishes go to the current release again. What was ``rejected`` has failed."""

    release: str
    reason: str
    rejected: bool


@dataclass(frozen=True)
class EndBake:
    """Note that the alarms of the current release decide no more about it."""

    release: str
    reason: str


@dataclass(frozen=True)
class RollBack:
    """Move the pointer from ``release``, which has failed its bake, back to another."""

    release: str
    to: str
    reason: str


@dataclass(frozen=True)
class Publish:
    """Write the pointer's published copy, which producers read."""

    release: str


@dataclass(frozen=True)
class Close:
    """Have both brokers refuse publishes to the queues of a release."""

    release: str


@dataclass(frozen=True)
class Reopen:
    """Have them take them again."""

    release: str


@dataclass(frozen=True)
class Await:
    """Note that a deployment of a release waits for an answer."""

    release: str
    deployment: str


@dataclass(frozen=True)
class Answer:
    """Tell CloudFormation how a deployment ended: it finishes the release's stack, or fails it.

    ``url`` is None where nobody waits for it any more: then it is only noted.
    """

    release: str
    deployment: str
    url: str | None
    success: bool
    reason: str


@dataclass(frozen=True)
class Sleep:
    """Have these ECS services of a release run no worker."""

    release: str
    services: tuple[str, ...]


@dataclass(frozen=True)
class WakeBeat:
    """Have the beat of a release run: no alarm scales it."""

    release: str


@dataclass(frozen=True)
class Retire:
    """Note who wants the stack of a release gone. Its queues are then closed."""

    release: str
    actor: str


@dataclass(frozen=True)
class Park:
    """Move what its queues still hold to the dead-letter store."""

    release: str


@dataclass(frozen=True)
class DiscardGates:
    """Delete the gate tasks in the SQS queues of a release that has never served."""

    release: str


@dataclass(frozen=True)
class Delete:
    """Have CloudFormation delete the stack of a release."""

    release: str


Action = (
    Answer
    | Await
    | Close
    | Delete
    | DiscardGates
    | FailGate
    | Reopen
    | Register
    | Roll
    | Unmade
    | Retire
    | Park
    | Sleep
    | WakeBeat
    | Move
    | Renew
    | RunBefore
    | StopBefore
    | SendGate
    | SendCheck
    | PassGate
    | Promote
    | StartCanary
    | EndCanary
    | EndBake
    | RollBack
    | Publish
)
