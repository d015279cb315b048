"""One environment: its long-lived stacks, and the stack of the release that is being deployed."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from infra.settings import Settings
from infra.stacks.broker import BrokerStack
from infra.stacks.network import NetworkStack
from taskfleet.contract import names


class EnvironmentStage(cdk.Stage):
    """``<env>-network``, ``<env>-broker``, ``<env>-fleet`` and ``<env>-release-<id>``.

    The long-lived stacks refer to each other as plain objects. The release finds them by SSM
    parameter, so that a release which nobody retired can't keep the base from changing.
    """

    def __init__(self, scope: Construct, *, settings: Settings, release: str, live: bool) -> None:
        super().__init__(
            scope, settings.name, env=cdk.Environment(account=settings.account, region=settings.region)
        )
        network = NetworkStack(self, "network", settings=settings)
        broker = BrokerStack(self, "broker", settings=settings, network=network)
        self.stacks: tuple[cdk.Stack, ...] = (network, broker)
        cdk.Tags.of(self).add("project", names.PROJECT)
        cdk.Tags.of(self).add("environment", settings.name)
