"""A scaling policy, invoked by an alarm: look at the service, plan, set its desired count."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError
from taskfleet.simulation.step_scaling import Activity, Policy, Target, aggregate, plan

from local.scaling.policy import read_policy, read_target

log = logging.getLogger("scaling")


class Scaler:
    """The account's scalable ECS services. Each one's last activity is kept while this process lives."""

    def __init__(self, *, autoscaling: Any, ecs: Any) -> None:
        self._autoscaling = autoscaling
        self._ecs = ecs
        self._targets: dict[str, Target] = {}
        self._policies: dict[str, Policy] = {}
        self._last: dict[str, Activity] = {}

    def refresh(self) -> None:
        """Read targets and policies again, and bring the services of new or changed targets within bounds."""
        before, self._targets = self._targets, {target.resource: target for target in self._read_targets()}
        self._policies = {policy.arn: policy for policy in self._read_policies()}
        self._last = {name: last for name, last in self._last.items() if name in self._targets}
        for name, target in self._targets.items():
            if before.get(name) != target:
                self._keep_within_bounds(target)

    def handles(self, action: str) -> bool:
        """Whether an alarm's action is one of the policies."""
        return action in self._policies

    def invoke(
        self, action: str, *, alarm: str, values: Sequence[float], threshold: float, now: float
    ) -> None:
        """Do what the policy asks for, given the alarm's recent data points; say so in one line."""
        policy = self._policies[action]
        target = self._targets.get(policy.resource)
        if target is None or not values:
            return
        capacity = self._desired(target)
        if capacity is None:
            return
        decision = plan(
            policy=policy,
            target=target,
            value=aggregate(values, policy.aggregation),
            threshold=threshold,
            capacity=capacity,
            last=self._last.get(target.resource),
            now=now,
        )
        if decision.capacity is None:
            log.debug("service %s stays at %d: %s", target.service, capacity, decision.reason)
            return
        self._set(
            target, capacity, decision.capacity, f"by policy {policy.name} ({alarm}): {decision.reason}"
        )
        self._last[target.resource] = Activity(
            at=now,
            base=decision.base,
            capacity=decision.capacity,
            cooldown_seconds=policy.cooldown_seconds,
        )

    def _keep_within_bounds(self, target: Target) -> None:
        """What registering a target does to a service outside of its bounds."""
        capacity = self._desired(target)
        if capacity is None:
            return
        if capacity < target.minimum:
            self._set(target, capacity, target.minimum, "because that is the least")
        if capacity > target.maximum:
            self._set(target, capacity, target.maximum, "because that is the most")

    def _desired(self, target: Target) -> int | None:
        """The desired count; None while there is no such active service."""
        try:
            found = self._ecs.describe_services(cluster=target.cluster, services=[target.service])
        except ClientError as error:
            log.warning("service %s can't be read: %s", target.service, error)
            return None
        for service in found["services"]:
            if service["status"] == "ACTIVE":
                return int(service["desiredCount"])
        return None

    def _set(self, target: Target, before: int, after: int, why: str) -> None:
        self._ecs.update_service(cluster=target.cluster, service=target.service, desiredCount=after)
        log.info("service %s %d → %d %s", target.service, before, after, why)

    def _read_targets(self) -> list[Target]:
        pages = self._autoscaling.get_paginator("describe_scalable_targets").paginate(ServiceNamespace="ecs")
        return [read_target(described) for page in pages for described in page["ScalableTargets"]]

    def _read_policies(self) -> list[Policy]:
        pages = self._autoscaling.get_paginator("describe_scaling_policies").paginate(ServiceNamespace="ecs")
        read = (read_policy(described) for page in pages for described in page["ScalingPolicies"])
        return [policy for policy in read if policy is not None]
