"""The `fleet` command, run on an environment of the emulated account that the controller has looked at."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result
from taskfleet.cli.main import fleet
from taskfleet.contract import parameters

from tests.support.ministack import MiniStack
from tests.support.valkey import Valkey
from tests.taskfleet.controller.account import Account


class Fleet:
    """An environment with a current release, and the command to ask about it."""

    def __init__(self, account: Account) -> None:
        self.account = account
        for name in parameters.BASE:
            account.ssm.put_parameter(
                Name=parameters.base(account.name, name), Value="a-value", Type="String"
            )
        for service in ("controller", "beat"):
            account.ecs.register_task_definition(
                family=service, containerDefinitions=[{"name": "it", "image": "x", "memory": 64}]
            )
            account.ecs.create_service(
                cluster=f"taskfleet-{account.name}",
                serviceName=service,
                taskDefinition=service,
                desiredCount=1,
            )
        self.bring_up("blue")

    def bring_up(self, release: str, **settings: Any) -> None:
        """Deploy a release and let it pass its gate."""
        made = self.account.deploy(release, beat=True, **settings)
        controller = self.account.controller()
        self.look(controller)
        self.account.run_gates(made)
        self.look(controller)

    def look(self, controller: Any = None, looks: int = 1) -> None:
        """Let the controller look, ending now: `fleet` asks how old the look is."""
        controller = controller or self.account.controller()
        for _ in range(looks):
            controller.look()

    def run(self, *arguments: str) -> Result:
        """`fleet` with these arguments, in this environment."""
        return CliRunner().invoke(fleet, list(arguments), env={"TASKFLEET_ENVIRONMENT": self.account.name})

    def json(self, *arguments: str) -> Any:
        """What it prints with ``--json``."""
        result = self.run(*arguments, "--json")
        return json.loads(result.output)


@pytest.fixture
def up(aws_environment: MiniStack, valkey: Valkey) -> Fleet:
    valkey.client().flushall()
    return Fleet(Account(aws_environment, valkey))
