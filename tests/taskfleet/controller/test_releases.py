"""The controller moves real records through a real table, from real counts."""

from __future__ import annotations

import json
from dataclasses import replace

from taskfleet.contract import messages, names
from taskfleet.contract.limits import GATE_DEADLINE_SECONDS
from taskfleet.contract.messages import GATE_TASK, PUBLISHED_AT_HEADER, RELEASE_HEADER
from taskfleet.controller import observe
from taskfleet.controller.execute import TOO_OLD_SECONDS, Execution
from taskfleet.controller.gather import gather
from taskfleet.releases import commands, promoting
from taskfleet.releases.actions import Close, Delete, Publish
from taskfleet.releases.observation import Memory, Rules
from taskfleet.releases.plan import plan

from tests.taskfleet.controller.account import Account, dead


def _bring_up(account: Account, release: str) -> None:
    """Deploy a release and let it pass its gate."""
    made, controller = account.deploy(release), account.controller()
    account.pass_time(controller, 1)
    account.run_gates(made)
    account.pass_time(controller, 1)


def _replace_blue(account: Account) -> None:
    """Blue was current; green is now, and blue drains."""
    _bring_up(account, "blue")
    _bring_up(account, "green")
    _promote(account, "green")


def _promote(account: Account, release: str) -> None:
    """What `fleet release promote` does."""
    seen = account.store.scan()
    made = commands.promote(
        seen.records, seen.pointer, release, at=account.clock(), actor="ops", reason="test"
    )
    assert made is not None
    promoting.promote(account.store, account.ssm, account.name, made)


def test_the_first_release_is_gated_and_becomes_current_by_itself(account: Account) -> None:
    controller = account.controller()
    account.pass_time(controller, 1)
    assert account.states() == {}
    made = account.deploy("blue")
    account.pass_time(controller, 1)
    assert account.states() == {"blue": "gating"}
    assert {(g.queue, g.broker) for g in account.gates.sent} == {
        (q, broker) for q in made.queues for broker in ("primary", "fallback")
    }
    account.pass_time(controller, 2)
    assert len(account.gates.sent) == 6  # not once per look
    account.run_gates(made)
    look = controller.look()
    assert account.states() == {"blue": "current"}
    assert account.published() == look.published == look.current == "blue"
    moves = [(c.before, c.after, c.actor) for c in account.store.scan().records["blue"].history]
    assert moves == [
        ("", "registered", "controller"),
        ("registered", "gating", "controller"),
        ("gating", "current", "controller"),
    ]


def test_a_gate_task_is_an_ordinary_stamped_task(account: Account) -> None:
    account.deploy("blue")
    account.pass_time(account.controller(), 3)
    raw = account.redis.lindex("etl.blue", -1)
    assert isinstance(raw, bytes)
    headers = json.loads(raw)["headers"]
    assert headers["task"] == GATE_TASK
    assert headers[RELEASE_HEADER] == "blue"
    assert headers[PUBLISHED_AT_HEADER] > 0
    assert headers["expires"]


def test_a_second_release_waits_for_a_person_then_takes_over_and_the_first_drains(account: Account) -> None:
    _bring_up(account, "blue")
    _bring_up(account, "green")
    assert account.states() == {"blue": "current", "green": "gating"}
    assert account.store.scan().records["green"].ready
    account.redis.lpush("low.blue", "{}")
    _promote(account, "green")
    controller = account.controller()
    account.pass_time(controller, 1)
    assert account.states() == {"blue": "draining", "green": "current"}
    account.pass_time(controller, 10)
    assert account.states()["blue"] == "draining"  # one message is left
    account.redis.delete("low.blue")
    account.pass_time(controller, 6)
    assert account.states()["blue"] == "draining"  # not seen empty often enough
    account.pass_time(controller, 1)
    assert account.states()["blue"] == "drained"


def test_a_drained_release_whose_stack_is_deleted_is_retired_and_may_come_back(account: Account) -> None:
    _replace_blue(account)
    controller = account.controller()
    account.pass_time(controller, 8)
    blue = account.store.scan().records["blue"].manifest
    account.delete(blue)
    account.pass_time(controller, 1)
    assert account.states()["blue"] == "retired"
    assert [r.release for r in controller.look().releases] == ["green"]
    account.deploy("blue")
    account.pass_time(controller, 3)
    again = account.store.scan().records["blue"]
    assert (str(again.state), again.gate_passed_at) == ("gating", None)  # the old proofs prove nothing


