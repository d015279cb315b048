"""Commands that go out together: whose silence ends them, how long opening takes, and what is left behind."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from taskfleet.brokers.redis import deadline, pipeline
from taskfleet.brokers.redis.pipeline import Pipeline
from taskfleet.publishing.refusal import may_have_taken

from tests.brokers.tcp_faults import FaultyTcp
from tests.support.valkey import Valkey

ONE_WAY_SECONDS = 0.1  # a round trip takes twice that, and is within the limit of each step


@pytest.fixture
def proxy(valkey: Valkey) -> Iterator[FaultyTcp]:
    """The way to the broker."""
    made = FaultyTcp(valkey.port)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def to_redis(valkey: Valkey, proxy: FaultyTcp) -> Pipeline:
    """A pipeline over that way."""
    return Pipeline(
        lambda: deadline.Connection(
            host="127.0.0.1",
            port=proxy.port,
            password=valkey.password,
            socket_timeout=0.5,
            socket_connect_timeout=0.5,
        )
    )


def run(to_redis: Pipeline, *commands: list[Any]) -> list[Any]:
    answers: list[Any] = []
    to_redis.run(commands, answers)
    return answers


def test_each_command_gets_its_own_answer(to_redis: Pipeline) -> None:
    answers = run(to_redis, ["SET", "pipeline", "1"], ["LPUSH", "pipeline", "x"], ["INCR", "pipeline"])

    assert answers[0] == b"OK"
    assert isinstance(answers[1], redis.ResponseError)
    assert answers[2] == 2


def test_what_was_answered_before_the_connection_broke_is_known(to_redis: Pipeline, proxy: FaultyTcp) -> None:
    run(to_redis, ["PING"])
    answers: list[Any] = []
    cut = threading.Timer(0.1, proxy.cut)
    cut.start()

    with pytest.raises(redis.ConnectionError) as raised:
        to_redis.run([["PING"], ["BLPOP", "pipeline-nothing", "5"]], answers)

    assert answers == [b"PONG"]
    assert may_have_taken(raised.value)


def test_steps_of_opening_that_are_each_in_time_are_ended_when_their_sum_is_not(
    to_redis: Pipeline, proxy: FaultyTcp, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.delay_seconds = ONE_WAY_SECONDS
    to_redis._connect_seconds = 0.3
    began = time.monotonic()

    with pytest.raises(redis.TimeoutError) as raised:
        run(to_redis, ["PING"])

    assert 0.3 <= time.monotonic() - began < 0.3 + 0.5
    assert not may_have_taken(raised.value), "nothing was sent yet"
    to_redis._connect_seconds = 5.0
    assert run(to_redis, ["PING"]) == [b"PONG"]


def test_a_server_that_does_not_answer_is_left_in_time(
    to_redis: Pipeline, proxy: FaultyTcp, valkey: Valkey
) -> None:
    run(to_redis, ["PING"])
    proxy.drop()
    began = time.monotonic()

    with pytest.raises(redis.TimeoutError) as raised:
        run(to_redis, ["PING"])

    assert time.monotonic() - began < pipeline.MOST_ANSWER_SECONDS + 0.5
    assert may_have_taken(raised.value)


def test_an_answer_that_lies_in_the_socket_counts_however_late_we_look(
    to_redis: Pipeline, proxy: FaultyTcp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a process that does not get the processor: its looks take long and see nothing."""
    run(to_redis, ["PING"])
    connection = to_redis._connection
    assert connection is not None
    look = connection.can_read

    def starved(seconds: float = 0) -> bool:
        if seconds:
            time.sleep(0.4)
            return False
        return look(0)

    monkeypatch.setattr(connection, "can_read", starved)
    monkeypatch.setattr(pipeline, "_is_stale", lambda _connection: False)

    assert run(to_redis, ["PING"]) == [b"PONG"]


def test_a_connection_that_the_server_closed_while_it_was_idle_is_opened_again(
    to_redis: Pipeline, proxy: FaultyTcp
) -> None:
    run(to_redis, ["PING"])
    proxy.cut()
    time.sleep(0.1)

    assert run(to_redis, ["PING"]) == [b"PONG"]


class Interrupted(BaseException):
    """As a time limit of Celery's."""


def test_who_is_interrupted_leaves_no_answer_for_the_next(
    to_redis: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(to_redis, ["PING"])

    def interrupted(_connection: object) -> None:
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "_answer", interrupted)
        with pytest.raises(Interrupted):
            run(to_redis, ["ECHO", "old"])

    gc.collect()
    assert run(to_redis, ["ECHO", "new"]) == [b"new"]
