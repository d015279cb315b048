"""The tools on real workers: limits hold over workers and brokers, a killed holder frees its place."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, chain, chord
from taskfleet.contract import environment as env
from taskfleet.publishing.publisher import force_broker
from taskfleet.tools.limits import limited
from taskfleet.tools.rate_settings import RateSettings
from taskfleet.tools.rates import seconds_between

from tests.support.ministack import MiniStack
from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet
from tests.taskfleet.tools import tasks

Start = Callable[..., Any]


@pytest.fixture
def start(fleet: TinyFleet) -> Start:
    def start(release: str = "r1", **more: str) -> Any:
        app = {env.APP.name: "tests.taskfleet.tools.tasks:app", tasks.RESULTS: fleet.valkey.url}
        return fleet.start_worker(release, **app, **more)

    return start


@pytest.fixture
def app(fleet: TinyFleet) -> Celery:
    made = fleet.app()
    made.conf.update(task_default_queue="low", result_backend=fleet.valkey.url)
    return made


def worked(fleet: TinyFleet, many: int) -> list[dict[str, Any]]:
    """What ran, in the order of its beginnings, once ``many`` did."""
    wait_for(lambda: len(list(fleet.events("worked"))) >= many, seconds=60, what=f"{many} runs")
    return sorted(fleet.events("worked"), key=lambda line: float(line["began"]))


def most_at_once(lines: list[dict[str, Any]]) -> int:
    return max(sum(other["began"] <= line["began"] < other["ended"] for other in lines) for line in lines)


@pytest.mark.parametrize("execution", ["prefork", "threads"])
def test_one_at_a_time_over_workers_of_both_brokers_and_of_two_releases(
    fleet: TinyFleet, app: Celery, start: Start, execution: str
) -> None:
    fleet.deploy("r2")
    start(**{env.EXECUTION.name: execution})
    start(**{env.EXECUTION.name: execution, env.BROKER.name: env.FALLBACK})
    start("r2", **{env.EXECUTION.name: execution})
    places = ((env.PRIMARY, "low.r1"), (env.FALLBACK, "low.r1"), (env.PRIMARY, "low.r2"))
    for n in range(9):
        broker, queue = places[n % len(places)]
        with force_broker(broker):
            app.send_task("tools.alone", (n, 0.3), queue=queue)
    lines = worked(fleet, 9)
    assert sorted(line["n"] for line in lines) == list(range(9))
    assert most_at_once(lines) == 1
    assert all(one["fence"] < other["fence"] for one, other in pairwise(lines))


def test_two_at_a_time_of_each_account_and_who_waits_holds_no_slot(
    fleet: TinyFleet, app: Celery, start: Start
) -> None:
    start(**{env.CONCURRENCY.name: "4", env.EXECUTION.name: "threads"})
    expires = datetime.now(UTC) + timedelta(hours=1)
    results = [app.send_task("tools.two", (n,), {"account": "a"}, expires=expires) for n in range(5)]
    results.append(app.send_task("tools.two", (5,), {"account": "b"}, expires=expires))
    assert [result.get(timeout=60) for result in results] == list(range(6))
    lines = worked(fleet, 6)
    assert most_at_once([line for line in lines if line["account"] == "a"]) == 2
    assert [line["n"] for line in lines].index(5) <= 3, "another account's task went past those that waited"
    assert {line["retries"] for line in lines} == {0}, "waiting is no retry"
    assert {datetime.fromisoformat(line["expires"]) for line in lines} == {expires}


def test_what_follows_a_task_that_waited_follows_it(fleet: TinyFleet, app: Celery, start: Start) -> None:
    start(**{env.EXECUTION.name: "threads"})
    app.send_task("tools.alone", (0, 2.0))
    wait_for(lambda: list(fleet.events("works")), seconds=60, what="its start")
    steps = chain(app.signature("tools.alone", (1, 0.1)), app.signature("tools.paid", kwargs={"order": 7}))
    assert steps.apply_async().get(timeout=60) == "7 paid by 1"
    both = chord([app.signature("tools.alone", (n, 0.5)) for n in (2, 3)], app.signature("tools.total"))
    assert both.apply_async().get(timeout=60) == 5


def test_busy_may_drop_or_raise(fleet: TinyFleet, app: Celery, start: Start) -> None:
    start(**{env.EXECUTION.name: "threads", env.CONCURRENCY.name: "3"})
    app.send_task("tools.dropped", (0, 6.0))
    wait_for(lambda: list(fleet.events("works")), seconds=60, what="its start")
    app.send_task("tools.dropped", (1,))
    result = app.send_task("tools.refused", (2,))
    with pytest.raises(Exception, match="is held by as many runs as may be"):
        result.get(timeout=60)
    assert [line["n"] for line in worked(fleet, 1)] == [0]


def test_a_killed_holder_frees_its_place_when_its_lease_ends(
    fleet: TinyFleet, app: Celery, start: Start, tmp_path: Path
) -> None:
    start()
    app.send_task("tools.killed", (1, str(tmp_path / "first")))
    lines = worked(fleet, 1)
    first, second = sorted(fleet.events("began"), key=lambda line: float(line["at"]))
    assert [line["n"] for line in lines] == [1]
    assert second["at"] - first["at"] >= 3, "the first may have been alive until its lease ended"
    assert second["fence"] > first["fence"]


def test_what_is_done_is_not_done_again(fleet: TinyFleet, app: Celery, start: Start) -> None:
    start(**{env.EXECUTION.name: "threads", env.CONCURRENCY.name: "4"})
    results = [app.send_task("tools.paid", (n, 7, 1.0)) for n in range(4)]
    values = {result.get(timeout=60) for result in results}
    assert len(values) == 1, "all get what the first returned"
    assert app.send_task("tools.paid", (9, 8)).get(timeout=60) == "8 paid by 9"
    assert [line["order"] for line in worked(fleet, 2)] == [7, 8]


def test_a_run_that_failed_is_done_by_its_retry_and_a_duplicate_gets_its_result(
    fleet: TinyFleet, app: Celery, start: Start
) -> None:
    start()
    assert app.send_task("tools.fails_first", (3,), task_id="one").get(timeout=60) == 3
    app.send_task("tools.fails_first", (3,), task_id="one")
    app.send_task("tools.alone", (4,)).get(timeout=60)
    assert [line["n"] for line in fleet.events("tried")] == [3, 3]
    assert [line["n"] for line in worked(fleet, 2)] == [3, 4]


def test_a_rate_holds_over_workers_and_its_key_has_no_share_in_others(
    fleet: TinyFleet, app: Celery, start: Start
) -> None:
    start(**{env.EXECUTION.name: "threads"})
    start(**{env.EXECUTION.name: "threads"})
    for n in range(60):
        app.send_task("tools.slow_bank", (n, "a"))
    app.send_task("tools.slow_bank", (60, "b"))
    wait_for(lambda: len(list(fleet.events("called"))) >= 61, seconds=60, what="all calls")
    called = sorted(fleet.events("called"), key=lambda line: float(line["at"]))
    of_a = [line for line in called if line["bank"] == "a"]
    assert len(called) == 61
    assert of_a[-1]["at"] - of_a[0]["at"] >= 59 / 20 * 0.9
    assert [line["n"] for line in called].index(60) < 60, "it did not wait behind the other bank's"
    assert all(fleet.valkey.client().pttl(key) > 0 for key in fleet.valkey.client().keys("taskfleet:rate:*"))


def test_a_rate_is_set_at_run_time_and_reaches_who_waits(fleet: TinyFleet, app: Celery, start: Start) -> None:
    start(**{env.EXECUTION.name: "threads", env.CONCURRENCY.name: "4"})
    for n in range(3):
        app.send_task("tools.hourly", (n,), ignore_result=True)
    wait_for(lambda: list(fleet.events("called")), seconds=60, what="the first call")
    settings = RateSettings(fleet.aws.client("dynamodb"), fleet.name)
    wait_for(lambda: settings.read().known, seconds=60, what="that the rate is known")
    assert settings.read().known == {"tools.hourly": "1/h, burst 1"}
    assert len(list(fleet.events("called"))) == 1
    settings.change("tools.hourly", "", "100/s", 1, actor="me", reason="why", do=True)
    wait_for(lambda: len(list(fleet.events("called"))) == 3, seconds=120, what="those that waited")


def test_while_redis_is_away_limits_hold_on_sqs(fleet: TinyFleet, app: Celery, start: Start) -> None:
    start(**{env.BROKER.name: env.FALLBACK})
    fleet.valkey.kill()
    for n in range(4):
        app.send_task("tools.alone", (n, 0.3), ignore_result=True)
    lines = worked(fleet, 4)
    assert most_at_once(lines) == 1


def test_while_dynamodb_is_away_nobody_runs_what_is_limited_and_nothing_is_lost(
    fleet: TinyFleet, app: Celery, stopped_aws: MiniStack, start: Start
) -> None:
    start(**{env.EXECUTION.name: "threads"})
    app.send_task("tools.alone", (1,), ignore_result=True)
    worked(fleet, 1)
    stopped_aws.signal(signal.SIGSTOP)
    app.send_task("tools.alone", (2,), ignore_result=True)
    app.send_task("tools.small", (3,), ignore_result=True)
    wait_for(lambda: list(fleet.events("small")), seconds=60, what="a task without a limit")
    time.sleep(1)
    assert len(list(fleet.events("worked"))) == 1
    stopped_aws.signal(signal.SIGCONT)
    assert [line["n"] for line in worked(fleet, 2)] == [1, 2]


def test_while_redis_is_away_nobody_knows_the_rate_and_tasks_wait(
    fleet: TinyFleet, app: Celery, start: Start
) -> None:
    start(**{env.BROKER.name: env.FALLBACK})
    fleet.valkey.kill()
    app.send_task("tools.slow_bank", (1, "a"), ignore_result=True)
    app.send_task("tools.small", (2,), ignore_result=True)
    wait_for(lambda: list(fleet.events("small")), seconds=60, what="a task without a rate")
    time.sleep(1)
    assert list(fleet.events("called")) == []
    fleet.valkey.start()
    wait_for(lambda: list(fleet.events("called")), seconds=60, what="its turn")


@pytest.mark.parametrize("written", ["70", "0/s", "-1/s", "70/d", "s", ""])
def test_a_rate_is_a_number_and_a_unit(written: str) -> None:
    with pytest.raises(ValueError, match='as "70/s"'):
        seconds_between(written)
    assert seconds_between("70/s") == pytest.approx(1 / 70)
    assert seconds_between("0.5/h") == 7200


def test_what_can_not_be_is_refused_where_it_is_written() -> None:
    with pytest.raises(TypeError, match=r"no 'acount'; its parameters: account"):
        limited(1, by=("acount",))(lambda account: None)
    with pytest.raises(ValueError, match="at least 1 at a time"):
        limited(0)


def test_a_plain_call_is_a_plain_call() -> None:
    assert tasks.paid.run(1, 2) == "2 paid by 1"
    assert tasks.paid.apply((1, 2)).get() == "2 paid by 1"
