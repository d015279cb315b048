"""`fleet release …`: nothing without --yes, everything twice."""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import replace
from typing import Any

import pytest
import redis
from click.testing import Result
from taskfleet.brokers.redis.commands import Commands, Keys, Lease
from taskfleet.contract import messages, names
from taskfleet.contract.manifest import Canary
from taskfleet.releases import builds
from taskfleet.releases.model import State

from tests.taskfleet.cli.conftest import Fleet


@pytest.fixture
def two(up: Fleet) -> Fleet:
    """Blue is current, green has passed its gate."""
    up.bring_up("green")
    return up


def test_list_and_show(two: Fleet) -> None:
    listed = two.run("release", "list").output
    assert "blue" in listed
    found = {r["release"]: r for r in two.json("release", "list")["releases"]}
    assert (found["blue"]["state"], found["green"]["state"]) == ("current", "gating")
    assert (found["blue"]["ready"], found["green"]["ready"]) == (False, True)
    shown = two.run("release", "show", "blue").output
    assert "registered -> gating  by controller" in shown
    assert "left     0 waiting, 0 scheduled, 0 unacknowledged, 0 on the fallback, 0 parked" in shown
    assert two.json("release", "show", "blue")["left"]["total"] == 0


def test_show_says_which_build_was_refused(two: Fleet) -> None:
    store, blue = two.account.store, two.account.store.scan().records["blue"]
    store.save(replace(blue, manifest=replace(blue.manifest, build="s1"), version=blue.version + 1))
    breaks = ("shop.charge: the task is gone",)
    table = store._table
    builds.write_refused(store._dynamodb, table, "blue", builds.Refused("s2", 1_790_000_000.0, breaks))
    shown = two.run("release", "show", "blue").output
    assert "build    s1" in shown
    assert "refused  build s2, 2026-09-21 14:13:20 UTC:\n  shop.charge: the task is gone" in shown
    assert two.json("release", "show", "blue")["refused"]["breaks"] == list(breaks)


def test_promote_says_then_does_then_has_nothing_to_do(two: Fleet) -> None:
    said = two.run("release", "promote", "green")
    assert said.exit_code == 0
    assert "would: producers publish to release green" in said.output
    assert "nothing was changed" in said.output
    assert two.account.published() == "blue"

    done = two.run("release", "promote", "green", "--yes", "--reason", "friday")
    assert done.exit_code == 0, done.output
    assert "undo: fleet release promote blue --yes" in done.output
    assert two.account.published() == "green"
    assert two.account.states() == {"blue": "draining", "green": "current"}
    assert "current release  green (since a moment ago" in two.run("status").output
    last = two.account.store.scan().records["green"].history[-1]
    assert last.reason == "friday"
    assert last.actor not in ("", "controller")

    again = two.run("release", "promote", "green", "--yes")
    assert (again.exit_code, "nothing to do" in again.output) == (0, True)


def test_a_promote_that_was_cut_short_is_finished_by_running_it_again(two: Fleet) -> None:
    two.run("release", "promote", "green", "--yes")
    two.account.ssm.put_parameter(
        Name=f"/taskfleet/{two.account.name}/current-release", Value="blue", Type="String", Overwrite=True
    )
    assert two.run("release", "promote", "green", "--yes").exit_code == 0
    assert two.account.published() == "green"


def test_promote_is_refused_before_the_gate_has_passed(up: Fleet) -> None:
    up.account.deploy("green")
    up.look(looks=2)
    refused = up.run("release", "promote", "green", "--yes")
    assert refused.exit_code == 1
    assert "its gate has not passed yet" in refused.output
    assert up.account.published() == "blue"


def test_promote_is_refused_while_a_pool_has_no_worker(two: Fleet) -> None:
    two.account.ecs.update_service(
        cluster=names.cluster(two.account.name), service="low-green", desiredCount=0
    )
    refused = two.run("release", "promote", "green", "--yes")
    assert refused.exit_code == 1
    assert "fleet scale low 1 --release green --yes" in refused.output


def test_rollback_goes_back(two: Fleet) -> None:
    two.run("release", "promote", "green", "--yes")
    assert "would: producers publish to release blue" in two.run("release", "rollback").output
    assert two.run("release", "rollback", "--yes").exit_code == 0
    assert two.account.published() == "blue"
    assert two.account.states() == {"blue": "current", "green": "draining"}


def test_rollback_twice_is_refused_unless_the_release_is_named(two: Fleet) -> None:
    two.run("release", "promote", "green", "--yes")
    two.run("release", "rollback", "--yes")

    again = two.run("release", "rollback", "--yes")

    assert again.exit_code == 1
    assert "fleet release rollback green --yes" in again.output
    assert two.account.published() == "blue"
    assert two.run("release", "rollback", "green", "--yes").exit_code == 0
    assert two.account.published() == "green"


