"""Which releases' stacks are there without a manifest, and whether CloudFormation still works on them."""

from __future__ import annotations

from collections.abc import Collection

from taskfleet import stacks
from taskfleet.contract import names
from taskfleet.controller.clients import Clients
from taskfleet.releases import pointer
from taskfleet.releases.observation import Begun


def look(clients: Clients, manifests: Collection[str]) -> dict[str, Begun]:
    """By release. ``manifests``: those that have one, listed before. Errors of AWS pass through."""
    begun = pointer.begun(clients.ssm, clients.environment)
    found = {}
    for release in begun.keys() - set(manifests):
        stack = stacks.find(clients.cloudformation, names.release_stack(clients.environment, release))
        if stack is not None:
            found[release] = Begun(begun[release], stacks.failure(stack))
    return found
