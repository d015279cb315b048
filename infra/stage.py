"""One environment: its long-lived stacks, and the stack of the release that is being deployed."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct
from taskfleet.contract import names

from infra.constructs.image import WorkerImage
from infra.settings import Settings
from infra.stacks.broker import BrokerStack
from infra.stacks.fleet import FleetStack
from infra.stacks.network import NetworkStack
from infra.stacks.release import ReleaseStack


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
        image = WorkerImage(settings=settings, live=live)
        fleet = FleetStack(self, "fleet", settings=settings, network=network, broker=broker, image=image)
        deployed = ReleaseStack(self, f"release-{release}", settings=settings, release=release, image=image)
        # Deployed after them; nothing in the templates ties them together.
        deployed.add_stack_dependency(fleet)
        self.stacks: tuple[cdk.Stack, ...] = (network, broker, fleet, deployed)
        cdk.Tags.of(self).add("project", names.PROJECT)
        cdk.Tags.of(self).add("environment", settings.name)


def _know_zones(stage: cdk.Stage, settings: Settings) -> None:
    """The CDK asks AWS for a region's zones, even where they are given, unless it finds them here."""
    key = f"availability-zones:account={settings.account}:region={settings.region}"
    stage.node.set_context(key, list(settings.network.availability_zones))
