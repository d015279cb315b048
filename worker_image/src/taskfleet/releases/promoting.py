"""A promotion carried out: the records first, then what producers read."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from taskfleet.releases import pointer
from taskfleet.releases.commands import Promotion
from taskfleet.releases.model import Published
from taskfleet.releases.store import Conflict, Store


def promote(store: Store, ssm: Any, environment: str, promotion: Promotion) -> None:
    """Raises `Conflict` if the pointer or the release has changed since; then nothing was written."""
    store.promote(promotion.pointer, promotion.green)
    publish(store, ssm, environment)
    if promotion.blue is not None:
        with suppress(Conflict):  # the controller saw the new pointer first, and wrote the same
            store.save(promotion.blue)


def publish(store: Store, ssm: Any, environment: str) -> Published:
    """Tell producers which release is current and which is in its canary, and return it.

    Read after writing, in case somebody else promoted meanwhile: the record decides.
    """
    told = pointer.published(ssm, environment)
    while told != (wanted := store.read([]).pointer.to_publish):
        pointer.publish(ssm, environment, wanted, told)
        told = wanted
    return told
