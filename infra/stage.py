"""One environment: its long-lived stacks, and the stack of the release that is being deployed."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct
from taskfleet.contract import names

from infra.settings import Settings
from infra.stacks.broker import BrokerStack
from infra.stacks.network import NetworkStack


class EnvironmentStage(cdk.Stage):
    """``<env>-network``, ``<env>-broker``, ``<env>-fleet`` and ``<env>-release-<id>``.

    The long-lived stacks refer to each other as plain objects. The release finds them by SSM
    parameter, so that a release which nobody retired can't keep the base from changing.
    """

    def __init__(self, scope: Construct, *, settings: Settings, release: str, live: bool) -> None:
        super().__init__(
            scope, settings.name, env=cdk.Environment(account=settings.account, region=settings.region)
        )
        _know_zones(self, settings)
        network = NetworkStack(self, "network", settings=settings)
        broker = BrokerStack(self, "broker", settings=settings, network=network)
        self.stacks: tuple[cdk.Stack, ...] = (network, broker)
        cdk.Tags.of(self).add("project", names.PROJECT)
        cdk.Tags.of(self).add("environment", settings.name)


def _know_zones(stage: cdk.Stage, settings: Settings) -> None:
    """The CDK asks AWS for a region's zones, even where they are given, unless it finds them here."""
    key = f"availability-zones:account={settings.account}:region={settings.region}"
    stage.node.set_context(key, list(settings.network.availability_zones))
