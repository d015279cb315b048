"""What preflight says of a release for which the controller would find no room."""

from __future__ import annotations

from dataclasses import replace

import boto3
import pytest
from taskfleet.contract import names
from taskfleet.contract import state as keys
from taskfleet.releases.model import Record, State
from taskfleet.releases.store import Store

from infra.preflight import releases
from infra.preflight.finding import State as Answer
from tests.support import reference as environments
from tests.taskfleet.releases.factory import record

DEV = replace(environments.DEV, max_live_releases=3)
CURRENT = record("blue", State.CURRENT, at=3.0)
DRAINED = [record("old", State.DRAINED, at=1.0), record("older", State.DRAINED, at=0.5)]


def judge(*there: Record, release: str = "green") -> tuple[Answer, str, tuple[str, ...]]:
    found = releases.judge(DEV, {one.release: one for one in there}, release)
    return found.state, found.found, found.run


def test_one_too_many_comes_with_the_command_that_retires_the_one_that_drained_first() -> None:
    assert judge(CURRENT, *DRAINED) == (
        Answer.MISSING,
        "there is no room for green: 3 releases have workers already (blue, old, older), and "
        "max_live_releases is 3",
        ("fleet -e dev release retire older --yes",),
    )


def test_where_none_has_drained_one_waits() -> None:
    draining = [record(name, State.DRAINING) for name in ("one", "two")]

    found = releases.judge(DEV, {one.release: one for one in (CURRENT, *draining)}, "green")

    assert (found.state, found.run) == (Answer.MISSING, ())
    assert found.then.startswith("wait until one has drained")


@pytest.mark.parametrize("state", [State.CURRENT, State.DRAINED, State.ASLEEP])
def test_one_that_is_deployed_again_takes_no_more_room(state: State) -> None:
    others = [record(name, State.DRAINING) for name in ("one", "two", "three")]

    assert judge(record("green", state), *others)[0] is Answer.OK


@pytest.mark.parametrize("state", [State.FAILED, State.RETIRED])
def test_one_that_failed_or_was_retired_takes_room_again(state: State) -> None:
    assert judge(record("green", state), CURRENT, *DRAINED)[0] is Answer.MISSING


def test_those_that_sleep_take_none() -> None:
    asleep = [record(name, State.ASLEEP) for name in ("one", "two", "three")]

    assert judge(CURRENT, *asleep) == (
        Answer.OK, "green is to be deployed, beside one with workers (at most 3 may)", (),
    )  # fmt: skip


def test_the_state_table_is_asked_where_there_is_one(session: boto3.Session) -> None:
    (first,) = releases.room(DEV, session, "green")
    dynamodb = session.client("dynamodb")
    dynamodb.create_table(
        TableName=names.state_table(DEV.name),
        KeySchema=[{"AttributeName": keys.KEY, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": keys.KEY, "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for one in (CURRENT, *DRAINED):
        Store(dynamodb, DEV.name).create(replace(one, version=1))

    (then,) = releases.room(DEV, session, "green")

    assert (first.state, first.found) == (
        Answer.OK,
        "green is to be deployed, and no other has workers (at most 3 may)",
    )
    assert (then.state, then.run) == (Answer.MISSING, ("fleet -e dev release retire older --yes",))
