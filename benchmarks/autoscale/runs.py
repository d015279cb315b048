"""One policy on one scenario with one seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from taskfleet.simulation.engine import Fleet, Load
from taskfleet.simulation.ours import Ours

from benchmarks.autoscale.peers import Peer
from benchmarks.autoscale.scenarios import Scenario
from infra.prices import FARGATE_GB, FARGATE_VCPU

# A worker of 1 vCPU and 2 GB on Arm, in dollars an hour.
WORKER_HOUR = FARGATE_VCPU["ARM64"].dollars + 2 * FARGATE_GB["ARM64"].dollars


@dataclass(frozen=True)
class Outcome:
    """``late_percent``: of the tasks, those that waited longer than the target. Waits in seconds."""

    late_percent: float
    wait_p50: float
    wait_p95: float
    wait_p99: float
    worker_hours: float
    direction_changes: float
    interrupted: float

    @property
    def dollars(self) -> float:
        """For the workers."""
        return self.worker_hours * WORKER_HOUR


def load_of(scenario: Scenario, seed: int) -> Load:
    """The same for every policy."""
    return scenario.load(random.Random(f"{scenario.name} {seed}"))  # noqa: S311 - no secret


def run(scenario: Scenario, load: Load, policy: Peer | None, seed: int) -> Outcome:
    """None is ours."""
    service = scenario.service
    if policy is None:
        fleet = Fleet(load, replace(service, protects=True), seed)
        Ours(fleet)
    else:
        fleet = Fleet(load, service, seed)
        policy.drive(fleet, scenario.mean_run_seconds)
    result = fleet.run()
    return Outcome(
        late_percent=100 * result.late / max(1, result.started),
        wait_p50=result.percentile(50),
        wait_p95=result.percentile(95),
        wait_p99=result.percentile(99),
        worker_hours=result.worker_hours,
        direction_changes=result.direction_changes,
        interrupted=result.interrupted,
    )
