"""The local environment with a change, for tests of updates: ``python -m tests.fleet.variants NAME``."""

from __future__ import annotations

import sys
from dataclasses import replace

from aws_cdk import App

from infra.app import build
from infra.settings import Settings
from tests.support.reference import LOCAL


def _wider() -> Settings:
    """`low` may have one worker more, and its tasks have a second less."""
    (low,) = (pool for pool in LOCAL.pools if pool.name == "low")
    limits = replace(low.limits, soft_time_limit_seconds=low.limits.soft_time_limit_seconds - 1)
    wider = replace(low, max_workers=low.max_workers + 1, limits=limits)
    return replace(LOCAL, pools=tuple(wider if pool == low else pool for pool in LOCAL.pools))


def main(variant: str) -> None:
    """Synthesize one variant: ``wider``, or ``broken`` (not wider, with an application that is none)."""
    settings = _wider() if variant == "wider" else replace(LOCAL, app="drills.tasks.app:install")
    build(App(analytics_reporting=False), settings=[settings]).synth()


if __name__ == "__main__":
    main(sys.argv[1])
