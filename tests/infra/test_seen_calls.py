"""The table of calls is held to what the fleets of a test run recorded, in both ways."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.checks.access import bootstrap, calls
from infra.checks.access.calls import Call
from infra.checks.access.policies import PRODUCER, WORKER
from infra.checks.access.unseen import UNSEEN
from tests.support import seen_calls
from tests.support.reference import LOCAL

TABLE = calls.read()
ROOT = Path(__file__).parents[2]
SENDS = ("sqs:SendMessage", "arn:aws:sqs:<region>:<account>:taskfleet-<env>-<queue>-<release>")
QUEUE = "arn:aws:sqs:us-east-1:000000000000:taskfleet-local-high-r1"


def recorded(tmp_path: Path, action: str) -> Path:
    file = tmp_path / "calls.jsonl"
    file.write_text(json.dumps({"caller": PRODUCER, "action": action, "resource": QUEUE}) + "\n")
    return file


def test_a_call_that_is_not_in_the_table_is_named_with_what_to_do(tmp_path: Path) -> None:
    assert seen_calls.unknown(recorded(tmp_path, "sqs:SendMessage"), LOCAL) == ""

    said = seen_calls.unknown(recorded(tmp_path, "sqs:PurgeQueue"), LOCAL)
    assert "sqs:PurgeQueue" in said
    assert "python -m infra.checks.access" in said


def test_a_row_that_nobody_records_any_more_is_named() -> None:
    extra = Call(WORKER, "sqs:PurgeQueue", "*")

    assert seen_calls.stale(TABLE, TABLE) == ([], [])
    assert seen_calls.stale(TABLE, TABLE | {extra}) == ([extra], [])


@pytest.mark.parametrize("one", UNSEEN, ids=lambda one: f"{one.caller} {one.actions[0]} {one.about}")
def test_a_reason_without_a_row_is_named(one: object) -> None:
    less = {call for call in TABLE if not one.covers(call)}  # type: ignore[attr-defined]

    assert one in seen_calls.stale(TABLE, less)[1]


@pytest.mark.parametrize("reason", sorted({one.reason for one in UNSEEN}))
def test_a_reason_names_tests_that_there_are(reason: str) -> None:
    assert all((ROOT / path).exists() for path in re.findall(r"tests/[\w/.]+", reason))


def test_a_run_of_all_that_record_fails_for_such_a_row(tmp_path: Path) -> None:
    config: Any = SimpleNamespace(_tmp_path_factory=SimpleNamespace(getbasetemp=lambda: tmp_path))
    session: Any = SimpleNamespace(exitstatus=pytest.ExitCode.OK)
    plugin, gone = seen_calls.SeenCalls(config), Call(WORKER, *SENDS)
    assert gone in TABLE
    seen_calls.keep(config, TABLE - {gone})

    plugin.pytest_sessionfinish(session)  # other tests ran, or only some of them
    assert session.exitstatus is pytest.ExitCode.OK

    for name in seen_calls._tests(ROOT):
        plugin.pytest_runtest_logreport(SimpleNamespace(when="call", passed=True, nodeid=f"{name}[x]"))
    plugin.pytest_sessionfinish(session)
    assert session.exitstatus is pytest.ExitCode.TESTS_FAILED
    assert str(gone) in plugin._says


def test_the_run_knows_which_tests_record() -> None:
    found = set(seen_calls._tests(ROOT))

    assert "tests/fleet/test_drills.py::test_the_short_form_holds" in found
    assert {name.partition("/test_")[0] for name in found} == {"tests/fleet", "tests/cdk"}


@pytest.mark.parametrize("who", sorted(bootstrap.ROLES.keys() - {"cdk-cfn-exec"}))
def test_each_role_of_the_bootstrap_has_its_calls_in_the_table(who: str) -> None:
    """CloudFormation's own is held to what AWS says that its handlers need: `test_policies`."""
    assert [call for call in TABLE if call.caller == who]
