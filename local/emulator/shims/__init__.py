"""What MiniStack lacks or gets wrong for Taskfleet's stacks, one small file by service.

Each module has ``register()``, which adds its CloudFormation resource types to MiniStack's table, or
replaces a handler of it. They touch MiniStack's internals, so its version is pinned and
``tests/local/test_emulator_*.py`` looks at each of them over boto3.
"""

from __future__ import annotations

from local.emulator.shims import (
    alarms,
    autoscaling,
    broker,
    capacity,
    ec2,
    ecs,
    log_groups,
    queues,
    secrets,
    steady,
    systems_manager,
)


def register(*, broker_port: int, results_port: int) -> None:
    """Make the emulator able to take Taskfleet's stacks. The ports are those of the TLS fronts."""
    for module in (
        ec2,
        secrets,
        systems_manager,
        alarms,
        autoscaling,
        capacity,
        ecs,
        log_groups,
        queues,
        steady,
    ):
        module.register()
    broker.register(port=broker_port, results_port=results_port)
