"""The manifest of a release: what its stack deployed, for the controller and for producers.

Written by the release's stack as JSON into an SSM parameter (4 KB at most, SSM standard tier). Its image and
queues never change afterwards, so that whoever read it may keep it; but for a release that is rolled.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

AUTOMATIC, MANUAL = "automatic", "manual"


@dataclass(frozen=True)
class PoolManifest:
    """One pool of a release. ``queues`` it owns; ``helps`` are other pools' queues that it also consumes.

    A publish whose ETA is farther than ``longest_countdown_seconds`` is refused; None takes any.
    """

    name: str
    queues: tuple[str, ...]
    helps: tuple[str, ...]
    slots: int
    min_workers: int
    max_workers: int
    latency_target_seconds: int
    warm_fallback_workers: int = 0
    max_fallback_workers: int | None = None
    longest_countdown_seconds: int | None = None

    @property
    def most_fallback_workers(self) -> int:
        """How many workers it may have on SQS; a manifest of an older version does not say."""
        return self.max_workers if self.max_fallback_workers is None else self.max_fallback_workers


@dataclass(frozen=True)
class BeforeGate:
    """A command that runs once in the image of ``pool``, as a task of its own, before the release's gate."""

    command: tuple[str, ...]
    pool: str
    timeout_seconds: int


@dataclass(frozen=True, kw_only=True)
class Canary:
    """A ``share`` of publishes goes to the release for ``seconds`` before it becomes current.

    So many ``runs`` of its tasks are waited for, for as long again, before it is compared.
    """

    share: float = 0.05
    seconds: int = 600
    runs: int = 50


@dataclass(frozen=True)
class ReleaseManifest:
    """One release. ``image`` is what its workers run, by digest; ``drain_deadline_seconds`` alarms.

    A publish to one of the ``confirmed`` queues returns when a replica of the broker has it. Tasks that name
    no queue go to the ``default_queue``. With the ``promotion`` `AUTOMATIC` it becomes current once its gate
    has passed; with `MANUAL`, which a manifest of an older version means, when somebody promotes it.

    Once drained it is warm for ``warm_seconds``, then it sleeps, and its stack is deleted
    ``delete_after_seconds`` later; one that failed sleeps at once and is deleted after
    ``keep_failed_seconds``; None: when somebody says so. It is refused beside ``max_live_releases`` others.
    With ``beat`` its stack has one; for a release of an older version the fleet's beat fires.
    ``build`` is of a release that is rolled: each build is deployed into the same stack, on the same queues.
    An ETA farther ahead than ``etas_beyond_seconds`` waits in the table of ETAs, not in a queue; None: all
    wait in queues.
    With a ``canary`` it is compared with the current release before it takes over, and for ``bake_seconds``
    after that its alarms send producers back; 0: not.
    """

    release: str
    image: str
    pools: tuple[PoolManifest, ...]
    drain_deadline_seconds: int
    confirmed: tuple[str, ...] = ()
    promotion: str = MANUAL
    default_queue: str | None = None
    before_gate: BeforeGate | None = None
    warm_seconds: int | None = None
    delete_after_seconds: int | None = None
    keep_failed_seconds: int | None = None
    max_live_releases: int | None = None
    beat: bool = False
    build: str | None = None
    etas_beyond_seconds: int | None = None
    canary: Canary | None = None
    bake_seconds: int = 0

    @property
    def queues(self) -> tuple[str, ...]:
        """Every logical queue of the release."""
        return tuple(queue for pool in self.pools for queue in pool.queues)

    def to_json(self) -> str:
        """The SSM parameter's value; None is left out."""
        return json.dumps(asdict(self, dict_factory=_without_none), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> ReleaseManifest:
        """Read what this or a later version of `to_json` wrote. Raises ``ValueError`` for anything else."""
        try:
            data = _known(cls, json.loads(text))
            pools = tuple(
                PoolManifest(
                    **{
                        **_known(PoolManifest, pool),
                        "queues": tuple(pool["queues"]),
                        "helps": tuple(pool["helps"]),
                    }
                )
                for pool in data.pop("pools")
            )
            before = data.pop("before_gate", None)
            if before is not None:
                before = BeforeGate(**{**_known(BeforeGate, before), "command": tuple(before["command"])})
            canary = data.pop("canary", None)
            if canary is not None:
                canary = Canary(**_known(Canary, canary))
            confirmed = tuple(data.get("confirmed", ()))
            known = {**data, "confirmed": confirmed, "before_gate": before, "canary": canary}
            return cls(pools=pools, **known)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"not a release manifest ({error}): {text[:200]!r}") from error


def _without_none(values: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in values if value is not None}


def _known(of: type, data: dict[str, Any]) -> dict[str, Any]:
    """Without what a later version of this package has added: old producers must go on."""
    return {field.name: data[field.name] for field in fields(of) if field.name in data}
