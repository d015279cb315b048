"""A release's stack for a drill: what its real one has that the controller, producers and workers look at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from taskfleet.contract import limits, names, parameters
from taskfleet.contract.container import NAME
from taskfleet.contract.manifest import AUTOMATIC, BeforeGate, Canary, PoolManifest, ReleaseManifest

# Scaled as the rest is; beat sends them so much sooner (`drills.releases.app`).
ETAS_BEYOND_SECONDS = 10
POOL, QUEUES = "low", ("low", "high")
TAKEN = "/taken"  # a parameter that exists, so that no stack can create it


@dataclass(frozen=True, kw_only=True)
class Release:
    """``variables`` of its containers, and of beat's; ``fails``: a resource of its stack can't be made."""

    id: str
    variables: Mapping[str, str] = field(default_factory=dict)
    of_beat: Mapping[str, str] = field(default_factory=dict)
    before_gate: BeforeGate | None = None
    fails: bool = False
    promotion: str = AUTOMATIC
    drain_deadline_seconds: int = 600
    canary: Canary | None = None
    bake_seconds: int = 0

    @property
    def manifest(self) -> ReleaseManifest:
        """What its stack says of itself."""
        pool = PoolManifest(
            POOL, QUEUES, (), slots=2, min_workers=1, max_workers=2, latency_target_seconds=60
        )
        return ReleaseManifest(
            self.id,
            f"sha256:{self.id}",
            (pool,),
            drain_deadline_seconds=self.drain_deadline_seconds,
            promotion=self.promotion,
            default_queue=POOL,
            before_gate=self.before_gate,
            beat=True,
            etas_beyond_seconds=ETAS_BEYOND_SECONDS,
            canary=self.canary,
            bake_seconds=self.bake_seconds,
        )


def template(environment: str, release: Release) -> str:
    """In the order of the real one: its beginning, what runs, where the answer is awaited, its manifest."""
    made: dict[str, Any] = {
        "Begun": _parameter(parameters.release_begun(environment, release.id), release.manifest.to_json())
    }
    made |= {
        f"Fallback{number}": _resource(
            "AWS::SQS::Queue", QueueName=names.fallback_queue(environment, queue, release.id)
        )
        for number, queue in enumerate(QUEUES)
    }
    # Those on SQS, too, which no scaling would wake here.
    services = {
        names.service(POOL, release.id): release.variables,
        names.service(POOL, release.id, fallback=True): release.variables,
        names.beat_service(release.id): {**release.variables, **release.of_beat},
    }
    for number, (service, variables) in enumerate(services.items()):
        made[f"Definition{number}"] = _definition(environment, service, release.manifest.image, variables)
        made[f"Service{number}"] = _resource(
            "AWS::ECS::Service",
            Cluster=names.cluster(environment),
            ServiceName=service,
            TaskDefinition={"Ref": f"Definition{number}"},
            DesiredCount=1,
        ) | {"DependsOn": ["Begun"]}
    made["Handle"] = _resource("AWS::CloudFormation::WaitConditionHandle")
    made["Answer"] = _parameter(parameters.release_answer(environment, release.id), {"Ref": "Handle"})
    if release.fails:
        made["Fault"] = _parameter(TAKEN, "x") | {"DependsOn": list(made)}
    manifest = _parameter(parameters.release_manifest(environment, release.id), release.manifest.to_json())
    made["Manifest"] = manifest | {"DependsOn": list(made)}
    made["Gate"] = _resource(
        "AWS::CloudFormation::WaitCondition",
        Handle={"Ref": "Handle"},
        Timeout=str(limits.ANSWER_WITHIN_SECONDS),
        Count=1,
    ) | {"DependsOn": list(made)}
    return json.dumps({"Resources": made})


def _definition(environment: str, service: str, image: str, variables: Mapping[str, str]) -> dict[str, Any]:
    container = {
        "Name": NAME,
        "Image": image,
        "Memory": 512,
        "Environment": [{"Name": name, "Value": value} for name, value in variables.items()],
    }
    family = names.task_family(environment, service)
    return _resource("AWS::ECS::TaskDefinition", Family=family, ContainerDefinitions=[container])


def _resource(type: str, **properties: Any) -> dict[str, Any]:
    return {"Type": type, "Properties": properties}


def _parameter(name: str, value: Any) -> dict[str, Any]:
    return _resource("AWS::SSM::Parameter", Name=name, Type="String", Value=value)
