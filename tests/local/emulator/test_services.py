"""ECS: definitions come back whole, and what runs is what the agent reports."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from local.emulator.shims.deployments import threshold
from tests.local.emulator.account import Account, Agent, task
from tests.support.processes import wait_for

CLUSTER = "fleet"
CONTAINER: dict[str, Any] = {
    "Name": "worker",
    "Image": "taskfleet.localhost/live",
    "Command": ["python", "-m", "taskfleet", "worker"],
    "Environment": [{"Name": "TASKFLEET_POOL", "Value": "high"}],
    "Secrets": [{"Name": "TOKEN", "ValueFrom": "arn:aws:secretsmanager:us-east-1:000000000000:secret:t"}],
    "HealthCheck": {
        "Command": ["CMD", "true"],
        "Interval": 10,
        "Timeout": 5,
        "Retries": 3,
        "StartPeriod": 20,
    },
    "StopTimeout": 15,
    "User": "1000",
    "ReadonlyRootFilesystem": True,
    "LinuxParameters": {"InitProcessEnabled": True, "Capabilities": {"Drop": ["ALL"]}},
    "MountPoints": [{"ContainerPath": "/tmp", "SourceVolume": "tmp", "ReadOnly": False}],
    "Ulimits": [{"Name": "nofile", "SoftLimit": 4096, "HardLimit": 4096}],
    "LogConfiguration": {"LogDriver": "awslogs", "Options": {"awslogs-group": "g"}},
}
WITHOUT_CHECK = {key: value for key, value in CONTAINER.items() if key != "HealthCheck"}


def stack(
    *, image: str = "taskfleet.localhost/live", services: tuple[str, ...] = ("high",), count: int = 1
) -> dict[str, Any]:
    container = {**WITHOUT_CHECK, "Image": image}
    resources: dict[str, Any] = {
        "Cluster": {"Type": "AWS::ECS::Cluster", "Properties": {"ClusterName": CLUSTER}},
        "Task": definition(container),
    }
    for name in services:
        resources[f"Service{name}"] = {
            "Type": "AWS::ECS::Service",
            "Properties": {
                "ServiceName": name,
                "Cluster": {"Fn::GetAtt": ["Cluster", "Arn"]},
                "TaskDefinition": {"Ref": "Task"},
                "DesiredCount": str(count),
                "DeploymentConfiguration": {"DeploymentCircuitBreaker": {"Enable": True, "Rollback": True}},
                "EnableExecuteCommand": True,
            },
        }
        resources[f"Target{name}"] = {
            "Type": "AWS::ApplicationAutoScaling::ScalableTarget",
            "Properties": {
                "ServiceNamespace": "ecs",
                "ResourceId": {
                    "Fn::Join": ["/", ["service", CLUSTER, {"Fn::GetAtt": [f"Service{name}", "Name"]}]]
                },
                "ScalableDimension": "ecs:service:DesiredCount",
                "MinCapacity": 1,
                "MaxCapacity": 2,
            },
        }
    return resources


def definition(container: dict[str, Any]) -> dict[str, Any]:
    return {
        "Type": "AWS::ECS::TaskDefinition",
        "Properties": {
            "Family": "worker",
            "RequiresCompatibilities": ["FARGATE"],
            "NetworkMode": "awsvpc",
            "Cpu": "512",
            "Memory": "1024",
            "Volumes": [{"Name": "tmp"}],
            "RuntimePlatform": {"CpuArchitecture": "ARM64"},
            "ContainerDefinitions": [container],
        },
    }


def described(account: Account, name: str = "high") -> dict[str, Any]:
    return dict(account.client("ecs").describe_services(cluster=CLUSTER, services=[name])["services"][0])


def test_a_task_definition_comes_back_whole(account: Account) -> None:
    arn = account.deploy("whole", {"Task": definition(CONTAINER)}, {"Arn": {"Ref": "Task"}})["Arn"]
    found = account.client("ecs").describe_task_definition(taskDefinition=arn)["taskDefinition"]
    container = found["containerDefinitions"][0]
    check = {"command": ["CMD", "true"], "interval": 10, "timeout": 5, "retries": 3, "startPeriod": 20}
    assert container["healthCheck"] == check
    assert container["secrets"][0]["name"] == "TOKEN"
    assert container["linuxParameters"] == {"initProcessEnabled": True, "capabilities": {"drop": ["ALL"]}}
    assert container["mountPoints"] == [{"containerPath": "/tmp", "sourceVolume": "tmp", "readOnly": False}]
    assert (container["stopTimeout"], container["user"], container["readonlyRootFilesystem"]) == (
        15,
        "1000",
        True,
    )
    assert container["logConfiguration"]["options"] == {"awslogs-group": "g"}
    assert (found["cpu"], found["memory"]) == ("512", "1024")
    assert (found["runtimePlatform"]["cpuArchitecture"], found["volumes"][0]["name"]) == ("ARM64", "tmp")
    account.delete("whole")


def test_a_property_that_ecs_does_not_know_is_refused(account: Account) -> None:
    wrong = copy.deepcopy(definition(CONTAINER))
    wrong["Properties"]["ContainerDefinitions"][0]["StopTimeOuts"] = 3
    with pytest.raises(AssertionError, match="extraneous key"):
        account.deploy("wrong", {"Task": wrong})
    account.delete("wrong")


def test_nothing_runs_until_the_agent_says_so(account: Account) -> None:
    account.deploy("said", stack())
    service = described(account)
    assert (service["desiredCount"], service["runningCount"], service["clusterArn"].rpartition("/")[2]) == (
        1,
        0,
        CLUSTER,
    )
    assert service["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    arn = service["taskDefinition"]

    account.report([task("high", arn, CLUSTER, id="a" * 32, lastStatus="PENDING")])
    assert (described(account)["runningCount"], described(account)["pendingCount"]) == (0, 1)
    account.report([task("high", arn, CLUSTER, id="a" * 32, pid=77)])
    service = described(account)
    assert (service["runningCount"], service["deployments"][0]["rolloutState"]) == (1, "COMPLETED")

    ecs = account.client("ecs")
    listed = ecs.list_tasks(cluster=CLUSTER, serviceName="high")["taskArns"]
    shown = ecs.describe_tasks(cluster=CLUSTER, tasks=listed)["tasks"][0]
    assert (shown["lastStatus"], shown["group"], shown["containers"][0]["runtimeId"]) == (
        "RUNNING",
        "service:high",
        "77",
    )

    ecs.stop_task(cluster=CLUSTER, task=listed[0])
    ecs.update_task_protection(cluster=CLUSTER, tasks=listed, protectionEnabled=True, expiresInMinutes=5)
    answer = account.report([task("high", arn, CLUSTER, id="a" * 32)])
    assert answer["stop"] == ["a" * 32]
    assert list(answer["protected"]) == ["a" * 32]
    assert account.report([])["stop"] == []
    assert described(account)["runningCount"] == 0
    account.delete("said")


def test_a_silent_agent_has_no_tasks(account: Account) -> None:
    account.deploy("silent", stack())
    account.report([task("high", described(account)["taskDefinition"], CLUSTER)])
    assert described(account)["runningCount"] == 1
    wait_for(lambda: described(account)["runningCount"] == 0, seconds=60, what="the end of the agent's tasks")
    reply = account.client("ecs").run_task(
        cluster=CLUSTER,
        taskDefinition=described(account)["taskDefinition"],
        networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
    )
    assert [failure["reason"] for failure in reply["failures"]] == ["AGENT"]
    account.delete("silent")


def test_a_task_of_run_task_is_given_to_the_agent_until_it_tells_of_it(account: Account) -> None:
    account.deploy("runs", stack())
    ecs, definition = account.client("ecs"), described(account)["taskDefinition"]
    account.report([])
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    (made,) = ecs.run_task(
        cluster=CLUSTER, taskDefinition=definition, startedBy="somebody", networkConfiguration=network
    )["tasks"]

    def shown() -> list[dict[str, Any]]:
        arns = ecs.list_tasks(cluster=CLUSTER, startedBy="somebody")["taskArns"]
        return list(ecs.describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"]) if arns else []

    for _ in range(2):  # an answer may be lost
        (asked,) = account.report([])["run"]
        assert made["taskArn"].endswith(asked["id"])
    assert [one["lastStatus"] for one in shown()] == ["PROVISIONING"]
    told = {"group": asked["group"], "startedBy": asked["startedBy"], "id": asked["id"]}
    assert account.report([task("", definition, CLUSTER, **told)])["run"] == []
    assert [one["lastStatus"] for one in shown()] == ["RUNNING"]
    assert described(account)["runningCount"] == 0, "it is of no service"
    account.report([])
    assert shown() == []
    account.delete("runs")


def test_a_stack_is_through_only_when_its_services_run(account: Account) -> None:
    with Agent(account, cluster=CLUSTER):
        account.deploy("waits", stack(services=("high", "low"), count=2))
        states = {name: described(account, name) for name in ("high", "low")}
        assert [s["runningCount"] for s in states.values()] == [2, 2]
        assert all(s["deployments"][0]["rolloutState"] == "COMPLETED" for s in states.values())
    account.delete("waits")


def test_an_update_leaves_the_number_that_scaling_made_of_a_service_without_one(account: Account) -> None:
    def resources(image: str) -> dict[str, Any]:
        made = stack(image=image)
        del made["Servicehigh"]["Properties"]["DesiredCount"]
        return made

    account.deploy("counted", resources("taskfleet.localhost/live"))
    assert described(account)["desiredCount"] == 1
    account.client("ecs").update_service(cluster=CLUSTER, service="high", desiredCount=2)

    account.deploy("counted", resources("taskfleet.localhost/a/b"))

    assert described(account)["desiredCount"] == 2
    account.delete("counted")


def test_a_broken_update_fails_the_stack_and_goes_back(account: Account) -> None:
    with Agent(account, cluster=CLUSTER) as agent:
        account.deploy("broken", stack(services=("high", "low")))
        good = described(account)["taskDefinition"]
        agent.broken.add(f"{good.rpartition(':')[0]}:{int(good.rpartition(':')[2]) + 1}")
        with pytest.raises(AssertionError, match="Circuit Breaker"):
            account.deploy("broken", stack(image="taskfleet.localhost/a/b", services=("high", "low")))
        assert account.settled("broken") == "UPDATE_ROLLBACK_COMPLETE"
        wait_for(
            lambda: described(account)["deployments"][0]["rolloutState"] == "COMPLETED", what="the rollback"
        )
        image = account.client("ecs").describe_task_definition(
            taskDefinition=described(account)["taskDefinition"]
        )
        assert image["taskDefinition"]["containerDefinitions"][0]["image"] == "taskfleet.localhost/live"
    account.delete("broken")


def test_a_rollback_is_through_when_the_tasks_of_the_deployment_before_are_replaced(account: Account) -> None:
    account.deploy("back", stack())
    first = described(account)
    good, began = first["taskDefinition"], first["deployments"][0]["id"]
    old = task("high", good, CLUSTER, id="a" * 32, deployment=began)
    account.report([old])
    ecs = account.client("ecs")
    container = {"name": "worker", "image": "taskfleet.localhost/a/b"}
    made = ecs.register_task_definition(family="worker", containerDefinitions=[container])
    bad = made["taskDefinition"]["taskDefinitionArn"]
    ecs.update_service(cluster=CLUSTER, service="high", taskDefinition=bad)
    failing = described(account)["deployments"][0]["id"]
    failure = {"lastStatus": "STOPPED", "desiredStatus": "STOPPED", "stopCode": "TaskFailedToStart"}
    account.report([old, *(task("high", bad, CLUSTER, deployment=failing, **failure) for _ in range(3))])

    account.report([old])
    rollback = described(account)["deployments"][0]
    assert (rollback["taskDefinition"], rollback["rolloutState"]) == (good, "IN_PROGRESS")

    account.report([task("high", good, CLUSTER, id="b" * 32, deployment=rollback["id"])])
    assert described(account)["deployments"][0]["rolloutState"] == "COMPLETED"
    account.delete("back")


def test_a_stack_whose_services_never_start_leaves_nothing(account: Account) -> None:
    with Agent(account, cluster=CLUSTER) as agent:
        agent.broken.add("worker")
        with pytest.raises(AssertionError, match="Circuit Breaker"):
            account.deploy("dead", stack(services=("high", "low")))
        assert account.settled("dead") == "ROLLBACK_COMPLETE"
    account.client("ecs").create_cluster(clusterName=CLUSTER)
    assert not account.client("ecs").list_services(cluster=CLUSTER)["serviceArns"]
    account.delete("dead")


@pytest.mark.parametrize(("desired", "failures"), [(1, 3), (6, 3), (7, 4), (25, 13), (1000, 200)])
def test_the_breaker_opens_at_half_the_desired_count_within_its_bounds(desired: int, failures: int) -> None:
    assert threshold(desired) == failures


def test_capacity_providers_are_kept(account: Account) -> None:
    resources = {
        "Cluster": {"Type": "AWS::ECS::Cluster", "Properties": {"ClusterName": "capacity"}},
        "Group": {
            "Type": "AWS::AutoScaling::AutoScalingGroup",
            "Properties": {"AutoScalingGroupName": "group", "MinSize": "0", "MaxSize": "2"},
        },
        "Provider": {
            "Type": "AWS::ECS::CapacityProvider",
            "Properties": {
                "Name": "machines",
                "AutoScalingGroupProvider": {
                    "AutoScalingGroupArn": {"Ref": "Group"},
                    "ManagedScaling": {"Status": "ENABLED", "TargetCapacity": 100},
                    "ManagedDraining": "ENABLED",
                },
            },
        },
        "Link": {
            "Type": "AWS::ECS::ClusterCapacityProviderAssociations",
            "Properties": {
                "Cluster": {"Ref": "Cluster"},
                "CapacityProviders": ["FARGATE", "FARGATE_SPOT", {"Ref": "Provider"}],
                "DefaultCapacityProviderStrategy": [],
            },
        },
    }
    account.deploy("capacity", resources)
    ecs = account.client("ecs")
    provider = ecs.describe_capacity_providers(capacityProviders=["machines"])["capacityProviders"][0]
    assert provider["autoScalingGroupProvider"]["managedScaling"]["status"] == "ENABLED"
    assert provider["autoScalingGroupProvider"]["autoScalingGroupArn"].startswith("arn:aws:autoscaling")
    assert ecs.describe_clusters(clusters=["capacity"])["clusters"][0]["capacityProviders"][2] == "machines"
    account.delete("capacity")


def test_a_service_that_depends_on_another_is_not_touched_before_that_one_is_steady(account: Account) -> None:
    def resources(image: str) -> dict[str, Any]:
        made = stack(image=image, services=("low", "beat"))
        made["Servicebeat"]["DependsOn"] = ["Servicelow"]
        return made

    with Agent(account, cluster=CLUSTER) as agent:
        account.deploy("ordered", resources("taskfleet.localhost/live"))
        good = described(account, "beat")["taskDefinition"]
        agent.broken.add(f"{good.rpartition(':')[0]}:{int(good.rpartition(':')[2]) + 1}")
        with pytest.raises(AssertionError, match="Circuit Breaker"):
            account.deploy("ordered", resources("taskfleet.localhost/a/b"))
        assert account.settled("ordered") == "UPDATE_ROLLBACK_COMPLETE"
        failed = [one for one in described(account, "beat")["events"] if "failed" in one["message"]]
        assert not failed
        assert [one for one in described(account, "low")["events"] if "failed" in one["message"]]
    account.delete("ordered")
