"""Releases that retire by themselves, on the emulated account: asleep, then deleted; parked when asked."""

from __future__ import annotations

import json
from dataclasses import replace

from taskfleet import stacks
from taskfleet.contract import names, parameters
from taskfleet.contract.messages import REDIS_SCHEDULED, REDIS_SCHEDULED_MESSAGES
from taskfleet.dead_letters.dead_letter import DeadLetterKind
from taskfleet.dead_letters.store import DeadLetters
from taskfleet.releases import commands

from tests.support.processes import wait_for
from tests.taskfleet.controller.account import Account
from tests.taskfleet.controller.test_releases import _promote
from tests.taskfleet.releases.factory import manifest

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


def _unmade(account: Account, release: str) -> None:
    """A stack that fails before its manifest is written, and is left so."""
    made = account.deploy(release, **TIMES)
    account.ssm.delete_parameter(Name=parameters.release_manifest(account.name, release))
    begun = parameters.release_begun(account.name, release)

    def parameter(name: str) -> dict[str, object]:
        properties = {"Name": name, "Type": "String", "Value": made.to_json()}
        return {"Type": "AWS::SSM::Parameter", "Properties": properties}

    taken = {**parameter(begun), "DependsOn": "Begun"}
    account.aws.client("cloudformation").create_stack(
        StackName=names.release_stack(account.name, release),
        TemplateBody=json.dumps({"Resources": {"Begun": parameter(begun), "Fault": taken}}),
        Tags=[{"Key": key, "Value": value} for key, value in names.stack_tags(account.name).items()],
        DisableRollback=True,
    )
    wait_for(lambda: _status(account, release) == "CREATE_FAILED", what="the stack has failed")


def _status(account: Account, release: str) -> str:
    stack = stacks.find(account.aws.client("cloudformation"), names.release_stack(account.name, release))
    return stack["StackStatus"] if stack else "gone"


def test_what_a_stack_left_that_failed_before_its_manifest_sleeps_is_named_and_goes(account: Account) -> None:
    _two(account)
    _unmade(account, "third")
    controller = account.controller()
    account.pass_time(controller, 2)
    assert account.states() == {"blue": "drained", "green": "current", "third": "failed"}
    assert _desired(account, "third") == {0}
    assert account.wanted("beat-third") == 0
    assert controller.last is not None
    (said,) = (one for one in controller.last.problems if "third" in one)
    assert "its stack failed (CREATE_FAILED: " in said
    assert "`fleet release retire third --yes` deletes it now" in said
    account.clock.now += 600
    account.pass_time(controller, 14)
    wait_for(lambda: _status(account, "third") == "gone", what="its stack is deleted")
    account.pass_time(controller, 1)
    assert account.states()["third"] == "retired"


def test_a_release_whose_stack_failed_before_may_come_again_with_another_image(account: Account) -> None:
    _two(account)
    _unmade(account, "third")
    controller = account.controller()
    account.pass_time(controller, 2)
    stacks.delete(
        account.aws.client("cloudformation"),
        names.release_stack(account.name, "third"),
        environment=account.name,
        wait=True,
    )
    account.write_manifest(manifest("third", image="sha256:mended"))
    account.pass_time(controller, 1)
    third = account.store.scan().records["third"]
    assert (third.state, third.image) == ("gating", "sha256:mended")
    account.pass_time(controller, 1)
    assert account.store.scan().records["third"].closed_at is None


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
        ("shop.pay", str(number), DeadLetterKind.RELEASE_RETIRED) for number in (1, 2, 3)
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
