"""Releases that are rolled: one release, and each build is deployed into its stack, on the same queues. Pure.

ECS replaces the workers one by one before the controller sees the new build. Its gate then proves the new
workers, and CloudFormation goes back to the build before where it fails.
"""

from __future__ import annotations

from collections.abc import Iterator

from taskfleet.contract.manifest import ReleaseManifest
from taskfleet.releases.actions import Action, Roll
from taskfleet.releases.model import Record, State
from taskfleet.releases.observation import Deployment, Observation

# Another release is current, or was: it is not deployed into.
_DRAINS = frozenset({State.DRAINING, State.DRAINED, State.ASLEEP})


def other_build(record: Record, seen: Observation) -> ReleaseManifest | None:
    """The manifest of the build in the release's stack, if the record has another."""
    deployed = (seen.manifests or {}).get(record.release)
    if deployed is None or deployed.build is None or deployed.build == record.manifest.build:
        return None
    return deployed


def rolling(record: Record, seen: Observation) -> Iterator[Action]:
    """Begin with another build, if it may be deployed there."""
    deployed = other_build(record, seen)
    if deployed is None or refusal(record, seen) is not None:
        return
    if record.state is not State.CURRENT or seen.pointer.release == record.release:
        yield Roll(deployed)


def refusal(record: Record, seen: Observation) -> str | None:
    """Why another build can't be deployed into this release; None if it can, or if there is none."""
    deployed = other_build(record, seen)
    if deployed is None:
        return None
    if record.state in _DRAINS:
        return (
            f"release {record.release} is {record.state}, since release {seen.pointer.release} is current: "
            f"once it is retired (fleet release retire {record.release} --yes), deploy it again"
        )
    removed = sorted(set(record.manifest.queues) - set(deployed.queues))
    if removed and record.state is State.CURRENT:
        return (
            f"build {deployed.build} has no queues {', '.join(removed)}, and what is in them would not run: "
            "keep them in their pool. A release of its own takes queues out: releases=Releases.VERSIONED"
        )
    return None


def in_gate(record: Record) -> bool:
    """Whether its gate, or that of another build in it, is still to pass."""
    rolls = record.state is State.CURRENT and record.manifest.build is not None
    return (record.state is State.GATING or rolls) and record.gate_passed_at is None


def of_another_build(deployment: Deployment, record: Record) -> bool:
    """Whether the record has not come to this deployment yet, or CloudFormation is going back from it."""
    return deployment.build != (record.manifest.build or "")
