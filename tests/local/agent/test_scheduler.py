"""The plan and its neighbours, by tables: no process, no clock."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from local.agent.backoff import Backoff, delay_seconds
from local.agent.definitions import HealthCheck, StartError, parse
from local.agent.health import Health, Verdict, after, next_check_seconds
from local.agent.model import Revision, RunningTask, Service, ServiceName, Start, Stop
from local.agent.reload import Reloads
from local.agent.scheduler import plan, settled

NAME = ServiceName("fleet", "high")
NEW, OLD = Revision("high:2", "d2"), Revision("high:1", "d1")


def service(desired: int, *, minimum: int = 100, maximum: int = 200, launches: bool = True) -> Service:
    return Service(
        id=NAME,
        desired=desired,
        revision=NEW,
        minimum_healthy_percent=minimum,
        maximum_percent=maximum,
        launches=launches,
    )


def tasks(spelled: str) -> list[RunningTask]:
    """``n`` new, ``o`` old; capital: running, ready; ``!`` unhealthy, ``-`` stopping, ``*`` protected."""
    made: list[RunningTask] = []
    for letter in spelled.replace(" ", ""):
        if letter in "!-*":
            mark = {"!": {"unhealthy": True}, "-": {"stopping": True}, "*": {"protected": True}}[letter]
            made[-1] = replace(made[-1], **mark)
        else:
            made.append(
                RunningTask(
                    id=f"{letter}{len(made)}",
                    service=NAME,
                    revision=NEW if letter in "nN" else OLD,
                    created_at=float(len(made)),
                    running=letter.isupper(),
                    ready=letter.isupper(),
                )
            )
    return made


@pytest.mark.parametrize(
    ("desired", "bounds", "running", "starts", "stops"),
    [
        # scaling
        (2, (100, 200), "", 2, ""),
        (2, (100, 200), "NN", 0, ""),
        (3, (100, 200), "Nn", 1, ""),
        (1, (100, 200), "NNN", 0, "N1 N2"),  # the newest go first
        (1, (100, 200), "Nn N", 0, "n1 N2"),  # … after what is not ready
        (1, (100, 200), "NN*N*", 0, "N0"),  # … and never what is protected
        (0, (100, 200), "Nn", 0, "N0 n1"),
        (1, (100, 200), "N-", 1, ""),  # what stops already is not there any more
        # health
        (2, (100, 200), "NN!", 1, "N1"),
        # replacement with room beside the old
        (1, (100, 200), "O", 1, ""),
        (1, (100, 200), "On", 0, ""),
        (1, (100, 200), "ON", 0, "O0"),
        (1, (100, 200), "O-N", 0, ""),
        (2, (100, 200), "OO", 2, ""),
        (2, (100, 200), "OO Nn", 0, "O0"),
        (2, (50, 200), "OO", 2, ""),  # room for new ones: the old stay although one could go
        (4, (100, 150), "OOOO", 2, ""),
        (4, (100, 150), "OOOO NN", 0, "O0 O1"),
        (4, (100, 150), "O-O-OO NN", 0, ""),  # the stopping ones still take room
        # replacement without room: stop first
        (1, (0, 100), "O", 0, "O0"),
        (1, (0, 100), "O-", 0, ""),
        (1, (0, 100), "", 1, ""),
        (3, (66, 100), "OOO", 0, "O0"),
        (3, (66, 133), "OOO", 0, "O0"),  # 133 % of three is three
        (1, (100, 100), "O", 0, ""),  # neither is allowed: ECS is stuck as well
        # an old one that does not run serves nobody
        (1, (100, 200), "o", 1, "o0"),
        # less is wanted while a replacement has no room yet
        (2, (100, 200), "OOOO", 0, "O0 O1"),
        (0, (100, 200), "OOn", 0, "O0 O1 n2"),
        # a protected old one holds the deployment up
        (1, (100, 200), "O*N", 0, ""),
    ],
)
def test_plan(desired: int, bounds: tuple[int, int], running: str, starts: int, stops: str) -> None:
    wanted = service(desired, minimum=bounds[0], maximum=bounds[1])
    actions = plan([wanted], tasks(running))
    assert sum(isinstance(action, Start) for action in actions) == starts
    assert sorted(action.task for action in actions if isinstance(action, Stop)) == sorted(stops.split())


def test_nothing_is_stopped_twice() -> None:
    stops = [action.task for action in plan([service(0)], tasks("NN!OO!o")) if isinstance(action, Stop)]
    assert max(Counter(stops).values()) == 1


def test_a_service_whose_last_tasks_failed_is_stopped_but_not_started() -> None:
    assert plan([service(2)], [], held={NAME}) == []
    assert plan([service(2, launches=False)], tasks("O")) == []
    assert [type(a) for a in plan([service(1)], tasks("NN"), held={NAME})] == [Stop]


def test_tasks_of_a_service_that_is_gone_stop_even_if_protected() -> None:
    assert [action.task for action in plan([], tasks("N*O N-")) if isinstance(action, Stop)] == ["N0", "O1"]


BOUNDS = [(100, 200), (0, 100), (50, 100), (50, 150), (100, 134)]
REPLACEMENTS = [
    wanted
    for desired in (1, 2, 3, 5)
    for minimum, maximum in BOUNDS
    # Where neither more nor fewer are allowed, ECS can't replace anything either.
    if (wanted := service(desired, minimum=minimum, maximum=maximum)).at_least != wanted.at_most
]


@pytest.mark.parametrize("wanted", REPLACEMENTS)
def test_every_replacement_ends_within_its_bounds(wanted: Service) -> None:
    """Plays it through: what starts is ready a step later, what stops is gone a step later."""
    running = tasks("O" * wanted.desired)
    for step in range(50):
        actions = plan([wanted], running)
        going = {action.task for action in actions if isinstance(action, Stop)}
        running = [
            replace(task, running=True, ready=True, stopping=task.id in going)
            for task in running
            if not task.stopping
        ]
        running += [
            RunningTask(id=f"n{step}.{number}", service=NAME, revision=NEW, created_at=100.0 + step)
            for number in range(sum(isinstance(action, Start) for action in actions))
        ]
        assert sum(task.ready and not task.stopping for task in running) >= wanted.at_least
        assert len(running) <= wanted.at_most
        if settled(wanted, running):
            return
    pytest.fail(f"not through after 50 steps: {running}")


def test_reload_moves_one_live_service_at_a_time() -> None:
    reloads = Reloads()
    other = replace(service(1), id=ServiceName("fleet", "low"))
    fixed = replace(service(1), id=ServiceName("fleet", "fixed"))
    live = {NAME, other.id}

    def step(running: list[RunningTask]) -> list[int]:
        seen = reloads.apply([service(1), other, fixed], live=live, tasks=running)
        return [s.revision.reload for s in seen]

    def of(which: Service, reload: int) -> RunningTask:
        revision = replace(NEW, reload=reload)
        return RunningTask(id=which.id.name, service=which.id, revision=revision, created_at=0.0, ready=True)

    assert step([]) == [0, 0, 0]
    reloads.changed()
    assert step([of(service(1), 0), of(other, 0)]) == [1, 0, 0]
    assert step([of(service(1), 0), of(other, 0)]) == [1, 0, 0], "the first is not through yet"
    assert step([of(service(1), 1), of(other, 0)]) == [1, 1, 0]
    reloads.changed()
    assert step([of(service(1), 1), of(other, 0)]) == [2, 1, 0], "both have waited as long"
    reloads.changed()
    assert step([of(service(1), 2), of(other, 1)]) == [2, 3, 0], "the one that has missed more"


@pytest.mark.parametrize(
    ("failures", "ran", "seconds"),
    [
        (0, True, 0),
        (1, True, 0.5),
        (2, True, 1),
        (5, True, 8),
        (50, True, 8),
        (7, False, 32),
        (50, False, 60),
    ],
)
def test_delay_before_the_next_start(failures: int, ran: bool, seconds: float) -> None:
    assert delay_seconds(failures, ran=ran) == seconds


def test_backoff_is_forgotten_by_a_long_run_and_by_a_new_revision() -> None:
    backoff = Backoff()
    assert [backoff.exited(NAME, OLD, ran_seconds=0.1, now=10.0) for _ in range(3)] == [0.5, 1, 2]
    assert backoff.held(NAME, OLD, now=11.9)
    assert not backoff.held(NAME, OLD, now=12.0)
    assert not backoff.held(NAME, NEW, now=11.9)
    assert backoff.exited(NAME, OLD, ran_seconds=61.0, now=20.0) == 0
    assert not backoff.held(NAME, OLD, now=20.0)
    assert backoff.exited(NAME, NEW, ran_seconds=None, now=30.0) == 0.5


CHECK = HealthCheck(command=("true",), interval_seconds=30, retries=3, start_period_seconds=60)


@pytest.mark.parametrize(
    ("before", "passed", "age", "expected"),
    [
        (Verdict(), True, 1, Verdict(Health.HEALTHY)),
        (Verdict(), False, 59, Verdict()),  # the start period does not count
        (Verdict(), False, 61, Verdict(Health.UNKNOWN, 1)),
        (Verdict(Health.UNKNOWN, 2), False, 120, Verdict(Health.UNHEALTHY, 3)),
        (Verdict(Health.HEALTHY), False, 10, Verdict(Health.HEALTHY, 1)),  # once healthy, it counts
        (Verdict(Health.HEALTHY, 2), True, 90, Verdict(Health.HEALTHY)),
        (Verdict(Health.HEALTHY, 2), False, 90, Verdict(Health.UNHEALTHY, 3)),
        (Verdict(Health.UNHEALTHY, 3), True, 120, Verdict(Health.HEALTHY)),
    ],
)
def test_health(before: Verdict, passed: bool, age: float, expected: Verdict) -> None:
    assert after(before, CHECK, passed=passed, age_seconds=age) == expected


def test_health_is_looked_at_often_until_the_first_pass() -> None:
    assert next_check_seconds(Verdict(), CHECK, age_seconds=5) < 5
    assert next_check_seconds(Verdict(), CHECK, age_seconds=61) == 30
    assert next_check_seconds(Verdict(Health.HEALTHY), CHECK, age_seconds=5) == 30


def test_a_task_definition_is_read_with_the_defaults_of_ecs() -> None:
    container = {
        "name": "main",
        "image": "i",
        "entryPoint": ["python"],
        "command": ["-m", "x"],
        "memory": 512,
    }
    check = {"command": ["CMD-SHELL", "exit 0"]}
    definition = parse({"memory": "1024", "containerDefinitions": [{**container, "healthCheck": check}]})
    assert definition.command == ("python", "-m", "x")
    assert definition.memory_bytes == 512 * 1024 * 1024
    assert definition.stop_timeout_seconds == 30
    assert definition.health_check == HealthCheck(command=("/bin/sh", "-c", "exit 0"))
    assert parse({"memory": "1024", "containerDefinitions": [container]}).health_check is None


@pytest.mark.parametrize(
    ("containers", "message"),
    [
        ([{"name": "a", "image": "i"}], "has no command"),
        (
            [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}],
            "one container; this one has 2: a, b",
        ),
    ],
)
def test_what_the_agent_can_not_run_is_said(containers: list[dict[str, str]], message: str) -> None:
    with pytest.raises(StartError, match=message):
        parse({"containerDefinitions": containers})
