"""A result backend of the environment's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from infra.rules import caches
from infra.rules.existing import peers
from infra.rules.problem import Problem

if TYPE_CHECKING:
    from infra.settings import Settings


def _expire(settings: Settings) -> Iterator[Problem]:
    seconds = getattr(settings.results, "expires_seconds", None)
    if seconds is not None and seconds < 1:
        yield Problem(
            setting="results.expires_seconds",
            value=seconds,
            rule="a result is kept for a second at least",
            fix="raise it, or drop `results` for none",
        )


def _cache(settings: Settings) -> Iterator[Problem]:
    cache = settings.results_cache
    if cache is None:
        return
    for rule in (caches.engine_version, caches.node_type, caches.nodes, caches.port):
        yield from rule("results", cache)
    yield from caches.zones("results", cache, settings, instead="nodes=1")
    yield from peers("results.ingress", cache.ingress or ())


RULES = (_expire, _cache)
