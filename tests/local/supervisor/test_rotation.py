"""`fleet broker rotate-password`, and `fleet results …`, on this machine: two valid passwords, then one."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result
from taskfleet import aws as aws_clients
from taskfleet.cli import rotate
from taskfleet.cli.main import fleet
from taskfleet.contract import names, parameters

from local.account import aws_environment
from tests.local.supervisor.conftest import PASSWORD, Supervised

WRITES = ("PutSecretValue", "UpdateSecretVersionStage", "ModifyReplicationGroup")
WRITES_UNTIL_ROTATE = ["PutSecretValue", "ModifyReplicationGroup"]


class Interrupted(Exception):
    """The run ended just after something was written."""


def takes(supervised: Supervised, password: str, port: int | None = None) -> bool:
    try:
        return bool(supervised.broker(password, port).ping())
    except redis.AuthenticationError:
        return False


def current(supervised: Supervised, secret: str = names.broker_secret("local")) -> str:
    answer = supervised.client("secretsmanager").get_secret_value(SecretId=secret)
    return str(json.loads(answer["SecretString"])["password"])


@pytest.fixture
def deployed(supervised: Supervised, monkeypatch: pytest.MonkeyPatch) -> Supervised:
    supervised.deploy_secret()
    supervised.client("elasticache").create_replication_group(
        ReplicationGroupId=names.broker("local"),
        ReplicationGroupDescription="broker",
        NumCacheClusters=2,
        TransitEncryptionEnabled=True,
        AuthToken=PASSWORD,
    )
    supervised.wait(lambda: supervised.runs("broker-2"), what="the replica")
    for name, value in aws_environment(supervised.ports).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(rotate, "_LOOK_EVERY_SECONDS", 0.2)
    aws_clients._clients.after_fork()
    return supervised


def run(*options: str, of: str = "broker") -> Result:
    return CliRunner().invoke(fleet, ["-e", "local", of, "rotate-password", *options])


def describe(supervised: Supervised, secret: str) -> None:
    text = f"described at {time.time()}"
    supervised.client("secretsmanager").update_secret(SecretId=secret, Description=text)


@pytest.mark.parametrize("touched", [False, True])
def test_interrupted_after_every_call_it_goes_on_and_locks_nobody_out(
    deployed: Supervised, touched: bool
) -> None:
    """``touched``: after ROTATE somebody changes the secret's description, as a deploy may."""
    interruptions: list[str] = []

    def interrupt(model: Any, **_: Any) -> None:
        if model.name in WRITES:
            interruptions.append(model.name)
            raise Interrupted

    for service in ("secretsmanager", "elasticache"):
        aws_clients.client(service).meta.events.register("after-call", interrupt)

    for _ in range(20):
        result = run("--yes", "--follow-seconds", "0")
        assert takes(deployed, current(deployed)), interruptions
        if not isinstance(result.exception, Interrupted):
            break
        if touched and interruptions == WRITES_UNTIL_ROTATE:
            describe(deployed, names.broker_secret("local"))

    assert result.exit_code == 0, result.output
    assert "nothing to do; --again" in result.output, "the last one was at its end when it was interrupted"
    assert interruptions[:3] == [*WRITES_UNTIL_ROTATE, "UpdateSecretVersionStage"]
    assert interruptions.count("ModifyReplicationGroup") == 2, "ROTATE once and SET once"
    assert current(deployed) != PASSWORD
    assert not takes(deployed, PASSWORD)
    labels = deployed.client("secretsmanager").describe_secret(SecretId=names.broker_secret("local"))
    assert sorted(map(sorted, labels["VersionIdsToStages"].values())) == [["AWSCURRENT"], ["AWSPREVIOUS"]]


def test_between_rotate_and_set_both_hold_also_for_a_node_that_starts_anew(deployed: Supervised) -> None:
    new = "a-new-password-of-this-test"
    groups, name = deployed.client("elasticache"), names.broker("local")

    def change(strategy: str, token: str = new) -> None:
        groups.modify_replication_group(
            ReplicationGroupId=name,
            AuthToken=token,
            AuthTokenUpdateStrategy=strategy,
            ApplyImmediately=True,
        )

    def group() -> Any:
        return groups.describe_replication_groups(ReplicationGroupId=name)["ReplicationGroups"][0]

    with pytest.raises(groups.exceptions.ClientError, match="only after ROTATE"):
        change("SET")
    with pytest.raises(groups.exceptions.ClientError, match="16 to 128"):
        change("ROTATE", "short")
    change("ROTATE")
    assert group()["PendingModifiedValues"]["AuthTokenStatus"] == "ROTATING"
    with pytest.raises(groups.exceptions.ClientError, match="available state"):
        change("SET")
    deployed.wait(lambda: group()["Status"] == "available", what="both passwords")
    assert takes(deployed, PASSWORD)
    assert takes(deployed, new)

    before = deployed.pid("broker")
    os.kill(before, signal.SIGKILL)
    deployed.wait(
        lambda: deployed.runs("broker") and deployed.pid("broker") != before, what="the broker again"
    )
    deployed.wait(lambda: takes(deployed, new) and takes(deployed, PASSWORD), what="both, on a new node")

    kept = deployed.broker(PASSWORD)
    assert kept.ping()
    change("SET")
    deployed.wait(lambda: group()["Status"] == "available", what="the new one alone")
    assert not takes(deployed, PASSWORD)
    assert takes(deployed, new)
    assert kept.ping(), "a connection that has logged in stays"


def test_that_of_the_results_cache_is_rotated_in_the_same_way(deployed: Supervised) -> None:
    old, secret = "the-first-password-of-results", names.results_secret("local")
    ssm, secrets = deployed.client("ssm"), deployed.client("secretsmanager")
    none = run("--yes", of="results")
    assert (none.exit_code, "local has no cache for results" in none.output) == (1, True)
    made = secrets.create_secret(
        Name=secret, SecretString=json.dumps({"username": "default", "password": old})
    )
    ssm.put_parameter(Name=parameters.base("local", "results-secret-arn"), Value=made["ARN"], Type="String")
    deployed.client("elasticache").create_replication_group(
        ReplicationGroupId=names.results_cache("local"),
        ReplicationGroupDescription="results",
        NumCacheClusters=1,
        TransitEncryptionEnabled=True,
        AuthToken=old,
    )
    deployed.wait(lambda: deployed.runs("results", "results-front"), what="the results' cache")
    broker = current(deployed)

    result = run("--yes", "--follow-seconds", "0", of="results")

    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == "the results' cache has its new password alone"
    new = current(deployed, secret)
    assert new != old
    assert takes(deployed, new, deployed.ports.results)
    assert not takes(deployed, old, deployed.ports.results)
    assert current(deployed) == broker, "the broker's is another"


def test_without_yes_it_says_the_steps_and_changes_nothing(deployed: Supervised) -> None:
    before = deployed.client("secretsmanager").describe_secret(SecretId=names.broker_secret("local"))

    said = run().output.splitlines()

    assert said[-1] == "nothing was changed; do it with --yes"
    assert [line for line in said if "(ROTATE)" in line or "(SET)" in line or "AWSCURRENT" in line] == [
        "would: taskfleet-local takes the new password beside the old one (ROTATE): some minutes",
        "would: the new password becomes the secret's current one (AWSCURRENT)",
        "would: taskfleet-local takes the new password alone (SET): some minutes",
    ]
    after = deployed.client("secretsmanager").describe_secret(SecretId=names.broker_secret("local"))
    assert after["VersionIdsToStages"] == before["VersionIdsToStages"]
