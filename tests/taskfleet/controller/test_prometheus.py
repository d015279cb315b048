"""`/metrics`, scraped."""

from __future__ import annotations

import urllib.request

import pytest
from taskfleet import scraped
from taskfleet.contract import metrics
from taskfleet.controller import prometheus

from tests.support.processes import free_port
from tests.taskfleet.controller.account import Account


def test_every_queue_and_every_contract_metric_is_served(account: Account) -> None:
    account.deploy("blue")
    controller = account.controller()
    account.pass_time(controller, 2)
    account.redis.delete("etl.blue")  # the gate task
    account.redis.lpush("etl.blue", "{}", "{}")
    controller.look()
    port = free_port()
    stop = scraped.serve(prometheus.Looks(lambda: controller.last), port=port)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as reply:
            text = reply.read().decode()
    finally:
        stop()
    labels = f'environment="{account.name}",pool="low",queue="etl",release="blue"'
    assert f"taskfleet_queue_waiting{{{labels}}} 2.0" in text
    assert f"taskfleet_queue_oldest_age_seconds{{{labels}}}" not in text  # not known: no sample
    assert f'taskfleet_broker_up{{environment="{account.name}"}} 1.0' in text
    assert text.count("# HELP taskfleet_capacity_gap ") == 1
    missing = [m.name for m in metrics.METRICS if m.help.split(";")[0] not in text]
    assert missing == ["FailedRuns", "RetriedRuns"], "no task has ended"


def test_before_the_first_look_there_is_nothing_to_say() -> None:
    assert list(prometheus.Looks(lambda: None).collect()) == []


@pytest.mark.parametrize(
    ("where", "address"),
    [("AWS_ECS_FARGATE", "0.0.0.0"), ("AWS_ECS_EC2", "0.0.0.0"), ("", "127.0.0.1")],  # noqa: S104
)
def test_only_a_container_listens_to_others(
    where: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EXECUTION_ENV", where)
    assert scraped.bind_address() == address
