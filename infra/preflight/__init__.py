"""Can a deploy of this environment succeed? A checklist, for a person, before anything is changed.

``python -m infra.preflight ENV`` (``make preflight ENV=…``); `make deploy` runs it first. It only reads.
"""

from __future__ import annotations

from collections.abc import Iterator

import boto3

from infra import needs, templates
from infra.preflight import account, machine, network, quotas, releases, restore
from infra.preflight.finding import Finding, State, page
from infra.release_id import release_id
from infra.settings import Settings


def findings(settings: Settings, session: boto3.Session, release: str | None = None) -> Iterator[Finding]:
    """One for each question, in the order in which one would mend them.

    ``release`` is the id of the one that is deployed; by default what a deploy calls it by itself.
    """
    found = list(account.reached(settings, session))
    yield from found
    reached = all(one.state is State.OK for one in found)
    if reached:
        yield from account.ours(settings, session)
        yield from releases.room(settings, session, release_id(settings, release))
    if settings.on_this_machine:
        return
    if not reached:
        yield Finding(
            what="the rest",
            state=State.UNKNOWN,
            found="not asked: the account's stacks, bootstrap, zones, network and quotas",
            then="mend what is above first",
        )
    yield from machine.builds(settings)
    if reached:
        yield from account.prepared(settings, session)
        made = templates.templates(settings)
        addresses = needs.in_a_subnet(made, len(settings.network.availability_zones))
        yield from network.fits(settings, session, addresses)
        yield from restore.broker(settings, session)
        yield from quotas.enough(settings, session, needs.needs(made))
    yield from account.paged(settings)


def passes(
    settings: Settings, session: boto3.Session, *, release: str | None = None, quiet: bool = False
) -> bool:
    """Print the checklist; False if a deploy would fail. ``quiet`` leaves out what is well."""
    found = list(findings(settings, session, release))
    print(page(settings.name, found, quiet=quiet), flush=True)
    return not any(one.state is State.MISSING for one in found)
