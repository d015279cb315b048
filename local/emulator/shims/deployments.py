"""What ECS makes of the agent's reports: tasks, counts, and whether a deployment is through or failed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import Any

from ministack.core.responses import request_scope
from ministack.services import ecs

from local.emulator.shims import runs

Record = dict[str, Any]

SILENCE_SECONDS = 10
ACCOUNT = "000000000000"

PROTECTED_UNTIL: dict[str, float] = {}
_stops: set[str] = set()
_last_report: float | None = None


def agent_is_there() -> bool:
    """Whether somebody has reported tasks lately."""
    return _last_report is not None and time.monotonic() - _last_report < SILENCE_SECONDS


def request_stop(arn: str) -> None:
    """Somebody called StopTask: the agent hears of it in the answer to its next report."""
    _stops.add(arn)


def show(id: str, cluster: str) -> Record:
    """A task of RunTask's as it is known now: what the agent has not begun is PROVISIONING."""
    region = ecs.get_region()
    arn = f"arn:aws:ecs:{region}:{ACCOUNT}:task/{cluster}/{id}"
    if arn not in ecs._tasks:
        (asked,) = [one for one in runs.waiting(set()) if one["id"] == id]
        ecs._tasks[arn] = record_of(runs.as_reported(asked), region)
    found: Record = ecs._tasks[arn]
    return found


def begun(make: Callable[..., Record]) -> Callable[..., Record]:
    """MiniStack calls a first deployment COMPLETED at once; here it begins IN_PROGRESS."""

    def make_deployment(task_definition: str, desired_count: int, status: str = "PRIMARY") -> Record:
        made = make(task_definition, desired_count, status)
        return {**made, "rolloutState": "IN_PROGRESS", "rolloutStateReason": "ECS deployment in progress."}

    return make_deployment


def report(tasks: Iterable[Record], *, region: str) -> Record:
    """Take the agent's list as the whole truth; return what it is asked to do."""
    global _last_report
    _last_report = time.monotonic()
    told = list(tasks)
    waiting = runs.waiting({task["id"] for task in told})
    with request_scope(ACCOUNT, region):
        known = [*told, *map(runs.as_reported, waiting)]
        records = {record["taskArn"]: record for record in (record_of(task, region) for task in known)}
        for arn in [arn for arn in ecs._tasks if arn not in records]:
            del ecs._tasks[arn]
        for arn, record in records.items():
            ecs._tasks[arn] = record
        refresh_all()
    ends = {arn: record["desiredStatus"] == "STOPPED" for arn, record in records.items()}
    _stops.intersection_update(arn for arn, ended in ends.items() if not ended)
    now = time.time()
    protected = {
        _task_id(arn): until for arn, until in PROTECTED_UNTIL.items() if arn in ends and until > now
    }
    return {"run": waiting, "stop": sorted(_task_id(arn) for arn in _stops), "protected": protected}


def forget_if_silent(*, region: str) -> None:
    """An agent that says nothing any more has no tasks: they died with it."""
    if _last_report is None or agent_is_there():
        return
    with request_scope(ACCOUNT, region):
        gone = [arn for arn, task in ecs._tasks.items() if task["lastStatus"] != "STOPPED"]
        for arn in gone:
            del ecs._tasks[arn]
        if gone:
            refresh_all()


def refresh_all() -> None:
    """Count every service's tasks anew."""
    for service in list(ecs._services.values()):
        refresh(service)
    for cluster in list(ecs._clusters):
        ecs._recount_cluster(cluster)


def refresh(service: Record) -> None:
    """Count one service's tasks, and move its deployments on."""
    tasks = [task for task in ecs._tasks.values() if _belongs(task, service)]
    live = [task for task in tasks if task["lastStatus"] not in ("STOPPED", "DEPROVISIONING")]
    for deployment in service["deployments"]:
        own = [task for task in live if _is_of(task, deployment, service)]
        deployment["runningCount"] = sum(task["lastStatus"] == "RUNNING" for task in own)
        deployment["pendingCount"] = sum(task["lastStatus"] in _STARTING for task in own)
    service["runningCount"] = sum(task["lastStatus"] == "RUNNING" for task in live)
    service["pendingCount"] = sum(task["lastStatus"] in _STARTING for task in live)
    if service["status"] == "ACTIVE":
        _move_on(service, tasks, live)


_STARTING = ("PROVISIONING", "PENDING", "ACTIVATING")


def _move_on(service: Record, tasks: list[Record], live: list[Record]) -> None:
    primary = next(d for d in service["deployments"] if d["status"] == "PRIMARY")
    if primary["rolloutState"] != "IN_PROGRESS":
        return
    failed = primary.setdefault("_failed", [])
    failed += [
        task["taskArn"]
        for task in tasks
        if _is_of(task, primary, service) and _failed_to_start(task) and task["taskArn"] not in failed
    ]
    primary["failedTasks"] = len(failed)
    own = [task for task in live if _is_of(task, primary, service)]
    others = [task for task in live if task not in own]
    if sum(_is_good(task) for task in own) >= service["desiredCount"] and not others:
        _complete(service, primary)
    elif _breaker(service).get("enable") and len(failed) >= threshold(service["desiredCount"]):
        _fail(service, primary)


