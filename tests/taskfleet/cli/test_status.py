"""`fleet status` and `fleet queues`."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import redis
from taskfleet.cli.output import duration
from taskfleet.cli.status import _beat
from taskfleet.controller.fleet_snapshot import ReleaseSnapshot

from tests.support.processes import free_port
from tests.taskfleet.cli.conftest import Fleet


def test_one_page_when_all_is_well(up: Fleet) -> None:
    result = up.run("status")
    assert result.exit_code == 0, result.output
    brokers = ("primary broker   up", "fallback broker  up")
    for line in ("current release  blue", *brokers, "dead letters     0, 0 of them new"):
        assert line in result.output
    assert "alarms: none that needs a person" in result.output
    (low,) = [line.split() for line in result.output.splitlines() if line.startswith("  low ")]
    assert low[:6] == ["low", "1", "1", "1-3", "0", "0"]
    (beat,) = [line for line in result.output.splitlines() if line.startswith("  beat: ")]
    assert beat.endswith(" of 1 running, fires")


@pytest.mark.parametrize(
    ("state", "desired", "running", "said"),
    [
        ("current", 1, 1, "1 of 1 running, fires"),
        ("draining", 1, 0, "0 of 1 running, fires when this release is current"),
        ("asleep", 0, 0, "asleep"),
        ("current", None, None, "? of ? running, fires"),
    ],
)
def test_each_release_has_its_beat(state: str, desired: int | None, running: int | None, said: str) -> None:
    assert _beat(_look(state, desired, running), "current") == said


def test_a_release_of_the_version_before_has_the_fleets_beat() -> None:
    look = replace(_look("current", None, None), beat=False)
    assert _beat(look, "current") == "the fleet's, which fires while this release is current"


def _look(state: str, desired: int | None, running: int | None) -> ReleaseSnapshot:
    return ReleaseSnapshot(
        release=state,
        state=state,
        ready=False,
        since=0.0,
        image="x",
        reason="",
        empty_looks=0,
        overdue=False,
        pools=(),
        beat=True,
        beat_desired=desired,
        beat_running=running,
    )


def test_a_silent_controller_is_said_first_and_loudly(up: Fleet) -> None:
    look, at = up.account.store.read_look() or ("", 0.0)
    up.account.store.write_look(look, at=at - 600)
    result = up.run("status")
    assert result.exit_code == 1
    assert result.output.startswith("THE CONTROLLER IS SILENT: it looked 10 min ago")
    assert "runbooks/controller-silent.md" in result.output
    for line in ("primary broker   ?", "fallback broker  ?", "dead letters     ?, ? of them new"):
        assert line in result.output
    (low,) = [line.split() for line in result.output.splitlines() if line.startswith("  low ")]
    assert low == ["low", "?", "?", "1-3", *["?"] * 9, "?/?", "?"]
    found = up.json("status")
    assert (found["broker_up"], found["releases"][0]["pools"][0]["queues"][0]["waiting"]) == (None, None)
    assert up.run("queues").output.startswith("THE CONTROLLER IS SILENT")


def test_an_alarm_is_shown_with_its_runbook_and_scaling_apart(up: Fleet) -> None:
    cloudwatch, name = up.account.cloudwatch, up.account.name
    common = {
        "Namespace": "Taskfleet",
        "MetricName": "BrokerUp",
        "Statistic": "Maximum",
        "Period": 10,
        "EvaluationPeriods": 1,
        "Threshold": 1,
        "ComparisonOperator": "LessThanThreshold",
    }
    policy = (
        "arn:aws:autoscaling:us-east-1:000000000000:scalingPolicy:1:resource/ecs/service/x/y:policyName/z"
    )
    topic = "arn:aws:sns:us-east-1:000000000000:t"
    fired = (
        ("broker-down", [topic]),
        ("fallback-unattended", [topic, policy]),
        ("scale-in", [policy]),
    )
    for kind, actions in fired:
        full = f"taskfleet-{name}-{kind}"
        cloudwatch.put_metric_alarm(
            AlarmName=full, AlarmDescription=f"It. See runbooks/{kind}.md", AlarmActions=actions, **common
        )
        cloudwatch.set_alarm_state(AlarmName=full, StateValue="ALARM", StateReason="test")
    result = up.run("status")
    assert result.exit_code == 1
    assert f"taskfleet-{name}-broker-down for" in result.output
    assert "read runbooks/broker-down.md" in result.output
    assert "read runbooks/fallback-unattended.md" in result.output, "a person has to act on it, too"
    assert "(scaling at work: 1 x scale-in)" in result.output
    assert "runbooks/scale-in.md" not in result.output
    cloudwatch.delete_alarms(
        AlarmNames=[f"taskfleet-{name}-{kind}" for kind in ("broker-down", "fallback-unattended")]
    )
    assert up.run("status").exit_code == 0  # scaling alone is nobody's problem


def test_a_broker_that_is_down_shows_unknown_figures_not_zeros(up: Fleet) -> None:
    none = redis.Redis(host="127.0.0.1", port=free_port(), socket_connect_timeout=0.3, retry=None)
    up.look(up.account.controller(primary=none))
    result = up.run("status")
    assert result.exit_code == 1
    assert "primary broker   DOWN" in result.output
    (low,) = [line.split() for line in result.output.splitlines() if line.startswith("  low ")]
    assert (low[4:6], low[7:12]) == (["?", "?"], ["?"] * 5)
    found = up.json("status")
    assert (found["ok"], found["broker_up"]) == (False, False)
    assert found["releases"][0]["pools"][0]["queues"][0]["waiting"] is None


def test_queues_are_listed_with_what_they_hold(up: Fleet) -> None:
    up.account.redis.lpush("etl.blue", "{}", "{}")
    parked = up.account.sqs.get_queue_url(QueueName=f"taskfleet-{up.account.name}-dead-etl")["QueueUrl"]
    up.account.sqs.send_message(QueueUrl=parked, MessageBody="x")
    up.look()
    lines = up.run("queues").output.splitlines()
    assert lines[0].split()[:4] == ["queue", "pool", "release", "waiting"]
    (etl,) = [line.split() for line in lines if line.startswith("etl ")]
    assert (etl[:4], etl[-1]) == (["etl", "low", "blue", "2"], "1")
    rows = {row["queue"]: row for row in up.json("queues")["queues"]}
    assert (rows["etl"]["waiting"], rows["etl"]["dead"], rows["high"]["waiting"]) == (2, 1, 0)


def test_a_pointer_that_is_not_published_is_shown(up: Fleet) -> None:
    up.account.ssm.put_parameter(
        Name=f"/taskfleet/{up.account.name}/current-release", Value="old", Type="String", Overwrite=True
    )
    controller = up.account.controller(ssm=_ReadOnly(up.account.ssm))
    up.look(controller)
    assert "blue (producers still read old)" in up.run("status").output


class _ReadOnly:
    """SSM that takes no writes."""

    def __init__(self, ssm: object) -> None:
        self._ssm = ssm

    def put_parameter(self, **_request: object) -> None:
        raise ConnectionError("no writes")

    def __getattr__(self, name: str) -> object:
        return getattr(self._ssm, name)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "?"),
        (0, "0 s"),
        (0.4, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (61, "1 min"),
        (3600, "1 h"),
        (7800, "2 h 10 min"),
        (90_000, "1 d 1 h"),
        (-5, "0 s"),
    ],
)
def test_ages_are_short(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_status_is_quick_enough_to_be_run_in_a_hurry(up: Fleet) -> None:
    begun = time.monotonic()
    up.run("status")
    assert time.monotonic() - begun < 3
