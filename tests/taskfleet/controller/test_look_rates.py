"""What a look says over time: rates, slots, what is not fetched, and what tasks experienced of late."""

from __future__ import annotations

import pytest
import redis
from taskfleet.contract import figures, messages, names
from taskfleet.controller.fleet_snapshot import FleetSnapshot, PoolSnapshot, RunsSnapshot
from taskfleet.controller.prometheus import Looks

from tests.support.processes import free_port
from tests.taskfleet.controller.account import Account

RUN = (
    '{"outcome:succeeded":16,"outcome:failed":2,"outcome:retried":2,"outcome:lost":1,"wait:0:40":20,'
    '"wait:0:sum":20000000}'
)


def pool(look: FleetSnapshot, name: str = "low") -> PoolSnapshot:
    (release,) = look.releases
    return next(each for each in release.pools if each.pool == name)


def test_arrivals_and_completions_are_told_from_the_second_look_on(current: Account) -> None:
    controller = current.controller()
    assert pool(controller.look()).arrivals is None
    for _ in range(30):
        current.redis.incrby(f"{messages.REDIS_TAKEN}low.blue", 20)  # came, was fetched and ended
        current.clock.now += 10
        look = controller.look()

    assert pool(look).arrivals == pytest.approx(2.0)
    assert pool(look).completions == pytest.approx(2.0)
    assert (pool(look).unacknowledged, pool(look).total_slots) == (0, 2)
    assert pool(look, "high").arrivals == 0


def test_what_nobody_fetches_though_slots_are_free(current: Account) -> None:
    controller = current.controller()
    current.redis.lpush("etl.blue", "{}")
    looks = [controller.look()]
    for _ in range(3):
        current.clock.now += 10
        looks.append(controller.look())

    assert [pool(look).unfetched_seconds for look in looks] == [0, 10, 20, 30]
    assert [queue.unfetched_seconds for queue in pool(looks[-1]).queues] == [0, 30]
    assert pool(looks[-1], "high").unfetched_seconds == 0
    current.redis.incr(f"{messages.REDIS_TAKEN}etl.blue")
    current.clock.now += 10
    assert pool(controller.look()).unfetched_seconds == 0


def test_since_when_a_message_is_held(current: Account) -> None:
    current.redis.zadd(f"{messages.REDIS_IN_FLIGHT}low.blue", {"s:1:1": 1000 * (current.clock() - 90)})

    look = current.controller().look()

    assert pool(look).held_seconds == pytest.approx(90, abs=0.1)
    assert pool(look, "high").held_seconds == 0


def test_what_tasks_of_the_last_five_minutes_experienced(current: Account) -> None:
    over = int(current.clock() - 5) // 60 - 1
    for ago in (0, 4, 5):
        key = figures.key(current.name, "blue", over - ago)
        current.redis.hset(key, figures.name("low", "a"), RUN)
        current.redis.hset(key, figures.name("etl", "b"), '{"outcome:succeeded":1}')

    look = current.controller().look()

    low, etl = (queue.runs for queue in pool(look).queues)
    assert low is not None
    assert (low.ended, low.failed, low.retried) == (42, 6, 4)
    assert low.wait_p95_seconds == pytest.approx(1.0, rel=0.2)
    assert etl == RunsSnapshot(ended=2, failed=0, retried=0, wait_p50_seconds=None, wait_p95_seconds=None)
    runs = pool(look).runs
    assert runs is not None
    assert (runs.ended, runs.failed) == (44, 6)
    assert pool(look, "high").runs == RunsSnapshot(
        ended=0, failed=0, retried=0, wait_p50_seconds=None, wait_p95_seconds=None
    )


def test_since_when_something_can_be_fetched_from_sqs(current: Account) -> None:
    controller = current.controller()
    twin = names.fallback_queue(current.name, "etl", "blue")
    url = current.sqs.get_queue_url(QueueName=twin)["QueueUrl"]
    current.sqs.send_message(QueueUrl=url, MessageBody="x")
    controller.look()
    current.clock.now += 10
    assert [queue.fallback_waited_seconds for queue in pool(controller.look()).queues] == [0, 10]


def test_what_is_not_known_is_no_zero(current: Account) -> None:
    controller = current.controller()
    current.pass_time(controller, 3)
    away = redis.Redis(host="127.0.0.1", port=free_port(), socket_connect_timeout=0.3, retry=None)
    object.__setattr__(controller._clients, "primary", away)
    current.clock.now += 70

    look = controller.look()

    found = pool(look)
    assert (found.arrivals, found.completions, found.runs) == (None, None, None)
    assert (found.held_seconds, found.unfetched_seconds, found.unacknowledged) == (None, None, None)
    assert [(queue.runs, queue.held_seconds) for queue in found.queues] == [(None, None)] * 2
    samples = {s.name: s.value for family in Looks(lambda: look).collect() for s in family.samples}
    assert [name for name in samples if "recent" in name or "per_second" in name or "held" in name] == []
    assert samples["taskfleet_pool_slots"] == 2, "ECS answers"


def test_a_look_comes_back_as_it_was_kept(current: Account) -> None:
    look = current.controller().look()

    assert FleetSnapshot.from_json(look.to_json()) == look
    forgotten = pool(look.forgotten())
    assert (forgotten.runs, forgotten.arrivals, forgotten.queues[0].held_seconds) == (None, None, None)
