"""The plan, as tables: what was seen → what is done."""

from __future__ import annotations

from dataclasses import replace

import pytest
from taskfleet.contract.manifest import BeforeGate
from taskfleet.releases.actions import (
    Close,
    Move,
    PassGate,
    Promote,
    Publish,
    Register,
    Renew,
    Reopen,
    RunBefore,
    SendGate,
    StopBefore,
)
from taskfleet.releases.lease import Lease
from taskfleet.releases.model import Before, Pointer, Published, State
from taskfleet.releases.observation import Ended, Gone, Memory, Observation, RemainingWork, Running
from taskfleet.releases.plan import plan

from tests.taskfleet.releases.factory import T0, lease, manifest, pool, proofs, record, seen

S = State
QUEUES = ("high", "low", "etl")
BROKERS = ("primary", "fallback")
GATES = tuple(SendGate("green", queue, broker) for broker in BROKERS for queue in QUEUES)
ALL_PROOFS = {**proofs("green", *QUEUES), **proofs("green", *QUEUES, at=T0 + 9, broker="fallback")}
PASSES = PassGate("green", (("primary", 1.0), ("fallback", 9.0)))
GATING = record(state=S.GATING)
READY = record(state=S.GATING, gate_passed_at=T0)
BLUE = record("blue", S.CURRENT)
DRAINING, DRAINED = record(state=S.DRAINING), record(state=S.DRAINED)
ROLLED_ON = {"pointer": Pointer("blue", 2), "published": Published("blue")}
OTHER = {"green": manifest(image="sha256:other")}

MIGRATE = BeforeGate(("python", "manage.py", "migrate"), pool="low", timeout_seconds=600)
WAITING = record(manifest=manifest(before_gate=MIGRATE))
MIGRATING = replace(WAITING, before=Before("arn:task", T0))
MIGRATION = "its command before the gate"

