"""Releases to test with: short ways to write what was seen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from taskfleet.contract import state as keys
from taskfleet.contract.manifest import PoolManifest, ReleaseManifest
from taskfleet.contract.names import versioned_queue
from taskfleet.contract.split import Split
from taskfleet.releases.lease import Lease
from taskfleet.releases.model import Pointer, Record, State, registered
from taskfleet.releases.observation import Observation, RemainingWork

T0 = 1_790_000_000.0
EMPTY = RemainingWork(0, 0, 0, 0, 0)


def pool(name: str = "low", **changes: Any) -> PoolManifest:
    """One pool with its queues."""
    base = PoolManifest(
        name=name,
        queues=(name,),
        helps=(),
        slots=2,
        min_workers=1,
        max_workers=3,
        latency_target_seconds=60,
    )
    return replace(base, **changes)


def manifest(release: str = "green", **changes: Any) -> ReleaseManifest:
    """A release of two pools: `high`, and `low` with its second queue `etl`."""
    pools = (pool("high"), pool("low", queues=("low", "etl"), helps=("high",)))
    base = ReleaseManifest(
        release=release, image=f"sha256:{release}", pools=pools, drain_deadline_seconds=3600
    )
    return replace(base, **changes)


def record(
    release: str = "green", state: State = State.REGISTERED, *, at: float = T0, **changes: Any
) -> Record:
    """A release's record, brought to its state by a direct way."""
    ways = {
        State.REGISTERED: (),
        State.GATING: (State.GATING,),
        State.FAILED: (State.GATING, State.FAILED),
        State.CURRENT: (State.GATING, State.CURRENT),
        State.DRAINING: (State.GATING, State.CURRENT, State.DRAINING),
        State.DRAINED: (State.GATING, State.CURRENT, State.DRAINING, State.DRAINED),
        State.ASLEEP: (State.GATING, State.CURRENT, State.DRAINING, State.DRAINED, State.ASLEEP),
        State.RETIRED: (State.RETIRED,),
        State.CANARY: (State.GATING, State.CANARY),
    }
    made = registered(manifest(release), at=at, actor="controller")
    for to in ways[state]:
        made = made.moved(to, at=at, actor="controller", reason="for the test")
        if to in (State.CANARY, State.CURRENT):
            made = replace(made, gate_passed_at=at)
    return replace(made, **changes)


def proofs(release: str, *queues: str, at: float = T0 + 1, broker: str = "primary") -> dict[str, float]:
    """Proofs that gate tasks ran."""
    return {keys.gate(versioned_queue(queue, release), broker): at for queue in queues}


def lease(*releases: str, until: float = T0 + 300, pinned: bool = False) -> Lease:
    """Of a web process."""
    return Lease(
        process="web-1/7/a",
        host="web-1",
        pid=7,
        application="shop",
        releases=releases,
        pinned=pinned,
        since=T0,
        until=until,
    )


def seen(*records: Record, **changes: Any) -> Observation:
    """A look at which everything answered, every stack exists, every pool runs and nothing is left."""
    current = next((r.release for r in records if r.state is State.CURRENT), None)
    canary = next((r.release for r in records if r.state is State.CANARY), None)
    split = Split(canary, current, 0.05) if canary and current else None
    pointer = Pointer(current, 1, split=split) if current else Pointer("none", 0)
    base = Observation(
        now=T0 + 10,
        records={r.release: r for r in records},
        manifests={r.release: r.manifest for r in records if r.state is not State.RETIRED},
        pointer=pointer,
        published=pointer.to_publish,
        proofs={},
        running={(p.name, r.release): 1 for r in records for p in r.manifest.pools},
        left={r.release: EMPTY for r in records},
        deployments={},
    )
    return replace(base, **changes)
