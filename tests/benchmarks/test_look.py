"""The `look` benchmark, short: what the controller asks Redis does not grow with messages."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from benchmarks import look
from tests.support.ministack import MiniStack
from tests.support.valkey import Valkey
from tests.taskfleet.controller.account import Account

QUEUES = 2


def cost(client: redis.Redis, ask: Callable[[], object]) -> tuple[int, int, int]:
    """Commands, those in scripts included; bytes that Redis answers; its microseconds for them."""
    for _ in range(3):
        ask()
    client.config_resetstat()
    for _ in range(5):
        ask()
    said = client.info("commandstats")
    calls = {
        name: stat for name, stat in said.items() if not name.startswith(("cmdstat_config", "cmdstat_info"))
    }
    # A script's time has that of its commands in it.
    used = sum(stat["usec"] for name, stat in calls.items() if name in ("cmdstat_evalsha", "cmdstat_llen"))
    return sum(stat["calls"] for stat in calls.values()), client.info("stats")["total_net_output_bytes"], used


def test_what_redis_is_asked_does_not_grow_with_messages(aws: MiniStack, valkey: Valkey) -> None:
    costs = []
    for many in (100, 100_000):
        account = Account(aws, valkey)
        account.redis.flushall()
        look.fill(account, queues=QUEUES, waiting=many, in_flight=many // 2)
        found: list[int] = []
        costs.append(
            cost(
                account.redis,
                lambda: found.append(look.ask_redis(account.redis, QUEUES, account.clock())),  # noqa: B023
            )
        )
        assert set(found) == {many + many // 2}

    (calls, replied, used), (calls_of_many, replied_of_many, used_by_many) = costs
    assert calls == calls_of_many
    assert replied_of_many == pytest.approx(replied, abs=500)
    assert used_by_many < 10 * used, "a thousand times as many messages"


def measured(waiting: int, redis_ms: float) -> look.Measured:
    return look.Measured(
        queues=10,
        waiting=waiting,
        in_flight=0,
        look_ms=90.0,
        redis_ms=redis_ms,
        redis_processor_ms=0.4,
        controller_processor_ms=60.0,
        memory_mib=2.0,
    )


@pytest.mark.parametrize(
    ("few", "many", "holds"), [(1.0, 2.5, True), (4.0, 9.0, False), (90.0, 120.0, False), (1.0, 1.0, True)]
)
def test_a_look_must_be_flat_and_short(few: float, many: float, holds: bool) -> None:
    report = look.compare([measured(1_000, few), measured(1_000_000, many)], {})

    assert report.holds is holds
