"""`adelay`, `aapply_async` and `aget`: what `delay` and `get` do, and an event loop that never waits."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import threading
from collections.abc import Awaitable
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest
from celery import Celery, chain, chord, group
from celery._state import pop_current_task, push_current_task
from celery.exceptions import TimeoutError as CeleryTimeoutError
from celery.signals import before_task_publish
from taskfleet import install
from taskfleet.contract.messages import PUBLISHED_AT_HEADER
from taskfleet.errors import MessageTooLarge, PartlyPublished, PublishError, SettingsError, UnknownQueue
from taskfleet.publishing import asynchronous

from tests.support.ministack import MiniStack
from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet


def add_task(app: Celery, **options: Any) -> Any:
    @app.task(name="add", **options)
    def add(a: int, b: int = 0) -> int:
        return a + b

    return add


def waiting(fleet: TinyFleet) -> list[dict[str, Any]]:
    """The messages in Redis, oldest first."""
    return [json.loads(text) for text in reversed(fleet.valkey.client().lrange("low.r1", 0, -1))]


def arguments(message: dict[str, Any]) -> Any:
    return json.loads(base64.b64decode(message["body"]))[0]


async def rounds_beside(work: Awaitable[Any]) -> tuple[Any, int]:
    """What ``work`` returns, and how often the loop came round meanwhile: never, if it was held."""
    rounds, over = 0, False

    async def watch() -> None:
        nonlocal rounds
        while not over:
            await asyncio.sleep(0.001)
            rounds += 1

    watching = asyncio.create_task(watch())
    try:
        return await work, rounds
    finally:
        over = True
        await watching


def test_it_publishes_what_delay_publishes(fleet: TinyFleet) -> None:
    app = fleet.app()
    add = add_task(app)

    async def publish() -> list[Any]:
        return [
            await add.adelay(1, b=2),
            await add.aapply_async((2,), {"b": 3}, time_limit=30),
            await add.s(3, b=4).adelay(),
            await add.s(4).aapply_async(queue="low", task_id="chosen"),
        ]

    results = asyncio.run(publish())
    result = add.delay(1, b=2)

    *found, stock = waiting(fleet)
    assert [message["headers"]["id"] for message in found] == [each.id for each in results]
    assert [arguments(message) for message in found] == [[1], [2], [3], [4]]
    assert results[3].id == "chosen"
    assert type(results[0]) is type(result)
    differing = {name for name, value in stock["headers"].items() if value != found[0]["headers"][name]}
    assert differing <= {"id", "root_id", "expires", PUBLISHED_AT_HEADER}


def test_of_canvas_each_task_is_sent_and_its_result_is_canvass(fleet: TinyFleet) -> None:
    app = fleet.app()
    app.conf.result_backend = "cache+memory://"
    add = add_task(app)

    async def publish() -> tuple[Any, Any, Any]:
        return (
            await group(add.s(n) for n in range(3)).aapply_async(),
            await chain(add.s(10), add.s(1)).adelay(),
            await chord([add.s(20), add.s(21)], add.s()).aapply_async(),
        )

    of_group, of_chain, of_chord = asyncio.run(publish())

    found = waiting(fleet)
    assert [arguments(message)[0] for message in found if arguments(message)][:6] == [0, 1, 2, 10, 20, 21]
    assert [each.id for each in of_group] == [message["headers"]["id"] for message in found[:3]]
    assert of_chain.parent.id == found[3]["headers"]["id"]
    assert of_chord.parent.id == found[4]["headers"]["group"]


def test_many_at_once_share_round_trips_and_leave_the_loop_alone(
    fleet: TinyFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, count, sent = fleet.app(), 1000, []
    add = add_task(app)
    add.delay(-1)
    pipeline = app.taskfleet.publisher._primary._pipeline
    run = pipeline.run
    monkeypatch.setattr(pipeline, "run", lambda each, answers: (sent.append(len(each)), run(each, answers)))

    async def publish() -> list[Any]:
        return await asyncio.gather(*(add.adelay(number) for number in range(count)))

    results = asyncio.run(publish())

    assert len({result.id for result in results}) == count
    assert sorted(arguments(message)[0] for message in waiting(fleet)) == list(range(-1, count))
    assert sum(sent) == count
    assert len(sent) < count / 10


def test_each_gets_its_own_error(fleet: TinyFleet) -> None:
    app = fleet.app()
    add = add_task(app)

    async def publish() -> list[Any]:
        calls = [add.adelay(number) for number in range(20)]
        calls.insert(5, add.aapply_async((1,), queue="nobodys"))
        calls.insert(9, add.adelay("x" * 2_000_000))
        calls.insert(12, add.adelay())
        return await asyncio.gather(*calls, return_exceptions=True)

    results = asyncio.run(publish())

    errors = {type(each) for each in results if isinstance(each, BaseException)}
    assert errors == {UnknownQueue, MessageTooLarge, TypeError}
    assert [arguments(message)[0] for message in waiting(fleet)] == list(range(20))


def test_while_redis_hangs_they_go_to_sqs_and_the_loop_goes_on(fleet: TinyFleet) -> None:
    app = fleet.app()
    add = add_task(app)

    async def publish() -> tuple[Any, int]:
        await add.adelay(0)
        fleet.valkey.pause()
        try:
            return await rounds_beside(asyncio.gather(*(add.adelay(number) for number in range(50))))
        finally:
            fleet.valkey.signal(signal.SIGCONT)

    results, rounds = asyncio.run(publish())

    assert len(results) == 50
    assert rounds > 20, "a publish waits for Redis for 0.3 s, at least"


def test_neither_broker(fleet: TinyFleet, stopped_aws: MiniStack) -> None:
    app = fleet.app()
    add = add_task(app)
    add.delay(0)

    async def publish() -> list[Any]:
        fleet.valkey.kill()
        stopped_aws.signal(signal.SIGSTOP)
        one, several = add.adelay(1), group(add.s(n) for n in range(2)).aapply_async()
        return [*await asyncio.gather(one, several, return_exceptions=True)]

    one, several = asyncio.run(publish())

    assert type(one) is PublishError
    assert type(several) is PartlyPublished
    assert len(several.refused) + len(several.unknown) == 2


def test_cancelled_before_it_is_made_it_is_not_published(fleet: TinyFleet) -> None:
    app = fleet.app()
    add = add_task(app)

    async def publish() -> None:
        with app.taskfleet.asynchronous._making:
            cancelled = asyncio.create_task(add.adelay(1))
            other = asyncio.create_task(add.adelay(2))
            await asyncio.sleep(0.05)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
        await other

    asyncio.run(publish())

    assert [arguments(message) for message in waiting(fleet)] == [[2]]


def test_cancelled_while_it_is_sent_it_is_published(
    fleet: TinyFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = fleet.app()
    add = add_task(app)
    publisher, begun, go_on = app.taskfleet.publisher, threading.Event(), threading.Event()
    send = publisher.send
    monkeypatch.setattr(publisher, "send", lambda each: (begun.set(), go_on.wait(10), send(each)))

    async def publish() -> None:
        task = asyncio.create_task(add.adelay(1))
        assert await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()

    asyncio.run(publish())

    wait_for(lambda: len(waiting(fleet)) == 1, what="the message")


def test_more_than_may_wait_is_held_back(fleet: TinyFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asynchronous, "MOST_WAITING", 5)
    app = fleet.app()
    add = add_task(app)
    publisher = app.taskfleet.asynchronous

    async def publish() -> int:
        with publisher._making:
            calls = [asyncio.create_task(add.adelay(number)) for number in range(20)]
            await asyncio.sleep(0.1)
            waited = len(publisher._waiting)
        await asyncio.gather(*calls)
        return waited

    assert asyncio.run(publish()) <= 6  # a thread may have taken one before
    assert len(waiting(fleet)) == 20


def test_in_a_task_it_is_the_tasks_child(fleet: TinyFleet) -> None:
    app = fleet.app()
    add = add_task(app)
    add.push_request(id="the-parent", root_id="the-root", called_directly=False, children=[])
    push_current_task(add)
    try:
        child = asyncio.run(add.adelay(1))
        children = add.request.children
    finally:
        pop_current_task()
        add.pop_request()

    headers = waiting(fleet)[0]["headers"]
    assert (headers["parent_id"], headers["root_id"]) == ("the-parent", "the-root")
    assert [each.id for each in children] == [child.id]


def test_the_applications_code_sees_the_coroutines_context(fleet: TinyFleet) -> None:
    app = fleet.app()
    add = add_task(app)
    tenant: ContextVar[str] = ContextVar("tenant")

    def note(headers: dict[str, Any], **_signal: Any) -> None:
        headers["tenant"] = tenant.get()

    async def publish(name: str) -> Any:
        tenant.set(name)
        return await add.adelay(1)

    async def both() -> list[Any]:
        return list(await asyncio.gather(publish("a"), publish("b")))

    before_task_publish.connect(note)
    try:
        results = asyncio.run(both())
    finally:
        before_task_publish.disconnect(note)

    said = {message["headers"]["id"]: message["headers"]["tenant"] for message in waiting(fleet)}
    assert said == {results[0].id: "a", results[1].id: "b"}


def test_where_no_thread_can_be_started_it_fails_and_later_works(
    fleet: TinyFleet, no_threads: list[str]
) -> None:
    app = fleet.app()
    add = add_task(app)
    add.delay(0)
    no_threads.append("taskfleet-async")

    with pytest.raises(RuntimeError, match="thread"):
        asyncio.run(add.adelay(1))
    asyncio.run(add.adelay(2))

    assert [arguments(message) for message in waiting(fleet)] == [[0], [2]]


def test_one_loop_after_the_other_and_several_in_threads(fleet: TinyFleet) -> None:
    app = fleet.app()
    add = add_task(app)
    threads = [threading.Thread(target=lambda n=n: asyncio.run(add.adelay(n))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    asyncio.run(add.adelay(8))

    assert sorted(arguments(message)[0] for message in waiting(fleet)) == list(range(9))


def in_memory_app() -> Celery:
    return install(Celery("tests", broker="memory://", backend="cache+memory://"))


@pytest.mark.parametrize("eager", [False, True])
def test_in_a_teams_own_tests_it_works_as_delay_does(eager: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TASKFLEET_ENVIRONMENT", raising=False)
    app = in_memory_app()
    app.conf.task_always_eager = eager
    add = add_task(app, ignore_result=False)

    result = asyncio.run(add.adelay(1, 2))

    if eager:
        assert asyncio.run(result.aget()) == 3
    else:
        app.backend.store_result(result.id, 3, "SUCCESS")
        assert asyncio.run(result.aget(timeout=5)) == 3


def test_a_result_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TASKFLEET_ENVIRONMENT", raising=False)
    app = in_memory_app()
    results = [app.AsyncResult(f"task-{number}") for number in range(3)]

    def end(number: int, state: str = "SUCCESS") -> None:
        value: Any = number if state == "SUCCESS" else ValueError("no")
        app.backend.store_result(f"task-{number}", value, state)

    async def wait() -> tuple[Any, Any]:
        loop = asyncio.get_running_loop()
        for number in (0, 1):
            loop.call_later(0.1, partial(end, number))
        return await rounds_beside(app.GroupResult("g", results[:2]).aget(timeout=10))

    values, _rounds = asyncio.run(wait())
    assert values == [0, 1]
    with pytest.raises(CeleryTimeoutError):
        asyncio.run(results[2].aget(timeout=0.1))
    end(2, "FAILURE")
    with pytest.raises(ValueError, match="no"):
        asyncio.run(results[2].aget(timeout=5))
    assert isinstance(asyncio.run(results[2].aget(propagate=False)), ValueError)


def test_without_install_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory_app()  # another application's installing adds the methods
    stock = Celery("stock", broker="memory://")
    with pytest.raises(SettingsError, match=r"taskfleet\.install"):
        asyncio.run(stock.signature("anything").adelay())
