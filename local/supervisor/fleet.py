"""The processes of a local fleet: what each is, and what it needs."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import urllib.error
import urllib.request

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from taskfleet.contract import names

from local.account import ENVIRONMENT, aws_environment, endpoint
from local.broker import certificates, nodes, server
from local.broker.nodes import Node
from local.clients import client
from local.emulator.__main__ import INTERRUPTED
from local.places import VARIABLE, Places
from local.ports import Ports
from local.supervisor.child import Spec

_log = logging.getLogger("supervisor")

EMULATOR, FRONT, AGENT, ALARMS = "emulator", "front", "agent", "alarms"
BROKER, REPLICA = "broker", "broker-2"  # until a failover the second one is the replica
RESULTS, RESULTS_FRONT = "results", "results-front"
# What ends first must not miss what ends later: workers give back their tasks to a living broker.
STOP_ORDER = ((AGENT, ALARMS), (FRONT, RESULTS_FRONT), (BROKER, REPLICA, RESULTS, EMULATOR))

_CURE = (
    "the emulated AWS account was killed in the middle of a deployment and holds half of two states: "
    "everything is stopped. `make up` makes it anew"
)
_NO_RESULTS = f"the secret {names.results_secret(ENVIRONMENT)}: there is one if the settings ask for a cache"
# Asked again soon, while the account may be starting.
_PROMPT = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1})
_LAST_SECONDS = "what was written to it in its last two seconds may be lost, except messages in SQS"


def specs(places: Places, ports: Ports) -> tuple[Spec, ...]:
    """All of them."""
    environment = _environment(places, ports)
    certificate, key = certificates.ensure(places.certificates, places.ca)
    first, second = nodes.nodes(places, ports)
    return (
        Spec(
            name=EMULATOR,
            command=_python(
                "local.emulator",
                port=ports.emulator,
                broker_port=ports.broker,
                results_port=ports.results,
                account=places.account,
                calls=places.calls,
            ),
            environment=environment,
            ready=lambda: asyncio.to_thread(_emulator_answers, ports),
            dying_costs=_LAST_SECONDS,
            hopeless={INTERRUPTED: _CURE},
        ),
        Spec(
            name=BROKER,
            command=tuple(server.command()),
            environment=environment,
            needs=(EMULATOR,),
            ready=lambda: _accepts(first.port),
            stdin=lambda: _configuration(places, ports, first),
            waits_for=f"the secret {names.broker_secret(ENVIRONMENT)}, which is not deployed yet",
        ),
        Spec(
            name=REPLICA,
            command=tuple(server.command()),
            environment=environment,
            needs=(EMULATOR,),
            ready=lambda: _accepts(second.port),
            stdin=lambda: _configuration(places, ports, second, of=2),
            waits_for=f"a replication group {names.broker(ENVIRONMENT)} of two nodes",
        ),
        Spec(
            name=FRONT,
            command=_python(
                "local.broker",
                port=ports.broker,
                upstream_port=first.port,
                moved=places.broker_endpoint,
                control=places.front_control,
                certificate=certificate,
                key=key,
            ),
            environment=environment,
            ready=lambda: _accepts(ports.broker),
        ),
        Spec(
            name=RESULTS,
            command=tuple(server.command()),
            environment=environment,
            needs=(EMULATOR,),
            ready=lambda: _accepts(ports.results_valkey),
            stdin=lambda: _results_configuration(places, ports),
            waits_for=_NO_RESULTS,
        ),
        Spec(
            name=RESULTS_FRONT,
            command=_python(
                "local.broker",
                port=ports.results,
                upstream_port=ports.results_valkey,
                control=places.results_control,
                certificate=certificate,
                key=key,
            ),
            environment=environment,
            needs=(EMULATOR,),
            ready=lambda: _accepts(ports.results),
            stdin=lambda: _nothing_once_there_are_results(ports),
            waits_for=_NO_RESULTS,
        ),
        Spec(
            name=AGENT,
            command=_python("local.agent"),
            environment=environment,
            needs=(EMULATOR, FRONT),
            stop_seconds=45,
        ),
        Spec(
            name=ALARMS,
            command=_python("local.alarms"),
            environment=environment,
            needs=(EMULATOR,),
        ),
    )


def _python(module: str, **options: object) -> tuple[str, ...]:
    given = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    return (sys.executable, "-m", module, *given)


def _environment(places: Places, ports: Ports) -> dict[str, str]:
    """This process's own, without its AWS settings: nothing here may ever reach a real account."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TASKFLEET_"))
    }
    return inherited | aws_environment(ports) | {VARIABLE: str(places.root), "PYTHONUNBUFFERED": "1"}


def _emulator_answers(ports: Ports) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint(ports)}/_local/health", timeout=2) as reply:  # noqa: S310 - loopback
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def _configuration(places: Places, ports: Ports, node: Node, *, of: int = 1) -> bytes:
    """Waits until the secret is deployed, and a group ``of`` so many nodes."""
    node.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    password = await _password(ports, names.broker_secret(ENVIRONMENT))
    while of > 1 and await asyncio.to_thread(_deployed_nodes, ports) < of:
        await asyncio.sleep(0.5)
    primary = nodes.primary(places, ports)
    return server.configuration(
        port=node.port,
        directory=node.directory,
        password=password,
        replica_of=None if node == primary else primary.port,
    )


async def _results_configuration(places: Places, ports: Ports) -> bytes:
    """Waits until its secret is deployed."""
    places.results.mkdir(parents=True, exist_ok=True, mode=0o700)
    password = await _password(ports, names.results_secret(ENVIRONMENT))
    return server.configuration(
        port=ports.results_valkey, directory=places.results, password=password, policy="volatile-ttl"
    )


async def _nothing_once_there_are_results(ports: Ports) -> bytes:
    await _password(ports, names.results_secret(ENVIRONMENT))
    return b""


async def _password(ports: Ports, secret: str) -> str:
    while (password := await asyncio.to_thread(password_of, ports, secret)) is None:
        await asyncio.sleep(0.5)
    return password


def password_of(ports: Ports, secret: str = names.broker_secret(ENVIRONMENT)) -> str | None:
    """The deployed secret's password; None while there is none, or the account does not answer."""
    try:
        answer = client(ports, "secretsmanager", _PROMPT).get_secret_value(SecretId=secret)
    except (BotoCoreError, ClientError):
        return None
    return str(json.loads(answer["SecretString"])["password"])


def _deployed_nodes(ports: Ports) -> int:
    """Of the replication group; 0 while there is none, or the account does not answer."""
    try:
        answer = client(ports, "elasticache", _PROMPT).describe_replication_groups(
            ReplicationGroupId=names.broker(ENVIRONMENT)
        )
    except (BotoCoreError, ClientError):
        return 0
    groups = answer["ReplicationGroups"][0]["NodeGroups"]
    return sum(len(group["NodeGroupMembers"]) for group in groups)
