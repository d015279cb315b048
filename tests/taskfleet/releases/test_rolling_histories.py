"""The plan through random deploys of builds into one release, with lost looks and actions that fail."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field, replace
from typing import TypeVar

import pytest
from taskfleet.contract.manifest import AUTOMATIC, ReleaseManifest
from taskfleet.contract.names import ROLLING
from taskfleet.releases import commands
from taskfleet.releases.actions import (
    Action,
    Answer,
    Await,
    FailGate,
    Move,
    PassGate,
    Promote,
    Register,
    Renew,
    Roll,
    SendGate,
)
from taskfleet.releases.gating import wanted
from taskfleet.releases.model import Pointer, Record, State, registered
from taskfleet.releases.observation import Deployment, Memory, Observation, Rules
from taskfleet.releases.plan import plan

from tests.taskfleet.releases.factory import EMPTY, T0, manifest

T = TypeVar("T")
HISTORIES = int(os.environ.get("TASKFLEET_TEST_HISTORIES", "300"))
LOOKS, EACH_SECONDS = 150, 30.0
RULES = Rules(gate_deadline_seconds=300)


@dataclass
class World:
    """CloudFormation, which updates one stack, and a controller whose writes may fail.

    ``passes`` are the builds whose workers run the gate tasks.
    """

    chance: random.Random
    now: float = T0
    record: Record | None = None
    pointer: Pointer = field(default_factory=lambda: Pointer("none", 0))
    memory: Memory = field(default_factory=Memory)
    passes: set[str] = field(default_factory=set)
    proofs: dict[str, float] = field(default_factory=dict)
    # What the stack has, what it had when it was complete last, and whether it waits.
    deployed: tuple[ReleaseManifest, Deployment] | None = None
    complete: tuple[ReleaseManifest, Deployment] | None = None
    manifest: ReleaseManifest | None = None
    deployment: Deployment | None = None
    waits: bool = False
    answers: list[tuple[str, bool]] = field(default_factory=list)
    builds: int = 0

    def deploy(self) -> None:
        """Another build; the parameters follow one after the other."""
        self.builds += 1
        build = f"s{self.builds}"
        if self.chance.random() < 0.6:
            self.passes.add(build)
        made = manifest(ROLLING, build=build, image=build, promotion=AUTOMATIC)
        self.deployed = made, Deployment(f"https://{build}", self.now, build)
        self.waits = True

    def settle(self) -> None:
        """One of the two parameters, or both."""
        wanted_manifest, wanted_deployment = self.deployed or (None, None)
        if self.chance.random() < 0.7:
            self.deployment = wanted_deployment
        if self.deployment == wanted_deployment and self.chance.random() < 0.7:
            self.manifest = wanted_manifest

    def look(self) -> None:
        seen = Observation(
            now=self.now,
            records={ROLLING: self.record} if self.record else {},
            manifests=self._or_lost({ROLLING: self.manifest} if self.manifest else {}),
            pointer=self.pointer,
            published=self.pointer.release,
            proofs=dict(self.proofs),
            running=self._or_lost({(pool, ROLLING): 1 for pool in ("high", "low")}),
            left={ROLLING: EMPTY},
            deployments=self._or_lost({ROLLING: self.deployment} if self.deployment else {}),
        )
        planned = plan(seen, self.memory, RULES)
        self.memory = planned.memory if self.chance.random() < 0.9 else Memory()
        for action in planned.actions:
            if self.chance.random() < 0.9:
                self.do(action)

    def _or_lost(self, value: T) -> T | None:
        return value if self.chance.random() < 0.9 else None

    def do(self, action: Action) -> None:
        record = self.record
        if isinstance(action, Register):
            self.record = registered(action.manifest, at=self.now, actor="controller")
            return
        assert record is not None
        match action:
            case Move(_, to, reason):
                self.record = record.moved(to, at=self.now, actor="controller", reason=reason)
            case Renew(made):
                self.record = replace(record, manifest=made)
            case Roll(made):
                self.record = record.rolled(made, at=self.now, actor="controller")
            case Await(_, deployment):
                self.record = replace(record, deployment=deployment)
            case PassGate(_, took):
                self.record = replace(record, gate_passed_at=self.now, gate_took=took)
            case FailGate(_, reason):
                self.record = replace(record, gate_failed=reason)
            case Promote(release, reason):
                promotion = commands.promote(
                    {ROLLING: record}, self.pointer, release, at=self.now, actor="controller", reason=reason
                )
                if promotion:
                    self.pointer, self.record = promotion.pointer, promotion.green
            case SendGate():
                if action.build in self.passes and self.manifest and self.manifest.build == action.build:
                    self.proofs[action.key] = self.now
            case Answer(_, deployment, url, success, _):
                if url is not None:
                    self.answered(deployment, success)
                kept = {"kept": deployment} if success else {}
                self.record = replace(record, answered=deployment, **kept)

    def answered(self, id: str, success: bool) -> None:
        """CloudFormation hears it once, and goes back from what failed."""
        if not self.waits or self.deployed is None or self.deployed[1].id != id:
            return
        build = str(self.deployed[0].build)
        self.answers.append((build, success))
        assert success == (build in self.passes), f"{build} was answered with {success}"
        self.waits = False
        if success:
            self.complete = self.deployed
        elif self.complete is not None:
            self.deployed = self.complete[0], replace(self.complete[1], since=self.now)
        else:
            self.deployed = None  # a create that failed: nothing is left


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_each_deploy_is_answered_for_its_own_build_and_the_release_stays_current(seed: int) -> None:
    world = World(random.Random(seed))
    was_current = False
    for number in range(LOOKS):
        if not world.waits and number < LOOKS - 60 and world.chance.random() < 0.1:
            world.deploy()
        world.settle()
        world.look()
        world.now += EACH_SECONDS
        was_current |= world.record is not None and world.record.state is State.CURRENT
        if was_current:
            assert world.record is not None
            assert world.record.state is State.CURRENT
            assert world.pointer.release == ROLLING
    assert not world.waits, "its last deploy was answered"
    assert len(world.answers) == world.builds
    if world.complete is not None:
        assert world.record is not None
        assert world.record.manifest == world.complete[0]
        assert world.record.gate_passed_at is not None
        assert world.record.deployed


def test_the_gate_of_a_build_is_asked_of_its_workers() -> None:
    one = registered(manifest(ROLLING, build="s1"), at=T0, actor="controller")
    assert {gate.build for gate in wanted(one, RULES.gate_brokers)} == {"s1"}
