"""Real worker processes on a real broker: what the configuration promises, seen acting."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
from taskfleet.contract import environment as env
from taskfleet.contract.messages import REDIS_SCHEDULED

from drills.malformed import message
from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet

RECORD = "drills.record"


def test_work_that_a_task_starts_stays_on_its_release(fleet: TinyFleet) -> None:
    fleet.deploy("r2")
    worker = fleet.start_worker("r1", "low,etl")
    app = fleet.app()
    app.send_task("drills.spread", ["children", 3])
    app.send_task("drills.fail", ["retries", 1, 2])
    fleet.promote("r2")

    fleet.wait_executed("children", 3)
    fleet.wait_executed("retries", 1)

    assert {line["queue"] for line in fleet.events("succeeded")} == {"low.r1"}
    assert [line["retries"] for line in fleet.events("began") if line["task"].endswith("fail")] == [0, 1, 2]
    assert fleet.waiting("low", "r2") == 0
    assert worker.poll() is None


CHORD = """
from celery import chord
from drills.tasks.app import app
from drills.tasks.faulty import record
chord([record.si("header", n, 1) for n in range(3)])(record.si("body", 0))
"""


def test_a_chord_runs_its_body_on_the_release_of_its_header(fleet: TinyFleet) -> None:
    fleet.deploy("r2")
    results = {"CELERY_RESULT_BACKEND": fleet.valkey.url.replace("/0", "/1")}
    fleet.start_worker("r1", **results)

    # A process of its own, as a web process is: it reads its settings from its environment.
    subprocess.run([sys.executable, "-c", CHORD], env=fleet.environment(**results), check=True)
    fleet.promote("r2")

    fleet.wait_executed("header", 3)
    fleet.wait_executed("body", 1)
    assert {line["queue"] for line in fleet.events("succeeded")} == {"low.r1"}


@pytest.mark.parametrize("execution", ["threads", "gevent"])
def test_other_executions_run_tasks_and_publish_too(fleet: TinyFleet, execution: str) -> None:
    worker = fleet.start_worker("r1", **{env.EXECUTION.name: execution})

    fleet.app().send_task("drills.spread", ["it", 5])

    fleet.wait_executed("it", 5)
    worker.terminate()
    assert worker.wait(25) == 0


def test_tasks_on_sqs_are_run_by_the_fallback_worker(fleet: TinyFleet) -> None:
    app = fleet.app()
    fleet.valkey.kill()
    for n in range(5):
        app.send_task(RECORD, ["there", n])
    fleet.start_worker("r1", **{env.BROKER.name: env.FALLBACK})

    fleet.wait_executed("there", 5)

    assert fleet.executed("there") == [0, 1, 2, 3, 4]
    wait_for(lambda: fleet.waiting_on_sqs("low", "r1") == 0, what="SQS empty")


def test_sigterm_lets_running_tasks_finish_and_returns_the_rest(fleet: TinyFleet) -> None:
    worker = fleet.start_worker("r1", **{env.SOFT_SHUTDOWN_SECONDS.name: "30"})
    app = fleet.app()
    for n in range(2):
        app.send_task(RECORD, ["running", n, 1.5])
    for n in range(4):
        app.send_task(RECORD, ["later", n], countdown=600)
    for n in range(3):
        app.send_task(RECORD, ["waiting", n])
    wait_for(lambda: len(list(fleet.events("began"))) == 2, what="two running tasks")
    time.sleep(0.5)

    began = time.monotonic()
    worker.terminate()
    assert worker.wait(25) == 0

    assert time.monotonic() - began < 20, "it did not wait for the whole soft shutdown"
    assert fleet.executed("running") == [0, 1]
    assert fleet.executed("waiting") == []
    assert fleet.waiting("low", "r1") == 3
    assert fleet.valkey.client().zcard(REDIS_SCHEDULED + "low.r1") == 4
    assert fleet.valkey.client().hlen("unacked") == 0


def test_sigterm_returns_what_outlasts_the_soft_shutdown(fleet: TinyFleet) -> None:
    worker = fleet.start_worker("r1", **{env.SOFT_SHUTDOWN_SECONDS.name: "1"})
    app = fleet.app()
    app.send_task(RECORD, ["long", 1, 60])
    wait_for(lambda: list(fleet.events("began")), what="a running task")

    began = time.monotonic()
    worker.terminate()
    worker.wait(20)

    assert time.monotonic() - began < 15
    assert fleet.waiting("low", "r1") == 1
    assert fleet.executed("long") == []
    assert fleet.dead_letters("low") == 0, "given back is no failure"


def test_sigterm_is_heard_while_redis_hangs(fleet: TinyFleet) -> None:
    worker = fleet.start_worker("r1", **{env.SOFT_SHUTDOWN_SECONDS.name: "1"})
    fleet.app().send_task(RECORD, ["running", 1, 60])
    wait_for(lambda: list(fleet.events("began")), what="a running task")
    fleet.valkey.pause()

    worker.terminate()

    worker.wait(40)


def test_a_killed_child_loses_nothing_and_counts_as_a_retry(fleet: TinyFleet) -> None:
    """In its last retry as well, where Celery takes the machine's fault for the task's."""
    worker = fleet.start_worker("r1", **{env.APP.name: "tests.taskfleet.own_tasks:app"})
    fleet.app().send_task("own.killed", [1, 3])

    fleet.wait_executed("own.killed", 1, seconds=60)

    assert [line["retries"] for line in fleet.events("began-own")] == [0, 1, 1, 1]
    assert fleet.dead_letters("low") == 0
    assert worker.poll() is None


def test_a_leaking_child_is_replaced(fleet: TinyFleet) -> None:
    fleet.start_worker("r1", **{env.CHILD_MEMORY_MIB.name: "150", env.CONCURRENCY.name: "1"})
    app = fleet.app()

    for n in range(5):
        app.send_task("drills.leak", ["leak", n, 60])
    fleet.wait_executed("leak", 5)

    assert len({line["pid"] for line in fleet.events("record")}) >= 2
    assert fleet.executed("leak") == list(range(5))


def test_a_task_over_its_time_limit_is_stopped(fleet: TinyFleet) -> None:
    limits = {env.SOFT_TIME_LIMIT_SECONDS.name: "1", env.TIME_LIMIT_SECONDS.name: "2"}
    fleet.start_worker("r1", **limits)
    app = fleet.app()

    app.send_task(RECORD, ["slow", 1, 30])

    wait_for(lambda: list(fleet.events("failed")), seconds=60, what="the soft time limit")
    assert fleet.executed("slow") == []


def test_a_dead_workers_message_is_given_to_another_within_seconds(fleet: TinyFleet) -> None:
    first = fleet.start_worker("r1")
    fleet.app().send_task(RECORD, ["orphan", 1, 1])
    wait_for(lambda: list(fleet.events("began")), what="a running task")

    fleet.kill(first)
    fleet.start_worker("r1")

    fleet.wait_executed("orphan", 1, seconds=40)  # the hour of the visibility timeout is not waited for
    assert fleet.executed("orphan") == [1]


STOCK_CONSUMER = """
import os, sys
from kombu import Connection
channel = Connection(sys.argv[1]).channel()
assert channel.basic_get("low.r1") is not None
print("taken", flush=True)
os._exit(1)  # no time to give it back
"""


def test_what_a_stock_worker_took_to_its_grave_is_back_after_the_visibility_timeout(fleet: TinyFleet) -> None:
    fleet.start_worker("r1", "high", **{env.VISIBILITY_TIMEOUT_SECONDS.name: "3"})
    fleet.app().send_task(RECORD, ["taken", 1], queue="low")
    command = [sys.executable, "-c", STOCK_CONSUMER, fleet.valkey.url]
    assert b"taken" in subprocess.run(command, capture_output=True, check=False).stdout
    assert fleet.waiting("low", "r1") == 0

    began = time.monotonic()
    wait_for(lambda: fleet.waiting("low", "r1") == 1, seconds=60, what="the visibility timeout")

    assert time.monotonic() - began > 1.5


def test_a_stuck_worker_is_unhealthy_and_a_busy_or_waiting_one_is_not(fleet: TinyFleet) -> None:
    worker = fleet.start_worker("r1", **{env.CONCURRENCY.name: "1"})
    fleet.app().send_task(RECORD, ["busy", 1, 60])
    wait_for(lambda: list(fleet.events("began")), what="a running task")
    wait_for(lambda: fleet.health(worker, 4) == 0, what="its first stamp")
    fleet.valkey.kill()
    time.sleep(5)
    assert fleet.health(worker, 4) == 0, "an outage of Redis is no reason to replace a worker"

    worker.send_signal(signal.SIGSTOP)
    wait_for(lambda: fleet.health(worker, 4) == 1, seconds=60, what="stuck")


def test_the_gate_task_writes_its_proof(fleet: TinyFleet) -> None:
    fleet.start_worker("r1")

    fleet.app().send_task("taskfleet.gate", ["low.r1"], queue="low.r1")

    table = {"TableName": f"taskfleet-{fleet.name}-state", "Key": {"id": {"S": "gate#primary#low.r1"}}}
    dynamodb = fleet.aws.client("dynamodb")
    wait_for(lambda: "Item" in dynamodb.get_item(**table), what="the proof")
    assert time.time() - float(dynamodb.get_item(**table)["Item"]["at"]["N"]) < 30


def test_what_a_worker_must_not_run_is_parked_and_the_worker_goes_on(fleet: TinyFleet) -> None:
    fleet.deploy("r2")
    fleet.start_worker("r1")
    app = fleet.app()
    client = fleet.valkey.client()

    app.send_task("no.such.task")
    pickled = message("low", "r1", body="cos\nsystem\n.", content_type="application/x-python-serialize")
    client.lpush("low.r1", pickled)  # a producer of ours refuses to
    app.send_task(RECORD, ["strange", 1], queue="low.r2")
    client.rename("low.r2", "elsewhere")
    client.lpush("low.r1", client.lpop("elsewhere"))  # as a person with redis-cli might
    client.lpush("low.r1", "this is no message at all")
    app.send_task(RECORD, ["good", 1])

    fleet.wait_executed("good", 1)
    wait_for(lambda: fleet.dead_letters("low") == 4, what="four parked messages")
    assert fleet.executed("strange") == []
