"""The real reads of the pointer while SSM throttles: a fifth of 500 processes, and of its 40 a second."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from taskfleet.contract import environment as env
from taskfleet.contract import names, parameters, state
from taskfleet.releases.items import from_pointer, from_record, wire
from taskfleet.releases.model import Pointer

from tests.local.emulator.account import Account
from tests.taskfleet.releases.factory import manifest, record

ENVIRONMENT = "dev"
# The tests' machine has two processors for all of it; what counts is how many read per allowed request.
READERS, PER_SECOND, PROCESSES = 100, 8, 4


class Producers:
    """An account with two releases, and processes that read which one is current."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._dynamodb, self._ssm = account.client("dynamodb"), account.client("ssm")
        self._dynamodb.create_table(
            TableName=names.state_table(ENVIRONMENT),
            KeySchema=[{"AttributeName": state.KEY, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": state.KEY, "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        for release in ("r1", "r2"):
            self._keep(from_record(record(release)))
            name = parameters.release_manifest(ENVIRONMENT, release)
            self._ssm.put_parameter(Name=name, Value=manifest(release).to_json(), Type="String")
        self.promote("r1")

    def _keep(self, item: Any) -> None:
        self._dynamodb.put_item(TableName=names.state_table(ENVIRONMENT), Item=wire(item))

    def promote(self, release: str) -> None:
        self._keep(from_pointer(Pointer(release=release, version=1)))
        name = parameters.current_release(ENVIRONMENT)
        self._ssm.put_parameter(Name=name, Value=release, Type="String", Overwrite=True)

    def fault(self, service: str, fault: str, **more: int) -> None:
        self.account.local("PUT", "/_local/faults", {"service": service, "fault": fault, **more})

    def throttled(self) -> int:
        return int(self.account.local("GET", "/_local/faults")["ssm"])

    def start(self, readers: int, seconds: float, processes: int = PROCESSES) -> list[subprocess.Popen[str]]:
        environment = {
            **os.environ,
            "AWS_ENDPOINT_URL": f"http://localhost:{self.account.port}",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            env.ENVIRONMENT.name: ENVIRONMENT,
        }
        command = [sys.executable, "-m", "tests.taskfleet.throttled_readers", str(readers // processes)]
        return [
            subprocess.Popen(
                [*command, str(seconds)],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            for _ in range(processes)
        ]


def ended(processes: list[subprocess.Popen[str]]) -> tuple[list[list[str]], float]:
    """What each reader saw, read by read, and the slowest read of all."""
    reports = [json.loads(process.communicate(timeout=120)[0]) for process in processes]
    return [seen for one in reports for seen in one["seen"]], max(one["slowest"] for one in reports)


@pytest.fixture
def producers(tmp_path: Path) -> Iterator[Producers]:
    account = Account()
    account.start()
    yield Producers(account)
    account.stop()


def test_no_read_fails_all_follow_a_promotion_and_they_leave_the_limit_to_others(
    producers: Producers,
) -> None:
    producers.fault("ssm", "limit", per_second=PER_SECOND)
    processes = producers.start(READERS, 22)
    time.sleep(10)
    at_first = producers.throttled()
    producers.fault("ssm", "pass")  # a promotion is retried until SSM takes it; the others' reads are not
    producers.promote("r2")
    producers.fault("ssm", "limit", per_second=PER_SECOND)

    seen, _ = ended(processes)

    assert len(seen) == READERS
    assert {one for reads in seen for one in reads} == {"r1", "r2"}
    assert {reads[-1] for reads in seen} == {"r2"}
    assert at_first > READERS / 2, "there was nothing to hold against"
    assert producers.throttled() < at_first, "who was throttled asks the table for a while"


def test_once_read_it_holds_while_the_table_is_away_too(producers: Producers) -> None:
    processes = producers.start(READERS, 20)
    time.sleep(8)
    producers.fault("ssm", "limit", per_second=PER_SECOND)
    producers.fault("dynamodb", "hang")

    seen, slowest = ended(processes)

    assert {one for reads in seen for one in reads} == {"r1"}
    assert producers.throttled() > PER_SECOND
    assert slowest < 2, "a read that hangs is not waited for where something is known"


def test_a_first_read_without_the_table_may_fail_in_time_and_says_why(producers: Producers) -> None:
    producers.fault("ssm", "throttle")
    producers.fault("dynamodb", "deny")
    processes = producers.start(1, 9, processes=1)
    time.sleep(6)
    producers.fault("ssm", "pass")

    ((*failed, last),), slowest = ended(processes)

    assert last == "r1", "the next publish begins anew"
    assert failed[0].startswith(
        "PointerUnknown: the current release can't be read: SSM throttles this account"
    )
    assert "raise Parameter Store's throughput" in failed[0]
    assert slowest < 3
