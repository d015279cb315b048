"""Each subcommand of `fleet`, run once by a viewer and once by an operator: what each of them asks of AWS.

`infra/checks/access/calls.jsonl` has those calls, and `tests/infra/test_access.py` asks the synthesized
policies about each of them.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from taskfleet import aws as aws_clients
from taskfleet.cli import rotate
from taskfleet.cli.main import fleet as command
from taskfleet.cli.run import TIMED_OUT
from taskfleet.contract import names, parameters
from taskfleet.contract.manifest import Canary
from taskfleet.dead_letters.store import DeadLetters
from taskfleet.etas.eta import to_item
from taskfleet.etas.store import Etas
from taskfleet.tools.pipelines import PipelineItems, place
from taskfleet.tools.ranges import integers
from taskfleet.tools.rate_settings import RateSettings
from taskfleet.tools.runs import Runs

from infra.checks.access import calls
from infra.checks.access.calls import Call
from infra.checks.access.policies import OPERATOR, VIEWER
from local.emulator.calls import Place, asked
from tests.support.ministack import MiniStack
from tests.support.reference import LOCAL
from tests.taskfleet.cli.conftest import Fleet
from tests.taskfleet.cli.test_etas import eta
from tests.taskfleet.dead_letters.test_store import letter

# What calls nothing of AWS.
NOTHING = {
    ("adopt",),
    ("lint",),
    ("schedule", "list"),
    ("schedule", "next"),
    ("schedule", "verify"),
    ("simulate",),
}

# Every other subcommand as a viewer runs it: with `--yes` it would act. {…} is filled in by the test.
LOOKS = (
    "status",
    "queues",
    "tasks",
    "doctor",
    "producer-env",
    "release list",
    "release show blue",
    "release watch blue",
    "release promote green",
    "release rollback blue",
    "release retire red",
    "release pause green",
    "release resume green",
    "release wake blue",
    "scale low 2",
    "restart controller",
    "rate list",
    "rate history",
    "rate set shop.ask 10/s",
    "rate reset shop.ask",
    "chunks list",
    "chunks pause nightly",
    "chunks resume nightly",
    "chunks cancel nightly",
    "broker rotate-password",
    "results rotate-password",
    "pipelines list",
    "pipelines show etl/a",
    "pipelines pause etl/a/1",
    "pipelines resume etl/a/1",
    "pipelines cancel etl/a/1",
    "producers list",
    "producers forget web/1/a",
    "schedule etas list",
    "schedule etas show far",
    "schedule etas cancel far",
    "dead list",
    "dead show {letter}",
    "dead redrive --all",
    "dead delete {letter}",
)
# Acts without `--yes`, as an operator; it ends as the time-out says.
RUNS = ("run --timeout 1 -- true",)
# In an order in which each of them has something to do.
ACTS = (
    "release retire red --settle-seconds 0",
    "release pause green",
    "release resume green",
    "release wake blue",
    "scale low 2",
    "restart controller",
    "rate set shop.ask 10/s",
    "rate reset shop.ask",
    "chunks pause nightly",
    "chunks resume nightly",
    "chunks cancel nightly",
    "broker rotate-password --follow-seconds 0",
    "results rotate-password --follow-seconds 0",
    "pipelines pause etl/a/1",
    "pipelines resume etl/a/1",
    "pipelines cancel etl/a/1",
    "producers forget web/1/a",
    "schedule etas cancel far",
    "dead redrive {letter}",
    "dead delete {other}",
    "release promote green",
    "release rollback",
    "release promote green",
)


class Recording:
    """What is asked of IAM for the calls of this process's clients, of whoever is named to make them."""

    def __init__(self, environment: str) -> None:
        self._settings = replace(LOCAL, name=environment)
        self._place = Place(LOCAL.region, LOCAL.account)
        self.calls: set[Call] = set()
        self.caller = VIEWER

    def see(self, params: Any, model: Any, **_: Any) -> None:
        """botocore's event before it builds a request."""
        for one in asked(model.service_model.signing_name, model.name, params, self._place):
            said = {"caller": self.caller, "action": one.action, "resource": one.resource}
            line = json.dumps({**said, "context": dict(one.context)})
            self.calls.add(calls.generalize(line, self._settings))


@pytest.fixture
def recording(up: Fleet) -> Iterator[Recording]:
    made = Recording(up.account.name)
    aws_clients._clients.after_fork()
    aws_clients._clients.get()._session.events.register("before-parameter-build.*.*", made.see)
    yield made
    aws_clients._clients.after_fork()