def test_rollback_is_refused_when_nothing_is_warm(up: Fleet) -> None:
    refused = up.run("release", "rollback", "--yes")
    assert (refused.exit_code, "no release to go back to" in refused.output) == (1, True)


def test_retire_is_refused_while_work_is_left_and_says_where(two: Fleet) -> None:
    two.account.redis.lpush("low.blue", "{}", "{}")
    two.run("release", "promote", "green", "--yes")
    two.look()
    refused = two.run("release", "retire", "blue", "--yes")
    assert refused.exit_code == 1
    assert (
        "still drains: 2 waiting, 0 scheduled, 0 unacknowledged, 0 on the fallback, 0 parked"
        in refused.output
    )
    current = two.run("release", "retire", "green", "--yes")
    assert (current.exit_code, "is current" in current.output) == (1, True)


def _stack_of(two: Fleet, release: str, *, of: str | None = None) -> str:
    """A real (small) stack under the release's stack name, with the tags of the fleet, or of another."""
    tags = [{"Key": k, "Value": v} for k, v in names.stack_tags(of or two.account.name).items()]
    stack = names.release_stack(two.account.name, release)
    template = '{"Resources": {"T": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "%s"}}}}'
    two.account.aws.client("cloudformation").create_stack(
        StackName=stack, TemplateBody=template % f"t-{uuid.uuid4().hex[:8]}", Tags=tags
    )
    return stack


def _stacks(two: Fleet) -> set[str]:
    found = two.account.aws.client("cloudformation").list_stacks()["StackSummaries"]
    return {s["StackName"] for s in found if s["StackStatus"] != "DELETE_COMPLETE"}


