"""The local environment with a change, for tests of updates: ``--app "python -m tests.fleet.variants NAME"``."""

from __future__ import annotations

import sys
from dataclasses import replace

from aws_cdk import App, CfnResource
from infra.app import build
from infra.environments import LOCAL
from infra.settings import Settings


def _wider() -> Settings:
    """`low` may have one worker more."""
    pools = tuple(replace(p, max_workers=p.max_workers + 1) if p.name == "low" else p for p in LOCAL.pools)
    return replace(LOCAL, pools=pools)


def main(variant: str) -> None:
    """Synthesize one variant: ``wider``, or ``broken`` (wider, with a resource that can't be made)."""
    app = build(App(analytics_reporting=False), settings=[_wider()])
    if variant == "broken":
        (stage,) = [child for child in app.node.children if child.node.id == "local"]
        (release,) = [child for child in stage.node.children if child.node.id.startswith("release-")]
        CfnResource(release, "CannotBeMade", type="AWS::Taskfleet::CannotBeMade")
    app.synth()


if __name__ == "__main__":
    main(sys.argv[1])