CASES = {
    "a new manifest is registered": (seen(manifests={"green": manifest()}), [Register(manifest())]),
    "manifests unknown: nothing is registered or retired": (
        seen(GATING, manifests=None, proofs=ALL_PROOFS, running=None),
        [],
    ),
    "registered goes to its gate": (
        seen(record()),
        [Move("green", S.GATING, "gate tasks are sent to its queues")],
    ),
    "a command before the gate is started first": (seen(WAITING), [RunBefore("green", MIGRATE)]),
    "… and only once": (seen(MIGRATING, before={"green": Running()}), []),
    "… and waited for while it can't be seen": (seen(MIGRATING), []),
    "… whose good end opens the gate": (
        seen(MIGRATING, before={"green": Ended(0)}),
        [Move("green", S.GATING, f"{MIGRATION} ended with 0")],
    ),
    "… whose bad end fails the release, with what it said": (
        seen(MIGRATING, before={"green": Ended(1, "no such table: orders")}),
        [Move("green", S.FAILED, f"{MIGRATION} ended with 1: no such table: orders")],
    ),
    "… that never began fails it, too": (
        seen(MIGRATING, before={"green": Ended(None, "CannotPullContainerError")}),
        [Move("green", S.FAILED, f"{MIGRATION} never began: CannotPullContainerError")],
    ),
    "… and so does one whose end nobody saw": (
        seen(MIGRATING, before={"green": Gone()}),
        [Move("green", S.FAILED, f"how {MIGRATION} ended is not known to ECS any more")],
    ),
    "… that takes too long is stopped": (
        seen(MIGRATING, before={"green": Running()}, now=T0 + 601),
        [StopBefore("green", MIGRATE), Move("green", S.FAILED, f"{MIGRATION} ran for 600 s")],
    ),
    "… that ends late has ended all the same": (
        seen(MIGRATING, before={"green": Ended(0)}, now=T0 + 601),
        [Move("green", S.GATING, f"{MIGRATION} ended with 0")],
    ),
    "… that ECS never starts is given up": (
        seen(WAITING, now=T0 + 601),
        [
            Move(
                "green",
                S.FAILED,
                f"{MIGRATION} could not be started: the controller's log has what ECS said",
            )
        ],
    ),
    "one whose command failed stays failed": (
        seen(record(state=S.FAILED, manifest=WAITING.manifest, before=MIGRATING.before)),
        [],
    ),
    "deployed again, it runs again": (
        seen(
            replace(
                MIGRATING.moved(S.RETIRED, at=T0, actor="a", reason="r").moved(
                    S.REGISTERED, at=T0, actor="a", reason="r"
                )
            )
        ),
        [RunBefore("green", MIGRATE)],
    ),
    "gate tasks go to each queue": (seen(GATING), [*GATES]),
    "only the queues without proof": (
        seen(GATING, proofs=proofs("green", "low")),
        [GATES[0], *GATES[2:]],
    ),
    "a proof of an earlier deployment is none": (
        seen(GATING, proofs=proofs("green", *QUEUES, at=T0 - 1)),
        [*GATES],
    ),
    "all proofs and live pools: passed": (seen(GATING, proofs=ALL_PROOFS), [PASSES]),
    "proofs from Redis alone: the workers on SQS are asked for theirs": (
        seen(GATING, proofs=proofs("green", *QUEUES)),
        [*GATES[3:]],
    ),
    "a pool without a worker: not yet": (seen(GATING, proofs=ALL_PROOFS, running={("high", "green"): 1}), []),
    "workers unknown: not yet": (seen(GATING, proofs=ALL_PROOFS, running=None), []),
    "the first ready release is promoted by itself": (
        seen(READY),
        [Promote("green", "the first release of the environment")],
    ),
    "a later one waits for a person": (seen(READY, BLUE), []),
    "two ready at first: the older": (
        seen(READY, record("later", S.GATING, at=T0 + 5, gate_passed_at=T0 + 6)),
        [Promote("green", "the first release of the environment")],
    ),
    "another image under the same id fails": (
        seen(GATING, manifests=OTHER),
        [Move("green", S.FAILED, plan(seen(GATING, manifests=OTHER), Memory()).problems[0])],
    ),
    "… but what is current is left alone": (seen(record(state=S.CURRENT), manifests=OTHER), []),
    "same image, other numbers: kept": (
        seen(GATING, manifests={"green": manifest(drain_deadline_seconds=9)}, proofs=ALL_PROOFS),
        [Renew(manifest(drain_deadline_seconds=9)), PASSES],
    ),
    "a queue that was taken out is not forgotten": (
        seen(GATING, manifests={"green": manifest(pools=manifest().pools[:1])}, proofs=ALL_PROOFS),
        [PASSES],
    ),
    "a failed one whose gate ran after all": (
        seen(record(state=S.FAILED), proofs=ALL_PROOFS),
        [Move("green", S.GATING, "its gate tasks ran after all")],
    ),
    "a failed one of another image stays so": (
        seen(record(state=S.FAILED), proofs=ALL_PROOFS, manifests=OTHER),
        [],
    ),
    "a failed one stays for a look": (seen(record(state=S.FAILED)), []),
    "a deleted one that never served is retired": (
        seen(GATING, manifests={}),
        [Close("green"), Move("green", S.RETIRED, "its stack was deleted")],
    ),
    "… not with work in it": (
        seen(GATING, manifests={}, left={"green": RemainingWork(1, 0, 0, 0, 0)}),
        [Close("green")],
    ),
    "… nor if that is not known": (seen(GATING, manifests={}, left={}), [Close("green")]),
    "one that somebody retires is closed first": (
        seen(record(state=S.FAILED, retiring="ops")),
        [Close("green")],
    ),
    "… at each look, since a broker may lose what it was told": (
        seen(record(state=S.FAILED, retiring="ops", closed_at=T0)),
        [Close("green")],
    ),
    "one that is kept after all is opened again": (
        seen(record(state=S.FAILED, closed_at=T0)),
        [Reopen("green")],
    ),
    "… not while it is not known whether it is deployed": (
        seen(record(state=S.FAILED, closed_at=T0), manifests=None),
        [],
    ),
    "deployed again with the same image": (
        seen(record(state=S.RETIRED), manifests={"green": manifest()}),
        [Move("green", S.REGISTERED, "the same image was deployed again")],
    ),
    "deployed again with another": (seen(record(state=S.RETIRED), manifests=OTHER), []),
    "the pointer moved on: the old one drains": (
        seen(record(state=S.CURRENT), BLUE, **ROLLED_ON),
        [Move("green", S.DRAINING, "release blue became current")],
    ),
    "the published copy lags": (seen(BLUE, published=Published("green")), [Publish("blue")]),
    "the published copy is missing": (seen(BLUE, published=Published("none")), [Publish("blue")]),
    "the published copy is unknown": (seen(BLUE, published=None), []),
    "work turned up in a drained one": (
        seen(DRAINED, BLUE, left={"green": RemainingWork(0, 0, 3, 0, 0)}),
        [Move("green", S.DRAINING, "3 messages turned up")],
    ),
    "a drained one is not touched by unknown": (
        seen(DRAINED, BLUE, left={"green": RemainingWork(0, 0, None, 3, 0)}),
        [],
    ),
    "a drained one whose stack is gone is retired": (
        seen(replace(DRAINED, retiring="ops"), BLUE, manifests={"blue": BLUE.manifest}),
        [Close("green"), Move("green", S.RETIRED, "its stack was deleted, as ops asked")],
    ),
    "… not with work in it: it drains again": (
        seen(DRAINED, BLUE, manifests={"blue": BLUE.manifest}, left={"green": RemainingWork(3, 0, 0, 0, 0)}),
        [Close("green"), Move("green", S.DRAINING, "3 messages turned up")],
    ),
    "… nor while what is left is unknown": (
        seen(
            DRAINED, BLUE, manifests={"blue": BLUE.manifest}, left={"green": RemainingWork(None, 0, 0, 0, 0)}
        ),
        [Close("green")],
    ),
    "a drained one with manifests unknown": (seen(DRAINED, BLUE, manifests=None), []),
    "a draining one that the pointer names": (
        seen(DRAINING, pointer=Pointer("green", 3), published=Published("green")),
        [Move("green", S.CURRENT, "the pointer names it")],
    ),
}