def test_a_release_waits_for_its_gate_on_sqs_and_the_record_says_how_long(account: Account) -> None:
    made, controller = account.deploy("blue"), account.controller()
    account.pass_time(controller, 1)
    began = account.clock.now
    for queue in made.queues:
        account.run_gate_on_redis(queue, "blue")
    account.pass_time(controller, 3)
    assert account.states() == {"blue": "gating"}
    for queue in made.queues:
        account.run_gate_on_sqs(queue, "blue")
    proven = account.clock.now
    account.pass_time(controller, 1)
    assert account.states() == {"blue": "current"}
    took = dict(account.store.scan().records["blue"].gate_took)
    assert took == {"primary": 0.0, "fallback": round(proven - began, 1)}


def test_a_gate_task_on_sqs_wakes_the_workers_there_and_they_sleep_again(account: Account) -> None:
    made, controller = account.deploy("blue"), account.controller()
    account.pass_time(controller, 2)
    assert controller.last is not None
    assert {pool.fallback_gap for pool in controller.last.releases[0].pools} == {1}
    account.run_gates(made)
    for pool in made.pools:
        service = names.service(pool.name, "blue", fallback=True)
        account.ecs.update_service(cluster=names.cluster(account.name), service=service, desiredCount=1)
    account.pass_time(controller, 1)
    assert {pool.fallback_gap for pool in controller.last.releases[0].pools} == {-1}


def test_while_sqs_is_away_a_gate_waits_and_in_the_end_fails_with_the_reason(account: Account) -> None:
    account.deploy("blue")
    account.gates.sqs = dead("sqs")
    controller = account.controller()
    account.pass_time(controller, 1)
    assert account.states() == {"blue": "gating"}
    account.clock.now += 2 * GATE_DEADLINE_SECONDS
    account.pass_time(controller, 2)
    assert account.states() == {"blue": "failed"}
    reason = account.store.scan().records["blue"].history[-1].reason
    assert "high (fallback), low (fallback), etl (fallback)" in reason
    assert "fallback took no gate task: Could not connect to the endpoint" in reason


def test_a_drain_with_its_stack_gone_still_counts_what_the_primary_holds(account: Account) -> None:
    _replace_blue(account)
    account.redis.lpush("low.blue", "{}")
    controller = account.controller()
    account.pass_time(controller, 2)
    account.delete(account.store.scan().records["blue"].manifest)
    account.pass_time(controller, 10)
    assert account.states()["blue"] == "draining"
    assert any("its stack is gone" in problem for problem in controller.look().problems)


def test_a_drained_release_whose_stack_went_with_work_in_it_is_not_retired(account: Account) -> None:
    _replace_blue(account)
    controller = account.controller()
    account.pass_time(controller, 8)
    account.redis.lpush("low.blue", "{}")
    account.delete(account.store.scan().records["blue"].manifest)
    look = controller.look()
    assert account.states()["blue"] == "draining"
    assert any("blue is draining and its stack is gone" in problem for problem in look.problems)


def test_an_unknown_fallback_never_lets_a_release_drain(account: Account) -> None:
    _replace_blue(account)
    twin = account.sqs.get_queue_url(QueueName=f"taskfleet-{account.name}-low-blue")["QueueUrl"]
    account.sqs.delete_queue(QueueUrl=twin)
    account.pass_time(account.controller(), 12)
    assert account.states()["blue"] == "draining"


def test_another_image_under_a_known_id_fails_with_the_reason(account: Account) -> None:
    account.deploy("blue")
    controller = account.controller()
    account.pass_time(controller, 2)
    account.deploy("other")
    made = account.store.scan().records["blue"].manifest
    account.write_manifest(type(made)(**{**made.__dict__, "image": "sha256:another"}))
    account.pass_time(controller, 2)
    assert account.states()["blue"] == "failed"
    last = account.store.scan().records["blue"].history[-1]
    assert "sha256:blue and was deployed again with sha256:another: an id is never reused" in last.reason


def test_two_controllers_at_once_do_the_same_thing_once(account: Account) -> None:
    made = account.deploy("blue")
    first, second = account.controller(), account.controller()
    for _ in range(3):
        account.clock.now += 10
        first.look()
        second.look()
    account.run_gates(made)
    for _ in range(2):
        account.clock.now += 10
        first.look()
        second.look()
    record = account.store.scan().records["blue"]
    assert [c.after for c in record.history] == ["registered", "gating", "current"]
    assert account.store.scan().pointer.version == 1


