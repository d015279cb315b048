"""Can a deploy of this environment succeed? A checklist, for a person, before anything is changed.

``python -m infra.preflight ENV`` (``make preflight ENV=…``); `make deploy` runs it first. It only reads.
"""

from __future__ import annotations

from collections.abc import Iterator

import boto3

from infra.preflight import account, machine, network, quotas, restore
from infra.preflight.finding import Finding, State, page
from infra.settings import Settings


def findings(settings: Settings, session: boto3.Session) -> Iterator[Finding]:
    """One for each question, in the order in which one would mend them."""
    found = list(account.reached(settings, session))
    yield from found
    reached = all(one.state is State.OK for one in found)
    if reached:
        yield from account.ours(settings, session)
    if settings.on_this_machine:
        return
    yield from machine.builds(settings)
    if reached:
        yield from account.prepared(settings, session)
        yield from network.fits(settings, session)
        yield from restore.broker(settings, session)
        yield from quotas.enough(settings, session)
    yield from account.paged(settings)


def passes(settings: Settings, session: boto3.Session, *, quiet: bool = False) -> bool:
    """Print the checklist; False if a deploy would fail. ``quiet`` leaves out what is well."""
    found = list(findings(settings, session))
    print(page(settings.name, found, quiet=quiet), flush=True)
    return not any(one.state is State.MISSING for one in found)
