"""The controller passes on what workers counted: an hour to `fleet`, counters to Prometheus."""

from __future__ import annotations

import pytest
import redis
from taskfleet.contract import figures
from taskfleet.controller import tasks
from taskfleet.controller.prometheus import Tasks
from taskfleet.controller.tasks import Hour, TaskFigures
from taskfleet.measuring.families import families

from tests.taskfleet.controller.account import Account

RUN = '{"outcome:succeeded":2,"runtime:40":2,"runtime:sum":2000000}'


def put(client: redis.Redis, minute: int, text: str = RUN, task: str = "a") -> None:
    client.hset(figures.key("dev", "r1", minute), figures.name("low", task), text)


def test_a_minute_is_counted_once_when_it_is_over(account: Account) -> None:
    seen, at = TaskFigures(), 60.0 * 30_000_000
    put(account.redis, 29_999_999)
    first = seen.look(account.redis, "dev", ["r1"], at + 10)
    put(account.redis, 30_000_000)

    assert first is not None
    assert [each.runs for each in first.tasks] == [2]
    assert seen.totals == {}  # from before it began
    assert seen.look(account.redis, "dev", ["r1"], at + 59) is None
    assert seen.look(account.redis, "dev", ["r1"], at + 62) is None  # its clock may be ahead
    second = seen.look(account.redis, "dev", ["r1"], at + 66)
    assert second is not None
    assert [(each.runs, each.runtime_sum) for each in second.tasks] == [(4, 4.0)]
    assert seen.totals["dev", "r1", "low", "a"]["outcome:succeeded"] == 2
    assert seen.look(account.redis, "dev", ["r1"], at + 70) is None
    third = seen.look(account.redis, "dev", ["r1"], at + 60 * 61 + 10)
    assert third is not None
    assert third.tasks == ()
    assert seen.totals["dev", "r1", "low", "a"]["outcome:succeeded"] == 2
    seen.look(account.redis, "dev", ["r2"], at + 60 * 63 + 10)
    assert seen.totals == {}  # of a release that is gone


def test_what_could_not_be_read_is_read_later(account: Account) -> None:
    seen, at = TaskFigures(), 60.0 * 30_000_000
    seen.look(account.redis, "dev", ["r1"], at + 10)
    put(account.redis, 30_000_000)
    with pytest.raises(redis.ConnectionError):
        seen.look(redis.Redis(port=1), "dev", ["r1"], at + 70)
    put(account.redis, 30_000_001)

    seen.look(account.redis, "dev", ["r1"], at + 130)

    assert seen.totals["dev", "r1", "low", "a"]["outcome:succeeded"] == 4


def test_an_hour_of_very_many_names_fits_into_an_item_of_dynamodb(account: Account) -> None:
    for n in range(figures.MOST_NAMES):
        put(account.redis, 29_999_999, task=f"{'a' * 60}.{n}")
    put(account.redis, 29_999_999, '{"outcome:failed":1,"exception:KeyError":1}', task="failing")

    hour = TaskFigures().look(account.redis, "dev", ["r1"], 60.0 * 30_000_000 + 10)

    assert hour is not None
    assert (len(hour.tasks), hour.left_out) == (tasks.MOST_ROWS, figures.MOST_NAMES + 1 - tasks.MOST_ROWS)
    assert hour.tasks[0].task == "failing"
    assert len(hour.to_json()) < 300_000
    assert Hour.from_json(hour.to_json()) == hour


def test_each_family_has_its_samples(account: Account) -> None:
    counts = {
        ("dev", "r1", "low", "a"): {
            "outcome:failed": 3,
            "exception:KeyError": 3,
            "runtime:0": 1,
            "runtime:80": 1,
            "runtime:sum": 1_001_000,
            "memory:10": 1,
            "memory:sum": 5000,
        }
    }

    found = {family.name: family for family in families(counts)}
    runtime = {
        (sample.name.rpartition("_")[2], sample.labels.get("le")): sample.value
        for sample in found["taskfleet_task_runtime_seconds"].samples
    }

    assert runtime["bucket", "0.001"] == 1
    assert runtime["bucket", "+Inf"] == runtime["count", None] == 2
    assert runtime["sum", None] == 1.001
    assert found["taskfleet_task_wait_seconds"].samples == []
    assert next(iter(Tasks(dict).collect())).name == "taskfleet_tasks"


def test_a_look_keeps_the_hour_and_a_broker_that_is_away_keeps_nothing_from_it(current: Account) -> None:
    controller = current.controller()

    controller.look()

    kept = current.store.read_hour()
    assert kept is not None
    assert Hour.from_json(kept).tasks == ()