@pytest.mark.parametrize(("look", "actions"), CASES.values(), ids=CASES.keys())
def test_what_is_seen_decides_what_is_done(look: Observation, actions: list[object]) -> None:
    assert list(plan(look, Memory()).actions) == actions


def test_a_gate_task_is_sent_again_only_after_a_while() -> None:
    first = plan(seen(GATING), Memory())
    assert plan(seen(GATING, now=T0 + 40), first.memory).actions == ()
    assert plan(seen(GATING, now=T0 + 71), first.memory).actions == GATES


@pytest.mark.parametrize(
    ("now", "sent", "fails"),
    [
        (T0 + 899, T0 + 800, False),
        (T0 + 901, T0 + 841, True),
        (T0 + 901, T0 + 871, False),  # its worker may take it any moment
        (T0 + 5000, T0 + 60, True),
        (T0 + 901, None, False),  # a controller that was stopped, or started anew: it did not even try
        (T0 + 1801, None, True),  # Redis takes none
    ],
)
def test_a_gate_that_never_ends_fails_once_it_was_tried(now: float, sent: float | None, fails: bool) -> None:
    memory = Memory(gates_sent={} if sent is None else {GATES[2].key: sent})
    proven = {key: at for key, at in ALL_PROOFS.items() if key != GATES[2].key}

    (action,) = plan(seen(GATING, now=now, proofs=proven), memory).actions or (None,)

    failed = Move("green", S.FAILED, "within 900 s there was no proof from etl (primary)")
    assert (action == failed) is fails
    assert fails or action in (None, GATES[2])


def test_a_broker_that_takes_no_gate_tasks_is_named_with_its_reason_when_the_time_is_up() -> None:
    away = "Could not connect to the endpoint"
    memory = Memory(gates_refused={gate.key: away for gate in GATES[3:]})
    look = seen(GATING, proofs=proofs("green", *QUEUES))
    assert plan(replace(look, now=T0 + 1799), memory).actions == GATES[3:]

    (failed,) = plan(replace(look, now=T0 + 1801), memory).actions

    assert failed == Move(
        "green",
        S.FAILED,
        "within 900 s there was no proof from high (fallback), low (fallback), etl (fallback); "
        f"fallback took no gate task: {away}",
    )


def test_what_a_broker_said_is_forgotten_once_it_is_asked_again() -> None:
    memory = Memory(gates_refused={GATES[3].key: "away"})
    assert plan(seen(GATING), memory).memory.gates_refused == {}


def test_a_pool_that_may_sleep_needs_no_live_worker() -> None:
    sleepy = manifest(pools=(pool("low", min_workers=0),))
    proven = {**proofs("green", "low"), **proofs("green", "low", broker="fallback")}
    look = seen(record(state=S.GATING, manifest=sleepy), proofs=proven, running={})
    (action,) = plan(look, Memory()).actions
    assert isinstance(action, PassGate)


