"""The local environment with a change, for tests of updates: ``python -m tests.fleet.variants NAME``."""

from __future__ import annotations

import sys
from dataclasses import replace

from aws_cdk import App
from taskfleet.contract.environment import APP

from infra.app import build
from infra.settings import Settings
from infra.stacks.release import ReleaseStack
from tests.support.reference import LOCAL

NONE = "drills.tasks.app:install"


def _wider() -> Settings:
    """`low` may have one worker more, and its tasks have a second less."""
    (low,) = (pool for pool in LOCAL.pools if pool.name == "low")
    limits = replace(low.limits, soft_time_limit_seconds=low.limits.soft_time_limit_seconds - 1)
    wider = replace(low, max_workers=low.max_workers + 1, limits=limits)
    return replace(LOCAL, pools=tuple(wider if pool == low else pool for pool in LOCAL.pools))


def main(variant: str) -> None:
    """Synthesize one variant: ``wider``, ``broken`` (not wider, its application is none), or ``beatless``.

    The last is a release whose beat alone has an application that is none.
    """
    settings = {"wider": _wider(), "broken": replace(LOCAL, app=NONE), "beatless": LOCAL}[variant]
    app = build(App(analytics_reporting=False), settings=[settings])
    if variant == "beatless":
        (release,) = (one for one in app.node.find_all() if isinstance(one, ReleaseStack))
        container = release.beat.task_definition.default_container
        assert container is not None
        container.add_environment(APP.name, NONE)
    app.synth()


if __name__ == "__main__":
    main(sys.argv[1])
