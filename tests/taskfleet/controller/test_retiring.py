"""Releases that retire by themselves, on the emulated account: asleep, then deleted; parked when asked."""

from __future__ import annotations

import json
from dataclasses import replace

from taskfleet.contract import names
from taskfleet.contract.messages import REDIS_SCHEDULED, REDIS_SCHEDULED_MESSAGES
from taskfleet.dead_letters.letter import Kind
from taskfleet.dead_letters.store import DeadLetters
from taskfleet.releases import commands

from tests.support.processes import wait_for
from tests.taskfleet.controller.account import Account
from tests.taskfleet.controller.test_releases import _promote

TIMES = {
    "beat": True,
    "warm_seconds": 600,
    "delete_after_seconds": 600,
    "keep_failed_seconds": 600,
    "max_live_releases": 2,
}


def _stack(account: Account, release: str, *, ours: bool = True) -> None:
    """A stack of the release's name, which holds its manifest and nothing else."""
    name = account.ssm.get_parameters_by_path(Path=f"/taskfleet/{account.name}/releases")["Parameters"]
    (entry,) = (one for one in name if one["Name"].endswith(f"/{release}"))
    account.ssm.delete_parameter(Name=entry["Name"])
    template = {
        "Resources": {
            "Manifest": {
                "Type": "AWS::SSM::Parameter",
                "Properties": {"Name": entry["Name"], "Type": "String", "Value": entry["Value"]},
            }
        }
    }
    tags = names.stack_tags(account.name) if ours else {}
    account.aws.client("cloudformation").create_stack(
        StackName=names.release_stack(account.name, release),
        TemplateBody=json.dumps(template),
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
    )
    wait_for(
        lambda: account.ssm.get_parameters(Names=[entry["Name"]])["Parameters"], what="the stack is there"
    )


def _two(account: Account) -> None:
    """Blue has drained, green is current."""
    controller = account.controller()
    for release in ("blue", "green"):
        made = account.deploy(release, **TIMES)
        account.pass_time(controller, 1)
        account.run_gates(made)
        account.pass_time(controller, 1)
    _promote(account, "green")
    account.pass_time(controller, 9)
    assert account.states() == {"blue": "drained", "green": "current"}


def _desired(account: Account, release: str) -> set[int]:
    wanted = [names.service(pool, release, fallback=f) for pool in ("high", "low") for f in (False, True)]
    found = account.ecs.describe_services(cluster=names.cluster(account.name), services=wanted)["services"]
    return {service["desiredCount"] for service in found}


def test_a_drained_release_sleeps_and_is_deleted_by_itself_and_the_current_one_is_not_touched(
    account: Account,
) -> None:
    _two(account)
    _stack(account, "blue")
    controller = account.controller()
    account.clock.now += 600
    account.pass_time(controller, 2)
    assert account.states() == {"blue": "asleep", "green": "current"}
    assert _desired(account, "blue") == {0}
    assert _desired(account, "green") == {0, 1}
    assert (account.wanted("beat-blue"), account.wanted("beat-green")) == (0, 1)
    account.clock.now += 600
    account.pass_time(controller, 11)  # closed for 110 s: what was sent just before may not be seen yet
    assert account.aws.client("cloudformation").describe_stacks(
        StackName=names.release_stack(account.name, "blue")
    )
    account.pass_time(controller, 3)
    wait_for(lambda: "blue" not in _manifests(account), what="its stack is deleted")
    account.pass_time(controller, 1)
    assert account.states() == {"blue": "retired", "green": "current"}
    assert account.store.scan().records["blue"].history[-1].reason == (
        "its stack was deleted, as controller asked"
    )


def _manifests(account: Account) -> set[str]:
    found = account.ssm.get_parameters_by_path(Path=f"/taskfleet/{account.name}/releases")["Parameters"]
    return {entry["Name"].rpartition("/")[2] for entry in found}


def test_what_turns_up_in_a_release_that_sleeps_wakes_it(account: Account) -> None:
    _two(account)
    controller = account.controller()
    account.clock.now += 600
    account.pass_time(controller, 2)
    account.redis.lpush("low.blue", "{}")
    account.pass_time(controller, 2)
    assert account.states()["blue"] == "draining"
    assert controller.last is not None
    (blue,) = (one for one in controller.last.releases if one.release == "blue")
    assert {pool.gap for pool in blue.pools} == {1}


def test_a_stack_of_the_same_name_that_is_somebody_elses_is_not_deleted(account: Account) -> None:
    _two(account)
    _stack(account, "blue", ours=False)
    controller = account.controller()
    account.clock.now += 600
    account.pass_time(controller, 2)
    account.clock.now += 600
    account.pass_time(controller, 15)
    assert "blue" in _manifests(account)
    assert controller.last is not None
    assert any("is not ours" in problem for problem in controller.last.problems)


def test_past_the_cap_a_release_is_refused_with_what_to_do(account: Account) -> None:
    _two(account)
    account.deploy("third", **TIMES)
    account.pass_time(account.controller(), 1)
    assert account.states()["third"] == "failed"
    reason = account.store.scan().records["third"].history[-1].reason
    assert "2 releases have workers already (blue, green), and max_live_releases is 2" in reason
    assert "fleet release retire blue --yes" in reason


def test_parking_moves_all_that_is_left_to_the_dead_letter_store(account: Account) -> None:
    _two(account)
    _promote(account, "blue")
    controller = account.controller()
    message = json.dumps({"body": "W1tdLCB7fSwge31d", "headers": {"task": "shop.pay", "id": "1"}})
    account.redis.lpush("low.green", message)
    account.redis.hset(REDIS_SCHEDULED_MESSAGES + "low.green", "x", "0:" + message.replace('"1"', '"2"'))
    account.redis.zadd(REDIS_SCHEDULED + "low.green", {"x": account.clock.now * 1000 + 86_400_000})
    twin = account.sqs.get_queue_url(QueueName=names.fallback_queue(account.name, "low", "green"))["QueueUrl"]
    account.sqs.send_message(QueueUrl=twin, MessageBody=message.replace('"1"', '"3"'))
    account.pass_time(controller, 3)
    assert account.states()["green"] == "draining"
    seen = account.store.scan()
    marked = commands.retire(seen.records, seen.pointer, "green", left=None, actor="ops", park=True)
    assert marked is not None
    account.store.save(marked)
    account.pass_time(controller, 4)
    assert _desired(account, "green") == {0}
    letters = list(DeadLetters(account.dynamodb, account.name).headings(["low"]))
    assert sorted((str(one.task), str(one.task_id), one.kind) for one in letters) == [
        ("shop.pay", str(number), Kind.RELEASE_RETIRED) for number in (1, 2, 3)
    ]
    assert controller.last is not None
    (green,) = (one for one in controller.last.releases if one.release == "green")
    assert green.left.total == 0


def test_a_paused_release_stays_as_it_is(account: Account) -> None:
    _two(account)
    blue = account.store.scan().records["blue"]
    account.store.save(replace(blue, paused="ops", version=blue.version + 1))
    account.clock.now += 86_400
    account.pass_time(account.controller(), 3)
    assert account.states()["blue"] == "drained"