@pytest.fixture
def letters(up: Fleet) -> dict[str, str]:
    """A chunked run, a rate that is set, an item in a pipeline, dead letters, a task that has stopped."""
    account = up.account
    account.lease("web/1/a", "blue")
    Etas(lambda: account.dynamodb, account.name).put([to_item(eta("far"))])
    rates = RateSettings(account.dynamodb, account.name)
    rates.is_known("shop.ask", "70/s, burst 1")
    rates.change("shop.ask", "", "9/s", 1, actor="me", reason="why", do=True)
    items = PipelineItems(account.dynamodb, account.name)
    items.create("etl/a/1", "shop.extract", "low", place(("shop.extract", "shop.load"), 1))
    Runs(account.dynamodb, account.name).create("nightly", "shop.report", "low", integers(1, 100, size=10))
    store, made = DeadLetters(account.dynamodb, account.name), [letter(task_id=name) for name in "ab"]
    for each in made:
        store.put(each)
    cluster = names.cluster(account.name)
    started = account.ecs.run_task(cluster=cluster, taskDefinition="beat", group="service:beat")
    account.ecs.stop_task(cluster=cluster, task=started["tasks"][0]["taskArn"])
    return {"letter": made[0].id, "other": made[1].id}


@pytest.fixture
def caches(up: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replication groups and their secrets. MiniStack changes a token at once, and does not say so."""
    account, password = up.account, "a-password-of-this-test"
    for parameter, group, secret in (
        ("broker-group", names.broker(account.name), names.broker_secret(account.name)),
        ("results-secret-arn", names.results_cache(account.name), names.results_secret(account.name)),
    ):
        made = account.aws.client("secretsmanager").create_secret(
            Name=secret, SecretString=json.dumps({"username": "default", "password": password})
        )
        value = group if parameter == "broker-group" else made["ARN"]
        account.ssm.put_parameter(
            Name=parameters.base(account.name, parameter), Value=value, Type="String", Overwrite=True
        )
        account.aws.client("elasticache").create_replication_group(
            ReplicationGroupId=group,
            ReplicationGroupDescription=group,
            TransitEncryptionEnabled=True,
            AuthToken=password,
        )
    monkeypatch.setattr(rotate, "_SIGN_SECONDS", 0.0)
    monkeypatch.setattr(rotate, "_LOOK_EVERY_SECONDS", 0.1)


def stack_of(aws: MiniStack, environment: str, release: str) -> None:
    """A small one, with the fleet's tags."""
    aws.client("cloudformation").create_stack(
        StackName=names.release_stack(environment, release),
        TemplateBody='{"Resources": {"T": {"Type": "AWS::SNS::Topic", "Properties": {}}}}',
        Tags=[{"Key": key, "Value": value} for key, value in names.stack_tags(environment).items()],
    )


@contextmanager
def looking(up: Fleet) -> Iterator[None]:
    """The controller goes on looking."""
    controller, over = up.account.controller(), threading.Event()

    def look() -> None:
        while not over.wait(0.2):
            up.account.clock.now = time.time()
            controller.look()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def leaves(group: click.Group, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, one in group.commands.items():
        if isinstance(one, click.Group):
            yield from leaves(one, (*before, name))
        else:
            yield (*before, name)


def missing(lines: Sequence[str]) -> set[tuple[str, ...]]:
    """Subcommands that none of ``lines`` is."""
    said = [tuple(line.split()) for line in lines]
    return {leaf for leaf in leaves(command) if not any(words[: len(leaf)] == leaf for words in said)}


def test_each_subcommand_is_tried() -> None:
    """A new one is to be added above: as a viewer runs it, and as it acts where it has --yes."""
    assert missing((*LOOKS, *RUNS)) == NOTHING
    acting = {leaf for leaf in leaves(command) if "yes" in {p.name for p in _command(leaf).params}}
    assert acting.isdisjoint(missing(ACTS))


def _command(leaf: tuple[str, ...]) -> click.Command:
    found: click.Command = command
    for name in leaf:
        assert isinstance(found, click.Group)
        found = found.commands[name]
    return found


def test_the_calls_of_every_subcommand_are_those_that_the_policies_are_asked_about(
    up: Fleet, recording: Recording, letters: dict[str, str], caches: None, tmp_path: Path
) -> None:
    for release, settings in {"green": {"canary": Canary()}, "red": {}}.items():
        up.bring_up(release, **settings)
    stack_of(up.account.aws, up.account.name, "red")

    for caller, lines, yes in (
        (VIEWER, LOOKS, ()),
        (OPERATOR, LOOKS, ()),
        (OPERATOR, RUNS, ()),
        (OPERATOR, ACTS, ("--yes",)),
    ):
        recording.caller = caller
        for line in lines:
            if line.startswith("release retire") and yes:
                up.account.clock.now += 60
                with looking(up):
                    done = up.run(*line.split(), *yes)
            else:
                done = up.run(*line.format(**letters).split(), *yes)
            # Some find what a person should look at; none may be refused or wrong.
            fine = (0, 1) if line in ("status", "doctor") else (TIMED_OUT,) if line in RUNS else (0,)
            assert done.exit_code in fine, (line, done.output)

    table = calls.read()
    of_people = {call for call in table if call.caller in (VIEWER, OPERATOR)}
    as_seen = tmp_path / "calls.jsonl"
    calls.write((table - of_people) | recording.calls, as_seen)
    remedy = f"if that is meant: cp {as_seen} {calls.TABLE}"
    assert sorted(recording.calls - of_people) == [], f"not in the table; {remedy}"
    assert sorted(of_people - recording.calls) == [], f"in the table, and nothing calls it; {remedy}"
