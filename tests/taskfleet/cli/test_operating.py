"""`fleet scale`, `restart`, `doctor`, and how the command fails."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from taskfleet.contract import names, parameters

from tests.support.ministack import MiniStack
from tests.support.processes import free_port
from tests.taskfleet.cli.conftest import Fleet
from tests.taskfleet.releases.factory import manifest

FLEET = str(Path(sys.executable).with_name("fleet"))


def _desired(up: Fleet, service: str) -> int:
    cluster = names.cluster(up.account.name)
    return int(
        up.account.ecs.describe_services(cluster=cluster, services=[service])["services"][0]["desiredCount"]
    )


def test_scale_says_the_undo(up: Fleet) -> None:
    assert "would: low-blue: wanted 1 -> 3, held for 1 h" in up.run("scale", "low", "3").output
    assert _desired(up, "low-blue") == 1
    done = up.run("scale", "low", "3", "--yes")
    assert "undo: fleet scale low auto --yes" in done.output
    assert _desired(up, "low-blue") == 3
    again = up.run("scale", "low", "2", "--yes")
    assert "undo: fleet scale low 3 --yes" in again.output
    fallback = up.run("scale", "low", "2", "--fallback", "--release", "blue", "--yes")
    assert "undo: fleet scale low auto --release blue --fallback --yes" in fallback.output
    assert _desired(up, "low-blue-fallback") == 2


def _gaps(up: Fleet) -> tuple[int | None, int | None]:
    (low,) = [pool for pool in up.account.controller().look().releases[0].pools if pool.pool == "low"]
    return low.gap, low.fallback_gap


def test_what_a_person_sets_is_not_undone_before_its_time(up: Fleet) -> None:
    assert up.run("scale", "low", "3", "--for", "30m", "--yes").exit_code == 0
    assert up.run("scale", "low", "2", "--fallback", "--yes").exit_code == 0
    assert _gaps(up) == (0, 0), "the alarms see nothing to do"
    page = up.run("status").output
    assert "set by a person" in page
    assert "low-blue at 3 for another" in page
    assert set(up.json("status")["holds"]) == {"low-blue", "low-blue-fallback"}

    up.account.clock.now += 31 * 60
    assert _gaps(up)[0] == -2
    up.account.clock.now += 31 * 60
    assert _gaps(up) == (-2, -2)


def test_the_alarms_may_be_given_a_pool_back_at_once(up: Fleet) -> None:
    up.run("scale", "low", "3", "--yes")
    assert "its alarms scale it again" in up.run("scale", "low", "auto", "--yes").output
    assert _gaps(up)[0] == -2
    assert up.json("status")["holds"] == {}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("low", "10"), "low may have 1 to 3 workers, not 10: choose one of those, or change max_workers"),
        (("low", "0"), "low may have 1 to 3 workers, not 0: choose one of those, or change min_workers"),
        (("low", "4", "--fallback"), "0 to 3 workers on SQS, not 4: choose one of those, or change max_fall"),
    ],
)
def test_a_number_that_the_scaling_would_take_back_is_refused(
    up: Fleet, arguments: tuple[str, ...], says: str
) -> None:
    refused = up.run("scale", *arguments, "--yes")
    assert (refused.exit_code, says in refused.output) == (1, True), refused.output
    assert _desired(up, "low-blue") == 1


@pytest.mark.parametrize("wrong", ["many", "²", "2 --for ²h", "2 --for soon", "2 --for 9d", "2 --for 1s"])
def test_what_is_no_number_or_time_is_wrong_usage(up: Fleet, wrong: str) -> None:
    assert up.run("scale", "low", *wrong.split()).exit_code == 2


def test_scale_of_an_unknown_pool_names_those_that_exist(up: Fleet) -> None:
    refused = up.run("scale", "lwo", "4", "--yes")
    assert (refused.exit_code, "one of high, low" in refused.output) == (1, True)


def test_restart_starts_a_new_deployment(up: Fleet) -> None:
    assert up.run("restart", "controller", "--yes").exit_code == 0
    assert up.run("restart", "worker", "--yes").exit_code == 2
    assert "one controller for all" in up.run("restart", "controller", "--release", "blue").output


def test_restart_of_beat_is_that_of_the_current_release_unless_another_is_named(up: Fleet) -> None:
    up.bring_up("green")
    assert "would: beat-blue: its task" in up.run("restart", "beat").output
    assert "would: beat-green: its task" in up.run("restart", "beat", "--release", "green").output
    assert up.run("restart", "beat", "--yes").exit_code == 0

    before = manifest("blue")  # of the version before: without a beat of its own
    record = up.account.store.scan().records["blue"]
    up.account.store.save(replace(record, manifest=before, version=record.version + 1))
    assert "would: beat: its task" in up.run("restart", "beat").output


def test_doctor_finds_nothing_in_a_sound_environment(up: Fleet) -> None:
    result = up.run("doctor")
    assert result.exit_code == 0, result.output
    assert "WRONG" not in result.output
    checked = {finding["check"] for finding in up.json("doctor")}
    assert {"credentials", "base parameters", "current release", "controller", "service beat-blue"} <= checked


def test_doctor_finds_what_is_missing(up: Fleet) -> None:
    account = up.account
    account.ssm.delete_parameter(Name=parameters.base(account.name, "broker-host"))
    account.ecs.delete_service(cluster=names.cluster(account.name), service="beat-blue", force=True)
    look, at = account.store.read_look() or ("", 0.0)
    account.store.write_look(look, at=at - 600)
    result = up.run("doctor")
    assert result.exit_code == 1
    wrong = [line for line in result.output.splitlines() if line.startswith("WRONG")]
    assert [line.split(":")[0] for line in wrong] == [
        "WRONG  base parameters",
        "WRONG  controller",
        "WRONG  service beat-blue",
    ]
    assert "base/broker-host" in wrong[0]


def test_the_password_is_that_of_the_broker_that_the_environment_has_now(up: Fleet) -> None:
    """One that was restored has another name; an environment of an earlier version does not say which."""
    account, said = up.account, parameters.base(up.account.name, "broker-group")
    account.aws.client("secretsmanager").create_secret(
        Name=names.broker_secret(account.name), SecretString='{"password": "a-password-of-this-test"}'
    )
    groups = (names.broker(account.name, "friday"), names.broker(account.name))
    for group in groups:
        account.aws.client("elasticache").create_replication_group(
            ReplicationGroupId=group, ReplicationGroupDescription="broker"
        )

    account.ssm.put_parameter(Name=said, Value=groups[0], Overwrite=True)
    assert f"{groups[0]} takes the new password" in up.run("broker", "rotate-password").output
    account.ssm.delete_parameter(Name=said)
    assert f"{groups[1]} takes the new password" in up.run("broker", "rotate-password").output


def test_help_documents_the_exit_codes(up: Fleet) -> None:
    text = " ".join(up.run("--help").output.split())
    assert "Exit codes: 0 fine, 1 a problem was found or something was refused, 2 wrong usage." in text


def test_the_environment_may_be_given_before_or_after_the_command(up: Fleet) -> None:
    other = ["-e", "nosuch"]
    assert up.run(*other, "status").exit_code == 1
    assert up.run("status", *other).exit_code == 1
    assert up.run("-e", "nosuch", "status", "-e", up.account.name).exit_code == 0


def run_alone(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The installed command in a process with just this environment."""
    quiet = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true"}
    return subprocess.run(
        [FLEET, *arguments], env=quiet | environment, capture_output=True, text=True, timeout=60, check=False
    )