def test_a_published_copy_that_somebody_changed_is_put_right(account: Account) -> None:
    _bring_up(account, "blue")
    account.tell("nonsense")
    account.pass_time(account.controller(), 1)
    assert account.published() == "blue"


def test_a_controller_that_stood_still_since_it_looked_publishes_what_is_current_now(
    account: Account,
) -> None:
    _replace_blue(account)
    account.tell("blue")
    seen = gather(account.clients(), now=account.clock(), last=None, rules=Rules())
    observed = observe.observation(seen, account.name)
    assert observed is not None
    planned = plan(observed, Memory())
    assert [action.release for action in planned.actions if isinstance(action, Publish)] == ["green"]
    account.clock.now += 1
    _promote(account, "blue")
    Execution.of(observed, account.clients()).run(planned.actions)
    assert account.published() == "blue"


def test_a_controller_that_stood_still_for_long_does_nothing_of_what_it_planned(account: Account) -> None:
    _replace_blue(account)
    seen = gather(account.clients(), now=account.clock(), last=None, rules=Rules())
    observed = observe.observation(seen, account.name)
    assert observed is not None
    account.clock.now += TOO_OLD_SECONDS + 1
    done = Execution.of(observed, account.clients(), account.clock)
    (problem,) = done.run((Close("green"), Delete("blue")))
    assert problem == "this controller stood still: it looked 61 s ago, and looks again"
    assert account.store.scan().records["green"].closed_at is None


def test_what_somebody_changed_since_the_look_is_neither_closed_nor_deleted(account: Account) -> None:
    _replace_blue(account)
    seen = gather(account.clients(), now=account.clock(), last=None, rules=Rules())
    observed = observe.observation(seen, account.name)
    assert observed is not None
    _promote(account, "blue")
    assert Execution.of(observed, account.clients()).run((Close("blue"), Delete("blue"))) == []
    assert account.store.scan().records["blue"].closed_at is None
    assert names.fallback_queue(account.name, "low", "blue") not in _refusing(account)


def _refusing(account: Account) -> set[str]:
    """The queues whose policy refuses what is sent."""
    urls = account.sqs.list_queues(QueueNamePrefix=names.PROJECT).get("QueueUrls", ())
    read = {url: account.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"]) for url in urls}
    return {url.rpartition("/")[2] for url, one in read.items() if "Deny" in str(one.get("Attributes"))}


def test_a_retired_release_stays_closed_on_both_brokers_until_it_is_kept_after_all(account: Account) -> None:
    """Redis loses it in a failover, somebody overwrites the policy: then it is closed since just now."""
    _replace_blue(account)
    controller = account.controller()
    account.pass_time(controller, 8)
    mark_as_retiring(account, "ops")
    account.pass_time(controller, 1)
    first = account.store.scan().records["blue"].closed_at
    account.pass_time(controller, 1)
    assert (first, closed(account)) == (account.store.scan().records["blue"].closed_at, (True, True))

    account.redis.delete(messages.REDIS_CLOSED)
    account.pass_time(controller, 1)
    second = account.store.scan().records["blue"].closed_at
    account.sqs.set_queue_attributes(QueueUrl=twin(account), Attributes={"Policy": OTHER_POLICY})
    account.pass_time(controller, 1)
    third = account.store.scan().records["blue"].closed_at
    assert first < second < third
    assert closed(account) == (True, True)

    mark_as_retiring(account, None)
    account.pass_time(controller, 1)
    assert closed(account) == (False, False)
    assert json.loads(policy(account)) == json.loads(OTHER_POLICY)


OTHER_POLICY = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Sid": "Other", "Effect": "Deny", "Action": "sqs:PurgeQueue"}]}
)


def mark_as_retiring(account: Account, actor: str | None) -> None:
    blue = account.store.scan().records["blue"]
    account.store.save(replace(blue, retiring=actor, version=blue.version + 1))


def twin(account: Account) -> str:
    return str(
        account.sqs.get_queue_url(QueueName=names.fallback_queue(account.name, "low", "blue"))["QueueUrl"]
    )


def policy(account: Account) -> str:
    said = account.sqs.get_queue_attributes(QueueUrl=twin(account), AttributeNames=["Policy"])
    return str(said.get("Attributes", {}).get("Policy", ""))


def closed(account: Account) -> tuple[bool, bool]:
    """On Redis, on SQS."""
    on_redis = account.redis.hexists(messages.REDIS_CLOSED, "low.blue")
    return bool(on_redis), "sqs:SendMessage" in policy(account)