def _retire_beside(controller: Any, two: Fleet, release: str) -> Result:
    """Retire it while the controller goes on looking."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.2):
            two.account.clock.now = time.time()
            controller.look()

    looking = threading.Thread(target=look)
    looking.start()
    try:
        return two.run("release", "retire", release, "--yes", "--settle-seconds", "0")
    finally:
        over.set()
        looking.join()


def _publish(two: Fleet, queue: str, text: str = "{}") -> None:
    keys = Keys("unacked", "unacked_index", "")
    message = {"body": text, "properties": {"delivery_tag": uuid.uuid4().hex}}
    client = redis.Redis(connection_pool=two.account.redis.connection_pool)
    Commands(client, keys, Lease()).publish(queue, 0, message, replicas=0, wait_ms=0)


@pytest.mark.parametrize("where", ["waiting", "scheduled", "unacknowledged", "fallback"])
def test_one_that_never_served_is_not_retired_with_work_in_it_and_is_opened_again(
    two: Fleet, where: str
) -> None:
    stack, controller = _stack_of(two, "green"), two.account.controller()
    two.account.redis.lpush("low.green", '{"headers": {"task": "taskfleet.gate"}}')  # no work: it goes
    if where == "fallback":
        name = names.fallback_queue(two.account.name, "low", "green")
        url = two.account.sqs.get_queue_url(QueueName=name)["QueueUrl"]
        two.account.sqs.send_message(QueueUrl=url, MessageBody="x")
    elif where == "scheduled":
        two.account.redis.zadd(messages.REDIS_SCHEDULED + "low.green", {"it": 10**15})
    elif where == "waiting":
        two.account.redis.lpush("low.green", "{}")
    else:
        two.account.redis.hset("unacked", "stock", '[{}, "", "low.green"]')
        two.account.redis.zadd("unacked_index", {"stock": 1})
    two.look(controller)

    refused = _retire_beside(controller, two, "green")

    assert refused.exit_code == 1
    assert "work is left in it" in refused.output
    assert f"1 {'on the fallback' if where == 'fallback' else where}" in refused.output
    assert stack in _stacks(two)
    two.look(controller)
    assert two.account.store.scan().records["green"].closed_at is None
    _publish(two, "low.green")


def test_a_release_that_is_being_retired_takes_no_publish(two: Fleet) -> None:
    stack, controller = _stack_of(two, "green"), two.account.controller()
    two.account.redis.lpush("low.green", '{"headers": {"task": "taskfleet.gate"}}')
    two.look(controller)

    done = _retire_beside(controller, two, "green")

    assert done.exit_code == 0, done.output
    assert stack not in _stacks(two)
    with pytest.raises(redis.ResponseError, match="CLOSED"):
        _publish(two, "low.green")
    _publish(two, "low.blue")


def test_retire_deletes_the_stack_of_a_drained_release(two: Fleet) -> None:
    stack = _stack_of(two, "blue")
    two.run("release", "promote", "green", "--yes")
    two.look(looks=1)
    controller = two.account.controller()
    two.look(controller, looks=8)
    assert two.account.states()["blue"] == "drained"
    assert "would: the stack" in two.run("release", "retire", "blue").output
    assert stack in _stacks(two)

    done = _retire_beside(controller, two, "blue")
    assert done.exit_code == 0, done.output
    assert stack not in _stacks(two)
    assert two.account.store.scan().records["blue"].retiring is not None
    refused = two.run("release", "promote", "blue", "--yes")
    assert (refused.exit_code, "asked for its stack to be deleted" in refused.output) == (1, True)

    two.account.delete(two.account.store.scan().records["blue"].manifest)  # went with the stack
    two.look(controller)
    assert two.account.states()["blue"] == State.RETIRED
    again = two.run("release", "retire", "blue", "--yes")
    assert (again.exit_code, "retired already" in again.output) == (0, True)


def test_retire_leaves_a_stack_that_is_somebody_elses(two: Fleet) -> None:
    stack = _stack_of(two, "blue", of="another")
    two.run("release", "promote", "green", "--yes")
    controller = two.account.controller()
    two.look(controller, looks=9)

    refused = _retire_beside(controller, two, "blue")

    assert refused.exit_code == 1
    assert f"the stack {stack} is not ours: it lacks the tags project=taskfleet" in refused.output
    assert stack in _stacks(two)
    assert two.account.store.scan().records["blue"].retiring is None


def test_retire_is_refused_while_the_controller_is_silent(two: Fleet) -> None:
    two.run("release", "promote", "green", "--yes")
    two.look(two.account.controller(), looks=9)
    look, at = two.account.store.read_look() or ("", 0.0)
    two.account.store.write_look(look, at=at - 600)
    refused = two.run("release", "retire", "blue", "--yes")
    assert (refused.exit_code, "what is left is not known" in refused.output) == (1, True)


def test_an_unknown_release_names_those_that_exist(up: Fleet) -> None:
    refused = up.run("release", "promote", "grene", "--yes")
    assert (refused.exit_code, "known: blue" in refused.output) == (1, True)


@pytest.fixture
def with_canary(up: Fleet) -> Fleet:
    """Green has passed its gate, and its settings ask for a canary; a person promotes."""
    up.bring_up("green", canary=Canary(share=0.1, seconds=600), bake_seconds=300)
    return up


def split_of(fleet: Fleet) -> str:
    return str(fleet.account.store.scan().pointer.canary)


def test_promote_begins_a_canary_and_rollback_ends_it(with_canary: Fleet) -> None:
    said = with_canary.run("release", "promote", "green")
    assert (
        "would: within seconds, a share of 0.1 of publishes goes to release green, for 600 s" in said.output
    )
    assert with_canary.account.states()["green"] == "gating"

    done = with_canary.run("release", "promote", "green", "--yes")
    assert done.exit_code == 0, done.output
    assert "undo: fleet release rollback --yes" in done.output
    assert (with_canary.account.states()["green"], split_of(with_canary)) == ("canary", "green")
    assert with_canary.account.published() == "blue"
    again = with_canary.run("release", "promote", "green", "--yes")
    assert (again.exit_code, "is in its canary already" in again.output) == (1, True)
    retired = with_canary.run("release", "retire", "green", "--yes")
    assert (retired.exit_code, "end it first: fleet release rollback --yes" in retired.output) == (1, True)

    with_canary.look()
    assert "canary" in with_canary.run("release", "list").output
    shown = with_canary.run("release", "show", "green").output
    assert "canary   no run of a task that both releases have; " in shown
    assert "to go" in shown

    ended = with_canary.run("release", "rollback", "--yes")
    assert ended.exit_code == 0, ended.output
    assert "the canary of release green ends: it drains" in ended.output
    assert with_canary.account.states() == {"blue": "current", "green": "draining"}
    assert split_of(with_canary) == "None"


def test_promote_at_once_leaves_the_canary_out_and_the_release_bakes(with_canary: Fleet) -> None:
    with_canary.run("release", "promote", "green", "--yes")
    assert with_canary.run("release", "promote", "green", "--at-once", "--yes").exit_code == 0
    assert with_canary.account.published() == "green"
    assert "current (bakes)" in with_canary.run("release", "list").output
    with_canary.look()
    assert "bake     alarms: unknown: " in with_canary.run("release", "show", "green").output
    assert with_canary.run("release", "rollback", "--yes").exit_code == 0
    assert with_canary.account.states() == {"blue": "current", "green": "draining"}