def _complete(service: Record, primary: Record) -> None:
    primary.update(
        rolloutState="COMPLETED",
        rolloutStateReason=f"ECS deployment {primary['id']} completed.",
        updatedAt=ecs._iso(),
    )
    service["deployments"] = [primary]
    service["_last_completed"] = primary["taskDefinition"]
    _event(service, f"(service {service['serviceName']}) has reached a steady state.")


def _fail(service: Record, primary: Record) -> None:
    """The circuit breaker: stop trying, and go back to the last definition that worked if it says so."""
    primary.update(
        rolloutState="FAILED",
        rolloutStateReason="ECS deployment circuit breaker: tasks failed to start.",
        updatedAt=ecs._iso(),
    )
    service["_failed_deployment"] = primary["id"]
    _event(service, f"(service {service['serviceName']}) (deployment {primary['id']}) deployment failed.")
    back_to = service.get("_last_completed")
    if _breaker(service).get("rollback") and back_to and back_to != primary["taskDefinition"]:
        primary["status"] = "INACTIVE"
        rollback = ecs._make_deployment(back_to, service["desiredCount"])
        service["deployments"] = [rollback, primary]
        service["taskDefinition"] = back_to


def threshold(desired_count: int) -> int:
    """Failed tasks until the breaker opens: half the desired count, 3 at least, 200 at most (ECS)."""
    return min(200, max(3, math.ceil(desired_count / 2)))


def _breaker(service: Record) -> Record:
    configuration = service.get("deploymentConfiguration") or {}
    breaker: Record = configuration.get("deploymentCircuitBreaker") or {}
    return {key: str(value).lower() == "true" for key, value in breaker.items()}


def _event(service: Record, message: str) -> None:
    event = {"id": ecs.new_uuid(), "createdAt": ecs._iso(), "message": message}
    service["events"] = [event, *service.get("events", [])][:100]


def _belongs(task: Record, service: Record) -> bool:
    return bool(
        task["group"] == f"service:{service['serviceName']}" and task["clusterArn"] == service["clusterArn"]
    )


def _is_of(task: Record, deployment: Record, service: Record) -> bool:
    """By the deployment's id if the agent gave one, else by its task definition (the newest that has it).

    A task of a deployment that is no longer listed belongs to none: after a rollback the agent replaces
    it, and the rollback is not through before that.
    """
    if task["startedBy"] != service["serviceName"]:
        return bool(task["startedBy"] == deployment["id"])
    same = [d["id"] for d in service["deployments"] if d["taskDefinition"] == task["taskDefinitionArn"]]
    return bool(same and same[0] == deployment["id"])


def _is_good(task: Record) -> bool:
    if task["lastStatus"] != "RUNNING" or task["desiredStatus"] != "RUNNING":
        return False
    return bool(task["healthStatus"] == "HEALTHY" or not _has_health_check(task["taskDefinitionArn"]))


def _failed_to_start(task: Record) -> bool:
    """It ended, and nobody had asked it to: while a deployment is in progress that counts against it."""
    return task["lastStatus"] == "STOPPED" and task["stopCode"] in (
        "TaskFailedToStart",
        "EssentialContainerExited",
    )


def _definition(arn: str) -> Record:
    found: Record = ecs._task_defs.get(arn.rpartition("/")[2]) or {}
    return found


def _has_health_check(arn: str) -> bool:
    return any(container.get("healthCheck") for container in _definition(arn).get("containerDefinitions", []))


def _task_id(arn: str) -> str:
    return arn.rpartition("/")[2]


def record_of(task: Record, region: str) -> Record:
    """The agent's line as ECS shows a task."""
    arn = f"arn:aws:ecs:{region}:{ACCOUNT}:task/{task['cluster']}/{task['id']}"
    definition = _definition(task["taskDefinition"])
    health = task.get("healthStatus") or "UNKNOWN"
    containers = [
        {
            "containerArn": f"{arn.replace(':task/', ':container/')}/{container['name']}",
            "taskArn": arn,
            "name": container["name"],
            "image": container["image"],
            "runtimeId": str(task.get("pid") or ""),
            "lastStatus": task["lastStatus"],
            "healthStatus": health,
            "exitCode": task.get("exitCode"),
        }
        for container in definition.get("containerDefinitions", [])
    ]
    return {
        "taskArn": arn,
        "clusterArn": f"arn:aws:ecs:{region}:{ACCOUNT}:cluster/{task['cluster']}",
        "taskDefinitionArn": task["taskDefinition"],
        "group": task.get("group") or f"service:{task['service']}",
        "startedBy": task["startedBy"] if task.get("group") else task.get("deployment") or task["service"],
        "lastStatus": task["lastStatus"],
        "desiredStatus": task["desiredStatus"],
        "healthStatus": health,
        "launchType": "FARGATE",
        "availabilityZone": f"{region}a",
        "cpu": definition.get("cpu"),
        "memory": definition.get("memory"),
        "connectivity": "CONNECTED",
        "containers": containers,
        "attachments": [],
        "tags": [],
        "version": 1,
        "stopCode": task.get("stopCode"),
        **{name: task.get(name) for name in ("createdAt", "startedAt", "stoppedAt", "stoppedReason")},
    }
