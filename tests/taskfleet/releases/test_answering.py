"""What a deploy is told, and what becomes current by itself: tables, and random histories."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field, replace

import pytest
from taskfleet.contract.limits import ANSWER_WITHIN_SECONDS
from taskfleet.contract.manifest import AUTOMATIC
from taskfleet.errors import ReleaseError
from taskfleet.releases import commands
from taskfleet.releases.actions import Answer, Await, Move, PassGate, Promote, Register, SendGate
from taskfleet.releases.model import LIVE, Pointer, Record, State, registered
from taskfleet.releases.observation import Deployment, Memory, Observation
from taskfleet.releases.plan import plan
from taskfleet.releases.store import NO_POINTER

from tests.taskfleet.releases.factory import EMPTY, T0, manifest, record, seen

S = State
WAITS = Deployment("https://signed.invalid/1", T0)
ID = WAITS.id
DEPLOYING = {"deployments": {"green": WAITS}}
AUTO = manifest(promotion=AUTOMATIC)
BLUE = record("blue", S.CURRENT, at=T0 - 100, answered="b", deployment="b")


def _green(state: State = S.GATING, **changes: object) -> Record:
    return record(state=state, **{"deployment": ID, "manifest": AUTO, **changes})  # type: ignore[arg-type]


def _answer(success: bool, reason: str, url: str | None = WAITS.url) -> Answer:
    return Answer("green", ID, url, success, reason)


PASSED = _green(gate_passed_at=T0 + 5)
ANSWERED = replace(PASSED, answered=ID)
LATE = {"now": T0 + ANSWER_WITHIN_SECONDS}
OTHER = {"manifests": {"green": manifest(image="sha256:other"), "blue": BLUE.manifest}}

CASES = {
    "a deployment that turns up is noted": (
        seen(_green(deployment=""), BLUE, **DEPLOYING),
        [
            Await("green", ID),
            *(
                SendGate("green", queue, broker)
                for broker in ("primary", "fallback")
                for queue in ("high", "low", "etl")
            ),
        ],
    ),
    "the gate has passed: the deploy ends well, and nothing is promoted before": (
        seen(PASSED, BLUE, **DEPLOYING),
        [_answer(True, "the gate of release green has passed: it becomes current")],
    ),
    "answered: it becomes current": (
        seen(ANSWERED, BLUE, **DEPLOYING),
        [Promote("green", "its gate has passed")],
    ),
    "the first release of an environment as well": (
        seen(ANSWERED, **DEPLOYING),
        [Promote("green", "the first release of the environment")],
    ),
    "… and not before it is answered": (
        seen(PASSED, **DEPLOYING),
        [_answer(True, "the gate of release green has passed: it becomes current")],
    ),
    "deployments unknown: nothing is promoted": (seen(ANSWERED, BLUE, deployments=None), []),
    "a stack of an earlier version, where nothing waits": (
        seen(record(state=S.GATING, gate_passed_at=T0, manifest=AUTO), BLUE),
        [Promote("green", "its gate has passed")],
    ),
    "promoted by hand: the deploy ends well, and it waits": (
        seen(replace(PASSED, manifest=manifest()), BLUE, **DEPLOYING),
        [
            _answer(
                True,
                "the gate of release green has passed: `fleet release promote green --yes` makes it current",
            )
        ],
    ),
    "… until somebody promotes it": (seen(replace(ANSWERED, manifest=manifest()), BLUE, **DEPLOYING), []),
    "a failed gate fails the deploy": (
        seen(_green(S.FAILED), BLUE, **DEPLOYING),
        [_answer(False, "release green failed: for the test")],
    ),
    "answered once": (seen(replace(_green(S.FAILED), answered=ID), BLUE, **DEPLOYING), []),
    "a failed one that is deployed again is gated again": (
        seen(replace(_green(S.FAILED), answered="old", deployment="old"), BLUE, **DEPLOYING),
        [Await("green", ID), Move("green", S.REGISTERED, "its stack was deployed again")],
    ),
    "an id that is taken": (
        seen(
            replace(_green(S.RETIRED), retiring=None),
            BLUE,
            **DEPLOYING,
            manifests=OTHER["manifests"],
        ),
        [
            _answer(
                False,
                "release id green is taken by the image sha256:green and was deployed again with "
                "sha256:other: an id is never reused; deploy the new image under its own id",
            )
        ],
    ),
    "overtaken by a release that was deployed later": (
        seen(PASSED, replace(BLUE, history=record("blue", S.CURRENT, at=T0 + 1).history), **DEPLOYING),
        [_answer(False, "release blue became current meanwhile, so release green does not")],
    ),
    "not current again after somebody went back": (
        seen(
            ANSWERED,
            record("blue", S.DRAINING, at=T0 - 100).moved(S.CURRENT, at=T0 + 6, actor="ops", reason="bad"),
            pointer=Pointer("blue", 3, at=T0 + 6),
            **DEPLOYING,
        ),
        [],
    ),
    "too late: CloudFormation has given up or is about to": (
        seen(PASSED, BLUE, **DEPLOYING, **LATE),
        [Move("green", S.FAILED, "its deploy ended before its gate had passed")],
    ),
    "too late and failed: nobody is told": (
        seen(_green(S.FAILED), BLUE, **DEPLOYING, **LATE),
        [_answer(False, "nobody waits for it any more", None)],
    ),
}


@pytest.mark.parametrize(("look", "actions"), CASES.values(), ids=CASES.keys())
def test_what_is_seen_decides_what_a_deploy_is_told(look: Observation, actions: list[object]) -> None:
    assert list(plan(look, Memory()).actions) == actions


def test_of_two_that_may_the_newest_becomes_current() -> None:
    later = record("later", S.GATING, at=T0 + 3, gate_passed_at=T0 + 5, manifest=manifest("later"))
    later = replace(later, manifest=manifest("later", promotion=AUTOMATIC))
    look = seen(replace(ANSWERED, deployment="", answered=""), later, BLUE)
    assert list(plan(look, Memory()).actions) == [Promote("later", "its gate has passed")]


def test_a_release_whose_deploy_has_not_ended_is_not_promoted_by_hand() -> None:
    with pytest.raises(ReleaseError, match="its deploy has not ended"):
        commands.promote(
            {"green": PASSED, "blue": BLUE}, Pointer("blue", 1), "green", at=T0, actor="ops", reason="now"
        )


def test_who_waits_is_kept_by_an_id_that_nobody_can_answer_with() -> None:
    assert WAITS.url not in repr(Await("green", WAITS.id))
    assert Deployment(WAITS.url + "x", T0).id != WAITS.id


@dataclass
class World:
    """An environment as a random history makes it: stacks, CloudFormation's patience, records, producers."""

    seed: int
    now: float = T0
    records: dict[str, Record] = field(default_factory=dict)
    pointer: Pointer = NO_POINTER
    memory: Memory = field(default_factory=Memory)
    stacks: dict[str, Deployment] = field(default_factory=dict)
    works: dict[str, bool] = field(default_factory=dict)  # whether its gate can pass
    proofs: dict[str, float] = field(default_factory=dict)
    told: dict[str, list[bool]] = field(default_factory=dict)  # deployment → answers that were sent
    holds: dict[str, int] = field(default_factory=dict)  # release → messages
    taken_back: set[str] = field(default_factory=set)  # stacks that CloudFormation deleted

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    def step(self) -> None:
        """What people, CloudFormation and workers do, then a look."""
        self.now += self.chance.choice([10, 10, 10, 60, 400, 1500])
        if self.chance.random() < 0.25 and len(self.stacks) < 4:
            self._deploy()
        for name, waits in list(self.stacks.items()):
            answers = self.told.get(waits.id, [])
            gave_up = not answers and self.now - waits.since > ANSWER_WITHIN_SECONDS
            if (gave_up or answers[:1] == [False]) and name not in self.taken_back:
                self.taken_back.add(name)
                del self.stacks[name]
                assert self.pointer.release != name, f"the current release's stack is gone ({self.seed})"
        for name in self.holds:
            self.holds[name] = max(0, self.holds[name] - self.chance.choice([0, 1, 5]))
        if self.chance.random() < 0.1:
            self._roll_back()
        if self.chance.random() < 0.85:  # else the controller is down
            self._look()
        if self.pointer.version:
            self.holds[self.pointer.release] = self.holds.get(self.pointer.release, 0) + 2

    def _deploy(self) -> None:
        name = f"r{len(self.works)}"
        self.works[name] = self.chance.random() < 0.7
        self.stacks[name] = Deployment(f"https://signed.invalid/{self.seed}/{name}", self.now)

    def _roll_back(self) -> None:
        try:
            back = commands.before(self.records, self.pointer)
            made = commands.promote(
                self.records, self.pointer, back.release, at=self.now, actor="ops", reason="bad"
            )
        except ReleaseError:
            return
        if made:
            self._promoted(made)

    def _promoted(self, made: commands.Promotion) -> None:
        assert made.green.release in self.stacks, f"promoted without a stack ({self.seed})"
        self.pointer = made.pointer
        self.records[made.green.release] = made.green

    def _observe(self) -> Observation:
        manifests = {name: manifest(name, promotion=AUTOMATIC) for name in self.stacks}
        for name, works in self.works.items():
            sent = [key for key in self.memory.gates_sent if f".{name}" in key]
            if works and name in self.stacks:
                self.proofs.update(dict.fromkeys(sent, self.now - 1))
        blind = self.chance.random()
        return Observation(
            now=self.now,
            records=dict(self.records),
            manifests=None if blind < 0.05 else manifests,
            pointer=self.pointer,
            published=self.pointer.release,
            proofs=dict(self.proofs),
            running={(p.name, name): 1 for name, made in manifests.items() for p in made.pools},
            left={
                name: replace(EMPTY, waiting=None if blind > 0.95 else self.holds.get(name, 0))
                for name, known in self.records.items()
                if known.state in LIVE
            },
            deployments=None if 0.05 < blind < 0.1 else dict(self.stacks),
        )

    def _look(self) -> None:
        look = self._observe()
        for _ in range(5):
            before = dict(self.records), self.pointer
            planned = plan(replace(look, records=dict(self.records), pointer=self.pointer), self.memory)
            for action in planned.actions:
                if self.chance.random() > 0.05:  # else it did not work, and the next look does it
                    self._do(action)
            self.memory = planned.memory
            if (dict(self.records), self.pointer) == before:
                break

    def _do(self, action: object) -> None:
        match action:
            case Register(made):
                self.records[made.release] = registered(made, at=self.now, actor="controller")
            case Move(name, to, reason):
                if to is S.RETIRED:
                    assert not self.holds.get(name), f"retired with work in it ({self.seed})"
                self.records[name] = self.records[name].moved(
                    to, at=self.now, actor="controller", reason=reason
                )
            case PassGate(name, took):
                self._change(name, gate_passed_at=self.now, gate_took=took)
            case Await(name, deployment):
                self._change(name, deployment=deployment)
            case Answer(name, deployment, url, success, _):
                if url is not None:
                    self.told.setdefault(deployment, []).append(success)
                self._change(name, answered=deployment)
            case Promote(name, reason):
                made = commands.promote(
                    self.records, self.pointer, name, at=self.now, actor="controller", reason=reason
                )
                if made:
                    self._promoted(made)

    def _change(self, name: str, **changes: object) -> None:
        self.records[name] = replace(self.records[name], **changes)  # type: ignore[arg-type]

    def check(self) -> None:
        assert all(len(answers) == 1 for answers in self.told.values()), f"answered twice ({self.seed})"


HISTORIES = int(os.environ.get("TASKFLEET_TEST_HISTORIES", "300"))


@pytest.mark.parametrize("block", range(4))
def test_no_history_takes_the_current_release_away_or_leaves_a_deploy_without_its_answer(block: int) -> None:
    became_current = 0
    for seed in range(block, HISTORIES, 4):
        world = World(seed)
        for _ in range(40):
            world.step()
            world.check()
        # Left alone and with a controller, each deploy comes to its end, and nothing stays in between.
        for _ in range(3 * ANSWER_WITHIN_SECONDS // 400):
            world.now += 400
            world._look()
        for name, waits in world.stacks.items():
            made = world.records[name]
            assert made.state not in (S.REGISTERED, S.GATING) or made.gate_passed_at, f"{name} ({seed})"
            assert waits.id == made.answered, f"{name} is not answered ({seed})"
        became_current += world.pointer.version
        current = [r.release for r in world.records.values() if r.state is S.CURRENT]
        assert current == [world.pointer.release][: world.pointer.version], f"{current} ({seed})"
    assert became_current > HISTORIES / 4, "the histories reach what they are to check"
