"""The table of calls that were seen, without what differs between environments, releases and queues."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from taskfleet.contract import names

from infra.checks.access import bootstrap
from infra.checks.access.policies import BEAT, CONTROLLER, WORKER
from infra.settings import Settings
from local.account import ROLE
from local.emulator.calls import Asked

TABLE = Path(__file__).with_name("calls.jsonl")

_ROLES = ((r"-ControllerTaskRole", CONTROLLER), (r"-BeatTaskRole", BEAT), (r"-release-.*TaskRole", WORKER))

# What the controller asks for where the settings name a command, in the pool of the default queue.
_BEFORE_GATE = ("ecs:RunTask", "ecs:StopTask", "logs:GetLogEvents")

_STACK = re.compile(r"\bstack/.+")

# There are such where results have a cache.
_OF_RESULTS = (
    f":secret:{names.results_secret('<env>')}",
    f":replicationgroup:{names.results_cache('<env>')}",
)


@dataclass(frozen=True, order=True)
class Call:
    """One line: ``caller`` asked for ``action``; ``resource`` and ``context`` (JSON) have ``<env>`` etc."""

    caller: str
    action: str
    resource: str
    context: str = "{}"

    def questions(self, settings: Settings, release: str) -> Iterator[Asked]:
        """The call in an environment: once for each of its queues and pools; none of what it has not."""
        if self.resource.endswith(_OF_RESULTS) and settings.results_cache is None:
            return
        pools = settings.pools
        if self.caller == CONTROLLER and self.action in _BEFORE_GATE:
            pools = (settings.default_pool,) if settings.before_gate else ()
        fixed = {
            "<account>": settings.account,
            "<region>": settings.region,
            "<env>": settings.name,
            "<qualifier>": settings.bootstrap_qualifier,
            "<release>": release,
            "<group>": settings.broker_group,
            "<stack>": names.stack(settings.name, "fleet"),
            "<parameter>": "key-arn",
        }
        for queue, pool in [(queue, one.name) for one in pools for queue in one.queues]:
            text = json.dumps([self.resource, json.loads(self.context)])
            for placeholder, value in {**fixed, "<queue>": queue, "<pool>": pool}.items():
                text = text.replace(placeholder, value)
            resource, context = json.loads(text)
            if self.action.startswith("secretsmanager:"):
                resource += "-AbCdEf"  # IAM sees the whole ARN, whatever name the secret was asked for by
            yield Asked(self.action, resource, context)


def generalize(line: str, settings: Settings) -> Call:
    """What `local.emulator.recorder` wrote on the environment of ``settings``."""
    said = json.loads(line)
    caller = _caller(said["caller"])
    if caller in bootstrap.ROLES and said["action"].startswith("cloudformation:"):
        # The bootstrap's policies name no stack.
        said = {**said, "resource": _STACK.sub("stack/<stack>/*", said["resource"]), "context": {}}
    return Call(
        caller=caller,
        action=said["action"],
        resource=_general(said["resource"], settings),
        context=_general(json.dumps(said.get("context", {}), sort_keys=True), settings),
    )


def read(file: Path = TABLE) -> set[Call]:
    """The table."""
    lines = file.read_text().splitlines() if file.exists() else []
    return {
        Call(**{**said, "context": json.dumps(said["context"], sort_keys=True)})
        for said in map(json.loads, lines)
    }


def write(calls: Iterable[Call], file: Path = TABLE) -> None:
    """The table, in order, so that a change of it can be read."""
    rows = ({**vars(call), "context": json.loads(call.context)} for call in sorted(calls))
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def _caller(recorded: str) -> str:
    if not recorded.startswith(ROLE):
        return recorded.partition(".")[0]
    if found := re.match(rf"{re.escape(ROLE)}(cdk-)[A-Za-z0-9_]+-([a-z-]+)-role-", recorded):
        return f"{found[1]}{found[2]}"  # `infra.checks.access.bootstrap`
    for pattern, who in _ROLES:
        if re.search(pattern, recorded):
            return who
    raise ValueError(f"no role of ours is called {recorded}: name it in {__name__}")


def _general(text: str, settings: Settings) -> str:
    env = settings.name
    queues = "|".join(queue for pool in settings.pools for queue in pool.queues)
    pools = "|".join(pool.name for pool in settings.pools)
    id = "[a-z0-9][a-z0-9-]*"
    for pattern, general in (
        (rf"{settings.region}:{settings.account}", "<region>:<account>"),
        (rf"iam::{settings.account}", "iam::<account>"),
        (rf'(ResourceAccount": )"{settings.account}"', r'\1"<account>"'),
        (
            rf"cdk-{settings.bootstrap_qualifier}-([a-z-]+)-{settings.account}-{settings.region}",
            r"cdk-<qualifier>-\1-<account>-<region>",
        ),
        # One that is restored from a snapshot has another name.
        (rf"replicationgroup:{names.broker(env)}(-[0-9a-f]{{6}})?(?=$|\")", "replicationgroup:<group>"),
        (rf"cdk-bootstrap/{settings.bootstrap_qualifier}/", "cdk-bootstrap/<qualifier>/"),
        (
            rf"task-definition/{names.PROJECT}-{env}-({pools})-{id}:[0-9]+",
            "task-definition/taskfleet-<env>-<pool>-<release>:1",
        ),
        (
            rf"log-group:/{names.PROJECT}/{env}/({pools})-{id}:log-stream:({pools})-{id}",
            "log-group:/taskfleet/<env>/<pool>-<release>:log-stream:<pool>-<release>",
        ),
        (rf"{names.dead_letter_prefix(env)}({queues})\b", f"{names.PROJECT}-<env>-dead-<queue>"),
        (rf"{names.fallback_prefix(env)}({queues})-{id}", f"{names.PROJECT}-<env>-<queue>-<release>"),
        (rf"service/{names.cluster(env)}/({pools})-{id}", "service/taskfleet-<env>/<pool>-<release>"),
        (rf"service/{names.cluster(env)}/beat-{id}", "service/taskfleet-<env>/beat-<release>"),
        (r'"(limit|once|chunked|batch|pipeline|pipeline-item)#[^"]*"', r'"\1#<key>"'),
        (rf"gate#([a-z]+)#({queues})\.{id}", r"gate#\1#<queue>.<release>"),
        (rf"gate#beat#{id}", "gate#beat#<release>"),
        (rf'gate#check#{id}#[^"]*', "gate#check#<release>#<task>"),
        (rf'("aws:ResourceTag/environment": )"{env}"', r'\1"<env>"'),
        (rf"{names.release_stack_prefix(env)}{id}", "taskfleet-<env>-release-<release>"),
        (rf"release#{id}", "release#<release>"),
        (r"revokes#[0-9]+", "revokes#<slot>"),
        (rf"/{names.PROJECT}/{env}/releases/{id}", f"/{names.PROJECT}/<env>/releases/<release>"),
        # Who deploys reads two of them, and no other.
        (
            rf"/{names.PROJECT}/{env}/base/(?!broker-(?:group|snapshot)\b)[a-z-]+",
            f"/{names.PROJECT}/<env>/base/<parameter>",
        ),
        (rf"([-/]){env}\b", r"\1<env>"),
    ):
        text = re.sub(pattern, general, text)
    return text
