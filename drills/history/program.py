"""The program of a seed: publishes by two producers, and faults between them. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

SECONDS = 8.0  # from the first step to the last
PUBLISHES = 110
MOST_FAULTS = 4
PRODUCERS = 2
QUEUES = ("high", "low")
IN_TURN, ASYNCIO, GREENLETS = "in-turn", "asyncio", "greenlets"  # how a producer publishes


class PublishKind(StrEnum):
    """What a publish starts. Its tasks are numbered from 0; `tasks` says how many there are."""

    PLAIN = "plain"
    COUNTDOWN = "countdown"
    ETA = "eta"
    PRIORITY = "priority"
    RETRY = "retry"  # fails twice, then ends
    CHAIN = "chain"
    GROUP = "group"
    BULK = "bulk"  # a group of fifty
    MANY = "many"  # fifty by `taskfleet.publish_many`, which goes on once if not all were accepted
    CHORD = "chord"  # the last task is the body
    PARENT = "parent"  # task 0 publishes the others while it runs
    REVOKED = "revoked"  # a countdown that its producer revokes at once


_TASKS = {
    PublishKind.CHAIN: 3,
    PublishKind.GROUP: 4,
    PublishKind.BULK: 50,
    PublishKind.MANY: 50,
    PublishKind.CHORD: 4,
    PublishKind.PARENT: 3,
}
_SHARES = {
    PublishKind.PLAIN: 8,
    PublishKind.COUNTDOWN: 3,
    PublishKind.ETA: 2,
    PublishKind.PRIORITY: 2,
    PublishKind.RETRY: 3,
    PublishKind.CHAIN: 3,
    PublishKind.GROUP: 2,
    PublishKind.BULK: 0.4,
    PublishKind.MANY: 0.4,
    PublishKind.CHORD: 2,
    PublishKind.PARENT: 2,
    PublishKind.REVOKED: 1,
}


@dataclass(frozen=True, kw_only=True)
class Processes:
    """``execution`` is how workers run tasks, ``producers`` how each producer publishes."""

    execution: str
    producers: tuple[str, ...]


_PROCESSES = (
    Processes(execution="prefork", producers=(IN_TURN, IN_TURN)),
    Processes(execution="threads", producers=(IN_TURN, ASYNCIO)),
    Processes(execution="prefork", producers=(IN_TURN, ASYNCIO)),
    Processes(execution="gevent", producers=(IN_TURN, GREENLETS)),
)


@dataclass(frozen=True, kw_only=True)
class Publish:
    """``at`` is in seconds after the program began; ``task_seconds`` is how long each of its tasks runs."""

    at: float
    number: int
    producer: int
    kind: PublishKind
    queue: str
    delay_seconds: float = 0.0
    task_seconds: float = 0.0
    priority: int | None = None

    @property
    def tasks(self) -> int:
        """How many tasks it consists of."""
        return _TASKS.get(self.kind, 1)


class Fault(StrEnum):
    """What breaks; the two of `MOVES` make another release current."""

    WORKER_KILL = "worker-kill"
    WORKER_TERM = "worker-term"
    WORKER_STOP = "worker-stop"
    CHILD_KILL = "child-kill"
    PRODUCER_KILL = "producer-kill"
    PRODUCER_STOP = "producer-stop"
    BROKER_KILL = "broker-kill"
    BROKER_STOP = "broker-stop"
    BROKER_CUT = "broker-cut"
    BROKER_BLACKHOLE = "broker-blackhole"
    BROKER_HALF_OPEN = "broker-half-open"
    BROKER_DELAY = "broker-delay"
    SQS_ERROR = "sqs-error"
    SQS_HANG = "sqs-hang"
    CONTROLLER_KILL = "controller-kill"
    CONTROLLER_STOP = "controller-stop"
    WORKER_CLOCK = "worker-clock"  # steps forth or back, for a while
    PROMOTE = "promote"
    ROLLBACK = "rollback"


MOVES = frozenset({Fault.PROMOTE, Fault.ROLLBACK})
# No task is to run again, or late, because of these.
NO_CAUSES = MOVES | {Fault.CONTROLLER_KILL, Fault.CONTROLLER_STOP}
# By how much a clock steps, either way; more than a lease.
CLOCK_SECONDS = 20.0
# The longest that each lasts, in seconds; 0 is one that is over at once.
_LONGEST = {
    Fault.WORKER_STOP: 16.0,  # longer than a lease
    Fault.PRODUCER_STOP: 4.0,
    Fault.BROKER_KILL: 4.0,
    Fault.BROKER_STOP: 6.0,
    Fault.BROKER_BLACKHOLE: 6.0,
    Fault.BROKER_DELAY: 3.0,
    Fault.SQS_ERROR: 5.0,
    Fault.SQS_HANG: 5.0,
    Fault.CONTROLLER_STOP: 6.0,
}


@dataclass(frozen=True, kw_only=True)
class Break:
    """A fault ``at`` so many seconds, for ``seconds``. ``target`` chooses a worker or producer (`run`)."""

    at: float
    fault: Fault
    seconds: float
    target: int


Step = Publish | Break


def program(seed: int) -> tuple[Step, ...]:
    """The steps of a seed, in the order of their time. The same seed gives the same program."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    publishes = [_publish(dice, number) for number in range(PUBLISHES)]
    faults = [_break(dice) for _ in range(dice.randint(1, MOST_FAULTS))]
    promotions = [_promotion(dice) for _ in range(dice.randint(0, 2))]
    clocks = [_clock(dice) for _ in range(dice.randint(0, 1))]
    return tuple(sorted([*publishes, *faults, *promotions, *clocks], key=lambda step: step.at))


def processes(seed: int) -> Processes:
    """The same for ten seeds in a row: others must be started first."""
    return _PROCESSES[seed // 10 % len(_PROCESSES)]


def _publish(dice: random.Random, number: int) -> Publish:
    kind = dice.choices(list(_SHARES), weights=list(_SHARES.values()))[0]
    delayed = kind in (PublishKind.COUNTDOWN, PublishKind.ETA, PublishKind.REVOKED)
    return Publish(
        at=dice.uniform(0, SECONDS),
        number=number,
        producer=dice.randrange(PRODUCERS),
        kind=kind,
        queue=dice.choice(QUEUES),
        delay_seconds=round(dice.uniform(0.3, 6), 2) if delayed else 0.0,
        task_seconds=dice.choice(
            (0.0, 0.02, 0.1, 0.4) if kind not in (PublishKind.BULK, PublishKind.MANY) else (0.0, 0.02)
        ),
        priority=dice.choice((0, 3, 6, 9)) if kind is PublishKind.PRIORITY else None,
    )


def _break(dice: random.Random) -> Break:
    fault = dice.choice([each for each in Fault if each not in MOVES and each is not Fault.WORKER_CLOCK])
    longest = _LONGEST.get(fault, 0.0)
    return Break(
        at=dice.uniform(0.5, SECONDS - 1),
        fault=fault,
        seconds=round(dice.uniform(0.3, longest), 2) if longest else 0.0,
        target=dice.randrange(1000),
    )


def _promotion(dice: random.Random) -> Break:
    fault = dice.choice(sorted(MOVES))
    return Break(at=dice.uniform(1, SECONDS), fault=fault, seconds=0.0, target=0)


def _clock(dice: random.Random) -> Break:
    """``target`` says which way, too: even numbers step forth."""
    at, seconds = dice.uniform(0.5, SECONDS - 1), round(dice.uniform(1, 6), 2)
    return Break(at=at, fault=Fault.WORKER_CLOCK, seconds=seconds, target=dice.randrange(1000))
