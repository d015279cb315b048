"""One environment: its long-lived stacks, and the stack of the release that is being deployed."""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise

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
    """``network``, ``broker``, ``fleet`` and ``release-<id>``, each finding those before it by SSM parameter.

    `names.stack` is what they are called in the account, ``<env>/<id>`` on the CDK's command line.
    """

    def __init__(
        self,
        scope: Construct,
        *,
        settings: Settings,
        release: str,
        live: bool,
        unprotected: Collection[str] = (),
        keeps_beat: bool = False,
        build: str | None = None,
        accepted_breaks: tuple[str, ...] = (),
    ) -> None:
        super().__init__(
            scope, settings.name, env=cdk.Environment(account=settings.account, region=settings.region)
        )
        _know_zones(self, settings)
        protected = {part: settings.keep_data and part not in unprotected for part in names.LONG_LIVED}
        network = NetworkStack(self, "network", settings=settings, protected=protected["network"])
        broker = BrokerStack(self, "broker", settings=settings, protected=protected["broker"])
        image = WorkerImage(settings=settings, live=live)
        fleet = FleetStack(
            self,
            "fleet",
            settings=settings,
            image=image,
            protected=protected["fleet"],
            keeps_beat=keeps_beat,
        )
        deployed = ReleaseStack(
            self,
            f"release-{release}",
            settings=settings,
            release=release,
            image=image,
            build=build,
            accepted_breaks=accepted_breaks,
        )
        self.stacks: tuple[cdk.Stack, ...] = (network, broker, fleet, deployed)
        # Nothing in the templates ties them together.
        for before, after in pairwise(self.stacks):
            after.add_stack_dependency(before)
        for tag, value in names.stack_tags(settings.name, settings.owner).items():
            cdk.Tags.of(self).add(tag, value)


def _know_zones(stage: cdk.Stage, settings: Settings) -> None:
    """The CDK asks AWS for a region's zones, even where they are given, unless it finds them here."""
    key = f"availability-zones:account={settings.account}:region={settings.region}"
    stage.node.set_context(key, list(settings.network.availability_zones))
