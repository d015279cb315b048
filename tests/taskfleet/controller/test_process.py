"""The controller as its container runs it: TLS, credentials, a real worker behind the gate, signals."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from taskfleet import aws as aws_clients
from taskfleet.contract import environment as env
from taskfleet.contract import names, parameters
from taskfleet.contract.messages import GATE_TASK, RELEASE_HEADER
from taskfleet.controller.fleet_snapshot import FleetSnapshot
from taskfleet.releases.actions import SendGate
from taskfleet.releases.gate import Gates
from taskfleet.releases.store import Store

from tests.support.ministack import MiniStack
from tests.support.processes import free_port, wait_for
from tests.support.tiny_fleet import TinyFleet
from tests.support.valkey import Valkey


@pytest.fixture
def fleet(
    tmp_path: Path, own_valkey: Valkey, aws_environment: MiniStack, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TinyFleet]:
    """One release with one queue, deployed and not yet known to any controller."""
    fleet = TinyFleet(f"c{uuid.uuid4().hex[:8]}", tmp_path, own_valkey, aws_environment)
    monkeypatch.setenv(env.ENVIRONMENT.name, fleet.name)
    monkeypatch.setenv("SSL_CERT_FILE", str(fleet.front.ca))
    aws_clients._clients.after_fork()  # another test's account may be gone
    fleet.deploy("r1", ("low",))
    _services(fleet)
    yield fleet
    fleet.close()


def _services(fleet: TinyFleet) -> None:
    """What ECS knows of the release."""
    ecs = fleet.aws.client("ecs")
    ecs.create_cluster(clusterName=names.cluster(fleet.name))
    ecs.register_task_definition(
        family=fleet.name, containerDefinitions=[{"name": "it", "image": "x", "memory": 64}]
    )
    for fallback, desired in ((False, 1), (True, 0)):
        ecs.create_service(
            cluster=names.cluster(fleet.name),
            serviceName=names.service("low", "r1", fallback=fallback),
            taskDefinition=fleet.name,
            desiredCount=desired,
        )


def _current(fleet: TinyFleet) -> str:
    ssm = fleet.aws.client("ssm")
    try:
        return str(ssm.get_parameter(Name=parameters.current_release(fleet.name))["Parameter"]["Value"])
    except ssm.exceptions.ParameterNotFound:
        return parameters.NO_RELEASE


def test_a_first_release_with_a_real_worker_becomes_current(fleet: TinyFleet) -> None:
    port = free_port()
    fleet.start_worker("r1")
    fleet.start_worker("r1", **{env.BROKER.name: env.FALLBACK})
    controller = fleet.start(
        "controller", fleet.environment(**{env.METRICS_PORT.name: str(port)}), "looks every"
    )
    wait_for(lambda: _current(fleet) == "r1", seconds=60, what="the first release becomes current")
    assert fleet.health(controller) == 0
    kept = Store(fleet.aws.client("dynamodb"), fleet.name).read_look()
    assert kept is not None
    assert FleetSnapshot.from_json(kept[0]).broker_up
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as reply:
        assert f'taskfleet_broker_up{{environment="{fleet.name}"}} 1.0' in reply.read().decode()

    begun = time.monotonic()
    controller.send_signal(signal.SIGTERM)
    assert controller.wait(10) == 0
    assert time.monotonic() - begun < 3


def _received(fleet: TinyFleet) -> Any:
    """The message in the SQS twin, taken out."""
    sqs = fleet.aws.client("sqs")
    url = sqs.get_queue_url(QueueName=names.fallback_queue(fleet.name, "low", "r1"))["QueueUrl"]
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return json.loads(message["Body"])


def test_a_gate_task_goes_to_the_broker_that_is_to_be_proven(fleet: TinyFleet) -> None:
    gates = Gates(fleet.settings())
    gates.send(SendGate("r1", "low", env.FALLBACK))
    assert (fleet.waiting("low", "r1"), fleet.waiting_on_sqs("low", "r1")) == (0, 1)
    message = _received(fleet)
    assert (message["headers"]["task"], message["headers"][RELEASE_HEADER]) == (GATE_TASK, "r1")
    assert message["headers"]["argsrepr"] == "['low.r1']"
    gates.send(SendGate("r1", "low", env.PRIMARY))
    assert (fleet.waiting("low", "r1"), fleet.waiting_on_sqs("low", "r1")) == (1, 0)


def test_a_gate_task_that_the_broker_does_not_take_is_an_error_within_a_second(fleet: TinyFleet) -> None:
    fleet.valkey.pause()
    begun = time.monotonic()
    with pytest.raises(Exception, match=r"[Tt]imeout|timed out"):
        Gates(fleet.settings()).send(SendGate("r1", "low", env.PRIMARY))
    assert time.monotonic() - begun < 3
    fleet.valkey.resume()
    assert fleet.waiting_on_sqs("low", "r1") == 0
