"""The local environment with a change, for tests of updates: ``python -m tests.fleet.variants NAME``."""

from __future__ import annotations

import sys
from dataclasses import replace

from aws_cdk import App

from infra.app import build
from infra.environments import LOCAL
from infra.settings import Settings


def _wider() -> Settings:
    """`low` may have one worker more."""
    pools = tuple(replace(p, max_workers=p.max_workers + 1) if p.name == "low" else p for p in LOCAL.pools)
    return replace(LOCAL, pools=pools)


def main(variant: str) -> None:
    """Synthesize one variant: ``wider``, or ``broken`` (wider, with an application that is not there)."""
    settings = _wider()
    if variant == "broken":
        settings = replace(settings, app="no_such_package.app:app")
    build(App(analytics_reporting=False), settings=[settings]).synth()


if __name__ == "__main__":
    main(sys.argv[1])