U = None
DRAINS = {
    "empty for long enough": ([0] * 7, True),
    "one look short": ([0] * 6, False),
    "unknown breaks the row": ([0, 0, 0, 0, 0, 0, U, 0, 0, 0, 0, 0, 0], False),
    "unknown is never zero": ([U] * 30, False),
    "work breaks the row": ([0, 0, 0, 1, 0, 0, 0, 0, 0], False),
    "a row after a break counts": ([0, 1, U, 0, 0, 0, 0, 0, 0, 0], True),
}


@pytest.mark.parametrize("part", ["waiting", "scheduled", "unacknowledged", "fallback", "parked"])
@pytest.mark.parametrize(("totals", "drained"), DRAINS.values(), ids=DRAINS.keys())
def test_drained_means_seen_empty_several_times_in_a_row(
    totals: list[int | None], drained: bool, part: str
) -> None:
    memory, moves = Memory(), []
    for total in totals:
        left = replace(RemainingWork(0, 0, 0, 0, 0), **{part: total})
        step = plan(seen(DRAINING, BLUE, left={"green": left}), memory)
        memory, moves = step.memory, [*moves, *step.actions]
    assert [m.to for m in moves if isinstance(m, Move)] == ([S.DRAINED] if drained else [])


@pytest.mark.parametrize("published", [None, "green"])
def test_nothing_is_drained_while_producers_may_read_the_old_pointer(published: str | None) -> None:
    memory = Memory()
    for _ in range(20):
        step = plan(seen(DRAINING, BLUE, published=published), memory)
        memory = step.memory
        assert not [action for action in step.actions if isinstance(action, Move)]


@pytest.mark.parametrize(
    ("leases", "drained"),
    [
        ((), True),
        ((lease("blue"),), True),
        ((lease("green"),), False),
        ((lease("blue", "green"),), False),
        ((lease("green", pinned=True), lease("blue")), False),
        ((lease("green", until=T0 - 21),), True),
        ((lease("green", until=T0 - 19),), False),  # the two clocks may differ
        (None, False),  # unknown is not past
    ],
)
def test_drained_means_that_no_producer_may_publish_to_it(
    leases: tuple[Lease, ...] | None, drained: bool
) -> None:
    memory, moves = Memory(), []
    for _ in range(7):
        step = plan(seen(DRAINING, BLUE, leases=leases), memory)
        memory, moves = step.memory, [*moves, *step.actions]
    assert [m.to for m in moves if isinstance(m, Move)] == ([S.DRAINED] if drained else [])


def test_a_drained_release_that_a_producer_is_started_for_drains_again() -> None:
    look = seen(DRAINED, BLUE, leases=(lease("green", pinned=True),))
    (move,) = plan(look, Memory()).actions
    assert move == Move("green", S.DRAINING, "it may be published to: shop (pid 7 on web-1, pinned)")
    closed = seen(replace(DRAINED, closed_at=T0, retiring="ops"), BLUE, leases=look.leases)
    assert plan(closed, Memory()).actions == (Close("green"),), "its queues take no publish any more"


def test_a_drain_past_its_deadline_is_said_and_nothing_else() -> None:
    late = seen(
        DRAINING,
        BLUE,
        now=T0 + 3601,
        left={"green": RemainingWork(1, 0, 0, 0, 0)},
        leases=tuple(replace(lease("green", until=T0 + 3700), pid=n) for n in range(7)),
        holding={"green": {"shop.report": 1}},
    )
    assert plan(late, Memory()).overdue == ("green",)
    (problem,) = plan(late, Memory()).problems
    assert "green drains for longer than 3600 s: 1 waiting" in problem
    assert "tasks: shop.report (1); producers" in problem
    assert "shop (pid 0 on web-1)" in problem
    assert problem.endswith("and 2 more")
    assert plan(replace(late, leases=None), Memory()).problems[0].endswith("publish to it: unknown")
    assert plan(late, Memory()).actions == ()
    assert plan(replace(late, now=T0 + 3599), Memory()).overdue == ()


@pytest.mark.parametrize("state", [S.CURRENT, S.DRAINING])
def test_a_stack_that_was_deleted_with_its_release_in_use_is_a_problem(state: State) -> None:
    look = seen(
        record(state=state),
        manifests={},
        pointer=Pointer("green", 1) if state is S.CURRENT else Pointer("blue", 2),
    )
    assert "its stack is gone" in plan(look, Memory()).problems[0]


def test_a_queue_that_was_taken_out_in_place_is_a_problem() -> None:
    look = seen(record(state=S.CURRENT), manifests={"green": manifest(pools=manifest().pools[:1])})
    assert "deployed again without its queues etl, low" in plan(look, Memory()).problems[0]
