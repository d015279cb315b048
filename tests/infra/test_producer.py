"""A producer outside the fleet: with the managed policy alone it publishes, and can do nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from taskfleet import aws as aws_clients
from taskfleet.cli.main import fleet as command
from taskfleet.contract import names, parameters, results
from taskfleet.etas.store import Etas
from taskfleet.revokes import Revokes

from infra.checks.access import policies
from infra.checks.access.policies import PRODUCER
from infra.settings import Settings
from tests.infra.synthesis import ROOT, Synthesis, of_type
from tests.support.ministack import MiniStack
from tests.support.reference import ALL, LOCAL
from tests.support.tiny_fleet import TinyFleet
from tests.support.valkey import Valkey


@pytest.fixture
def enforcing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MiniStack]:
    """An account that asks IAM before it answers anybody but its root."""
    monkeypatch.setenv("AUTH", "true")
    made = MiniStack(tmp_path)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def fleet(enforcing: MiniStack, own_valkey: Valkey, tmp_path: Path) -> Iterator[TinyFleet]:
    """The environment `local` in it."""
    made = TinyFleet(LOCAL.name, tmp_path, own_valkey, enforcing)
    made.deploy("r1", etas_beyond_seconds=600)
    made.promote("r1")
    yield made
    made.close()


def credentials(blueprint: Synthesis, aws: MiniStack) -> dict[str, str]:
    """Of a user who has the synthesized policy and no other."""
    statements = policies.of(blueprint.account(LOCAL), LOCAL).identity[PRODUCER]
    iam = aws.client("iam")
    iam.create_user(UserName="web")
    secret = aws.client("secretsmanager").describe_secret(SecretId=names.broker_secret(LOCAL.name))["ARN"]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    # The last six characters of a secret's ARN are the account's choice.
    document = document.replace(f"{secret[:-6]}AbCdEf", secret)
    made = iam.create_policy(
        PolicyName=names.producer_policy(LOCAL.name, LOCAL.region), PolicyDocument=document
    )
    iam.attach_user_policy(UserName="web", PolicyArn=made["Policy"]["Arn"])
    key = iam.create_access_key(UserName="web")["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


def test_a_process_with_the_managed_policy_publishes_and_can_do_nothing_else(
    blueprint: Synthesis, fleet: TinyFleet
) -> None:
    own = {
        **fleet.aws.environment,
        **credentials(blueprint, fleet.aws),
        "PATH": os.environ["PATH"],
        "SSL_CERT_FILE": str(fleet.front.ca),
        "TASKFLEET_ENVIRONMENT": LOCAL.name,
        "TASKFLEET_BROKER_HOST": "localhost",
        "TASKFLEET_BROKER_PORT": str(fleet.front.port),
    }

    done = subprocess.run(
        [sys.executable, "-m", "tests.infra.producer"],
        cwd=ROOT,
        env=own,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["taken"] == ["primary", "fallback"]
    assert said["leased"]
    assert Etas(lambda: fleet.aws.client("dynamodb"), fleet.name).count().number == 3
    (kept,) = Revokes(fleet.aws.client("dynamodb"), fleet.name).newest()
    assert json.loads(kept)[1]["task_id"] == said["revoked"]
    assert all("AccessDenied" in code for code in said["tried"].values()), said["tried"]


@pytest.mark.parametrize("settings", ALL, ids=lambda settings: settings.name)
@pytest.mark.parametrize("name", [names.producer_policy, names.viewer_policy, names.operator_policy])
def test_each_managed_policys_arn_is_an_output(
    blueprint: Synthesis, settings: Settings, name: Callable[[str, str], str]
) -> None:
    template = blueprint.of(settings.name, "fleet")
    found, called = of_type(template, "AWS::IAM::ManagedPolicy"), name(settings.name, settings.region)
    logical_id = next(id for id, one in found.items() if one["ManagedPolicyName"] == called)

    whose = called.rpartition("-")[2].capitalize()
    assert template["Outputs"][f"{whose}PolicyArn"]["Value"] == {"Ref": logical_id}


def test_producer_env_prints_what_a_producer_must_know(aws_environment: MiniStack) -> None:
    aws_clients._clients.after_fork()
    ssm = aws_environment.client("ssm")
    for name, value in (("broker-host", "broker.example"), ("broker-port", "6380")):
        ssm.put_parameter(Name=parameters.base("outside", name), Value=value, Type="String", Overwrite=True)

    done = CliRunner().invoke(command, ["-e", "outside", "producer-env"])
    backend = parameters.base("outside", "result-backend")
    ssm.put_parameter(Name=backend, Value="dynamodb://@x/y", Type="String", Overwrite=True)
    with_results = CliRunner().invoke(command, ["-e", "outside", "producer-env"])
    ssm.put_parameter(Name=backend, Value=results.NONE, Type="String", Overwrite=True)
    without = CliRunner().invoke(command, ["-e", "outside", "producer-env"])
    missing = CliRunner().invoke(command, ["-e", "nowhere", "producer-env"])

    assert done.output.splitlines() == [
        "# attach to its role: arn:aws:iam::000000000000:policy/taskfleet-outside-us-east-1-producer",
        "TASKFLEET_ENVIRONMENT=outside",
        "TASKFLEET_BROKER_HOST=broker.example",
        "TASKFLEET_BROKER_PORT=6380",
        "AWS_REGION=us-east-1",
    ]
    assert "CELERY_RESULT_BACKEND=dynamodb://@x/y" in with_results.output.splitlines()
    assert without.output == done.output
    assert missing.exit_code == 1
    assert "deploy nowhere first" in missing.output
