"""ECS: whole task definitions and services, and tasks that exist only if the agent says so."""

from __future__ import annotations

import json
import time
from typing import Any

from ministack.core.responses import error_response_json, json_response
from ministack.services import ecs
from ministack.services.cloudformation import provisioners

from local.emulator.shims import deployments, runs, table
from local.emulator.shims.table import Made, Properties

_TASK_DEFINITION = "AWS::ECS::TaskDefinition"
_SERVICE = "AWS::ECS::Service"
# CloudFormation's name for a service's tags, role and so on are CreateService's; these are not.
_NOT_OF_THE_API = ("ServiceConnectConfiguration", "VolumeConfigurations", "ForceNewDeployment", "Tags")


def _register_task_definition(logical_id: str, properties: Properties, stack_name: str) -> Made:
    family = properties.get("Family") or f"{stack_name}-{logical_id}"
    # `Tags` of a task definition are the API's `tags`; everything else has the same names in both.
    wanted = table.api_input("ecs", "RegisterTaskDefinition", {**properties, "Family": family})
    status, _, body = ecs._register_task_definition(wanted)
    content = json.loads(body)
    if status >= 400:
        raise ValueError(content.get("message", content))
    arn = content["taskDefinition"]["taskDefinitionArn"]
    return arn, {"TaskDefinitionArn": arn}


def _update_task_definition(
    arn: str, old: Properties, new: Properties, stack_name: str, logical_id: str
) -> Made:
    without_tags = [{key: value for key, value in p.items() if key != "Tags"} for p in (old, new)]
    if without_tags[0] == without_tags[1]:
        return arn, {"TaskDefinitionArn": arn}
    return _register_task_definition(logical_id, new, stack_name)


def _cluster_name(properties: Properties) -> str:
    return str(properties.get("Cluster") or "default").rpartition("/")[2]


def _service_properties(properties: Properties) -> Properties:
    """With the cluster by its name, and numbers as numbers: SSM parameters give an ARN and text."""
    wanted = {**properties, "Cluster": _cluster_name(properties)}
    if "DesiredCount" in wanted:
        wanted["DesiredCount"] = int(wanted["DesiredCount"])
    if "DeploymentConfiguration" in wanted:
        wanted["DeploymentConfiguration"] = _numbers(wanted["DeploymentConfiguration"])
    return wanted


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    return int(value) if isinstance(value, str) and value.isdigit() else value


def _register_service() -> None:
    create, update = table.handler(_SERVICE, "create"), table.handler(_SERVICE, "update")
    delete = table.handler(_SERVICE, "delete")

    def whole(arn: str, properties: Properties) -> None:
        """Keep what MiniStack's handler leaves out."""
        kept = {key: value for key, value in properties.items() if key not in _NOT_OF_THE_API}
        wanted = table.api_input("ecs", "CreateService", {"ServiceName": "", **kept})
        service = ecs._services[arn.rpartition(":service/")[2]]
        names = ("enableExecuteCommand", "healthCheckGracePeriodSeconds", "platformVersion", "propagateTags")
        more = ("enableECSManagedTags", "serviceRegistries", "placementStrategy", "placementConstraints")
        service.update({name: wanted[name] for name in (*names, *more) if name in wanted})
        deployments.refresh(service)

    def created(logical_id: str, properties: Properties, stack_name: str) -> Made:
        wanted = _service_properties(properties)
        arn, attributes = create(logical_id, wanted, stack_name)
        whole(arn, wanted)
        return arn, {**attributes, "ServiceArn": arn}

    def updated(arn: str, old: Properties, new: Properties, stack_name: str, logical_id: str) -> Made:
        wanted = _service_properties(new)
        made: Made = update(arn, _service_properties(old), wanted, stack_name)
        whole(arn, wanted)
        return made

    def deleted(arn: str, properties: Properties) -> None:
        delete(arn, _service_properties(properties))

    table.add(
        _SERVICE,
        create=created,
        update=updated,
        delete=deleted,
        replaced_by=("ServiceName", "Cluster", "LaunchType", "SchedulingStrategy"),
    )


def _run_task(data: Properties) -> Any:
    cluster = ecs._resolve_cluster_name(data.get("cluster", "default"))
    if cluster is None:
        return error_response_json("ClusterNotFoundException", "Cluster not found.", 400)
    definition = ecs._task_defs.get(ecs._resolve_td_key(data.get("taskDefinition", "")))
    if definition is None:
        return error_response_json("ClientException", "TaskDefinition not found.", 400)
    if definition.get("networkMode") == "awsvpc" and not data.get("networkConfiguration"):
        message = "Network Configuration must be provided when networkMode 'awsvpc' is specified."
        return error_response_json("InvalidParameterException", message, 400)
    if not deployments.agent_is_there():
        failure = {"arn": cluster, "reason": "AGENT"}
        return json_response({"tasks": [], "failures": [failure]})
    try:
        id = runs.ask(data, cluster=cluster, definition=definition)
    except ValueError as error:
        return error_response_json("InvalidParameterException", str(error), 400)
    return json_response({"tasks": [ecs._sanitize(deployments.show(id, cluster))], "failures": []})


def _stop_task(data: Properties) -> Any:
    task = ecs._resolve_task(data.get("task", ""), ecs._resolve_cluster_name(data.get("cluster", "default")))
    if task is None:
        return error_response_json("InvalidParameterException", "The referenced task was not found.", 400)
    deployments.request_stop(task["taskArn"])
    return json_response({"task": ecs._sanitize(task)})


def _protected_view(arn: str) -> Properties:
    until = deployments.PROTECTED_UNTIL.get(arn)
    if until is None or until <= time.time():
        return {"taskArn": arn, "protectionEnabled": False}
    return {"taskArn": arn, "protectionEnabled": True, "expirationDate": until}


def _update_task_protection(data: Properties) -> Any:
    arns = []
    for reference in data.get("tasks", []):
        task = ecs._resolve_task(reference, ecs._resolve_cluster_name(data.get("cluster", "default")))
        if task is None:
            continue
        arns.append(task["taskArn"])
        minutes = float(data.get("expiresInMinutes", 120))
        deployments.PROTECTED_UNTIL[task["taskArn"]] = time.time() + 60 * minutes
        if not data.get("protectionEnabled"):
            deployments.PROTECTED_UNTIL.pop(task["taskArn"], None)
    return json_response({"protectedTasks": [_protected_view(arn) for arn in arns], "failures": []})


def _get_task_protection(data: Properties) -> Any:
    tasks = data.get("tasks") or list(ecs._tasks)
    return json_response({"protectedTasks": [_protected_view(arn) for arn in tasks], "failures": []})


def _reconcile(cluster_name: str, service_key: str) -> None:
    service = ecs._services.get(service_key)
    if service is not None:
        deployments.refresh(service)


def register() -> None:
    """Replace the two types, and stop MiniStack from pretending that tasks run."""
    table.add(
        _TASK_DEFINITION,
        create=_register_task_definition,
        update=_update_task_definition,
        delete=table.handler(_TASK_DEFINITION, "delete"),
    )
    _register_service()
    ecs._reconcile_service_tasks = _reconcile
    ecs._refresh_service_state = lambda cluster_name, group: None
    ecs._complete_service_deployment = lambda *given: None
    ecs._ACTION_MAP |= {
        "RunTask": _run_task,
        "StopTask": _stop_task,
        "UpdateTaskProtection": _update_task_protection,
        "GetTaskProtection": _get_task_protection,
    }
    ecs._make_deployment = deployments.begun(ecs._make_deployment)
    provisioners.logger.debug("ECS tasks are reported by the local agent")