REGION = {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}
KEYS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
NOWHERE = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}


@pytest.mark.parametrize(
    ("environment", "code", "says"),
    [
        ({}, 2, "which environment?"),
        ({"TASKFLEET_ENVIRONMENT": "Prod!"}, 2, "can't be the name of an environment"),
        ({"TASKFLEET_ENVIRONMENT": "dev"}, 1, "no AWS region"),
        ({"TASKFLEET_ENVIRONMENT": "dev", **REGION}, 1, "no AWS credentials"),
        ({"TASKFLEET_ENVIRONMENT": "local", **REGION, **KEYS, **NOWHERE}, 1, "Is the local fleet up"),
    ],
    ids=["no environment", "bad environment", "no region", "no credentials", "no endpoint"],
)
def test_it_fails_with_a_sentence(environment: dict[str, str], code: int, says: str) -> None:
    result = run_alone("status", **environment)
    assert result.returncode == code, result.stderr
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_an_environment_that_does_not_exist(aws: MiniStack) -> None:
    result = run_alone("status", "-e", "nosuch", **aws.environment)
    assert result.returncode == 1
    assert "there is no such environment here" in result.stderr


def test_a_producer_is_listed_and_one_that_is_gone_is_forgotten(up: Fleet) -> None:
    assert up.run("producers", "list").output == "no process has a lease\n"
    up.account.lease("web-1/7/ab", "blue")
    up.account.lease("cron-2/9/cd", "red", pinned=True)
    up.account.lease("old-3/1/ef", "blue", seconds=-60)

    page = up.run("producers", "list").output
    assert "web-1/7/ab" in page
    assert "cron-2/9/cd" in page
    assert "old-3" not in page
    (one,) = up.json("producers", "list", "--release", "red")["producers"]
    assert (one["process"], one["pinned"]) == ("cron-2/9/cd", True)
    assert (
        "would: forget web (pid 9 on cron-2, pinned)" in up.run("producers", "forget", "cron-2/9/cd").output
    )
    assert len(up.json("producers", "list")["producers"]) == 2
    assert up.run("producers", "forget", "cron-2/9/cd", "--yes").exit_code == 0
    assert [each["process"] for each in up.json("producers", "list")["producers"]] == ["web-1/7/ab"]
    unknown = up.run("producers", "forget", "nobody", "--yes")
    assert unknown.exit_code == 1
    assert "fleet producers list" in unknown.output
