"""An environment as a random history makes it, for the plan to act on; it fails where something is lost."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import TypeVar

from taskfleet.contract.limits import ANSWER_WITHIN_SECONDS
from taskfleet.contract.manifest import AUTOMATIC, Canary, ReleaseManifest
from taskfleet.controller.execute import TOO_OLD_SECONDS
from taskfleet.errors import ReleaseError
from taskfleet.releases import actions as act
from taskfleet.releases import commands
from taskfleet.releases.comparing import Comparison
from taskfleet.releases.model import LIVE, MOVES, Pointer, Record, State, registered, unmade
from taskfleet.releases.observation import Alarms, Begun, Check, Deployment, Memory, Observation, Verdict
from taskfleet.releases.plan import plan
from taskfleet.releases.store import NO_POINTER

from tests.taskfleet.releases.factory import EMPTY, T0, manifest

T = TypeVar("T")
S = State
CHECK = Check("shop.database", "low", 60)
# From the closing of a queue until SQS refuses what is sent, and until its counts are true.
SETTLES = 60.0
# Until a release that is left alone has gone on, and some looks more.
IN_TIME = {
    S.DRAINING: 3600 + 8 * 1100,
    S.ASLEEP: 7200 + 4 * 1100,
    S.DRAINED: 3600 + 4 * 1100,
    S.CANARY: 1200 + 4 * 1100,
}
WELL = Comparison(
    runs=80,
    blue_runs=900,
    bad=1,
    expected=1.0,
    by_chance=0.6,
    slower=1.0,
    longer_seconds=0.0,
    slower_by_chance=0.5,
)
WORSE = replace(WELL, bad=40, by_chance=1e-20, worst="shop.pay")
FAILS = ("its canary fails", "its bake fails")


@dataclass
class World:
    """Stacks, CloudFormation's patience, records, producers (stale ones too), workers, two controllers."""

    seed: int
    now: float = T0
    records: dict[str, Record] = field(default_factory=dict)
    pointer: Pointer = NO_POINTER
    memories: list[Memory] = field(default_factory=lambda: [Memory(), Memory()])
    stacks: dict[str, Deployment] = field(default_factory=dict)
    manifests: dict[str, ReleaseManifest] = field(default_factory=dict)
    works: dict[str, str] = field(default_factory=dict)  # how its gate goes
    proofs: dict[str, float] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    told: dict[str, list[bool]] = field(default_factory=dict)  # deployment → answers that were sent
    holds: dict[str, int] = field(default_factory=dict)  # release → messages
    counted: dict[str, int] = field(default_factory=dict)  # … as a look before saw them,
    counted_at: float = 0.0  # at this moment
    closed: dict[str, float] = field(default_factory=dict)  # release → when its queues were closed
    awake: set[str] = field(default_factory=set)
    endless: set[str] = field(default_factory=set)  # releases with tasks that never end
    parked: int = 0
    unmade: dict[str, str] = field(default_factory=dict)  # stacks that failed before their manifest → why
    begun: set[str] = field(default_factory=set)  # … that are being made
    late: Observation | None = None  # what a controller saw that then stood still
    clear: bool = False  # everything answers
    problems: tuple[str, ...] = ()
    overdue: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    def often(self, share: float) -> bool:
        return self.chance.random() < share

    # -- what happens without the controller ------------------------------------------------------

    def step(self) -> None:
        self.now += self.chance.choice([10, 10, 10, 60, 400, 1500])
        if self.often(0.25) and len(self.stacks) < 6:
            self._deploy()
        if self.unmade and self.often(0.05):
            self._deploy_again()
        self._cloudformation()
        self._publish()
        self._work()
        if self.often(0.2):
            self._person()
        if self.often(0.85):  # else the controller is down
            self.look(0)

    def _deploy(self) -> None:
        name = f"r{len(self.works)}"
        self.works[name] = self.chance.choice(
            ["well", "well", "well", "well", "never", "check fails", "check hangs", *FAILS]
        )
        judged = self.chance.choice([{}, {"canary": Canary()}, {"bake_seconds": 600}])
        if self.works[name] in FAILS or self.often(0.2):
            judged = {"canary": Canary(), "bake_seconds": 600}
        if self.often(0.1):
            self.endless.add(name)
        keeps = self.chance.choice([0, 3600])
        self.manifests[name] = manifest(
            name,
            promotion=AUTOMATIC,
            warm_seconds=3600,
            delete_after_seconds=7200,
            keep_failed_seconds=keeps,
            max_live_releases=4,
            **judged,
        )
        self.awake.add(name)
        if self.often(0.15):
            self.unmade[name] = "CREATE_FAILED: no room"
        else:
            self.begun.add(name)

    def _deploy_again(self) -> None:
        """What could not be made, mended: its stack is deleted first."""
        name = self.chance.choice(list(self.unmade))
        del self.unmade[name]
        self.manifests[name] = replace(self.manifests[name], image=f"sha256:mended-{self.now}")
        self.begun.add(name)
        self.awake.add(name)

    def _cloudformation(self) -> None:
        """It deletes what was refused or never answered, unless it was told to leave failed stacks."""
        for name in sorted(self.begun):
            if self.often(0.7):
                self.begun.remove(name)
                url = f"https://signed.invalid/{self.seed}/{name}/{self.now}"
                self.stacks[name] = Deployment(url, self.now)
        for name, waits in list(self.stacks.items()):
            answers = self.told.get(waits.id, [])
            gave_up = not answers and self.now - waits.since > ANSWER_WITHIN_SECONDS
            left_for_a_look = self.manifests[name].keep_failed_seconds
            if (gave_up or answers[:1] == [False]) and not left_for_a_look:
                self._gone(name)

    def _gone(self, name: str) -> None:
        del self.stacks[name]
        self.awake.discard(name)
        assert self.pointer.release != name, f"the current release's stack is gone ({self.seed})"

    def _publish(self) -> None:
        """To the current release; and to any other by a producer that was suspended, or is pinned to it."""
        if self.pointer.version:
            assert self.pointer.release not in self.closed, f"nothing can be published ({self.seed})"
            self.holds[self.pointer.release] = self.holds.get(self.pointer.release, 0) + 2
        if (canary := self.pointer.canary) is not None:
            assert canary not in self.closed, f"a share can't be published ({self.seed})"
            self.holds[canary] = self.holds.get(canary, 0) + 1
        if self.stacks and self.often(0.1):
            stale = self.chance.choice(list(self.stacks))
            if self.now - self.closed.get(stale, self.now) <= SETTLES:
                self.holds[stale] = self.holds.get(stale, 0) + 1

    def _work(self) -> None:
        for name in self.holds:
            record = self.records.get(name)
            if record is not None and self.holds[name] and record.state in (S.CURRENT, S.CANARY, S.DRAINING):
                self.awake.add(name)  # its alarms scale it
            if name in self.awake - self.endless:
                self.holds[name] = max(0, self.holds[name] - self.chance.choice([0, 1, 5]))

    def _person(self) -> None:
        name = self.chance.choice([*self.records, "none"])
        try:
            match self.chance.choice(["roll back", "pause", "resume", "wake", "retire", "park", "delete"]):
                case "delete":  # the stack, by hand, whatever is in it on Redis
                    if name in self.stacks and name != self.pointer.release:
                        self._gone(name)
                case "roll back" if self.pointer.split is not None:
                    self._point(
                        commands.end_canary(
                            self.records, self.pointer, at=self.now, actor="ops", reason="not now"
                        )
                    )
                case "roll back":
                    back = commands.before(self.records, self.pointer).release
                    if back in self.stacks:  # `fleet` makes sure that its workers run
                        self._promote(back)
                case "pause":
                    self._save(commands.pause(self.records, name, actor="ops"))
                case "resume":
                    self._save(commands.pause(self.records, name, actor=None))
                case "wake":
                    self._save(commands.wake(self.records, name, at=self.now, actor="ops"))
                    self.awake.add(name)
                case asked:
                    left = replace(EMPTY, waiting=self.holds.get(name, 0))
                    self._save(
                        commands.retire(
                            self.records, self.pointer, name, left=left, actor="ops", park=asked == "park"
                        )
                    )
        except ReleaseError:
            return

    def _save(self, record: Record | None) -> None:
        if record is not None:
            self.records[record.release] = record

    def _promote(self, name: str, reason: str = "bad") -> None:
        self._point(
            commands.promote(self.records, self.pointer, name, at=self.now, actor="ops", reason=reason)
        )

    def _point(self, made: commands.Promotion | None, *, both: bool = False) -> None:
        if made is None:
            return
        name = made.pointer.canary or made.pointer.release
        assert name in self.stacks, f"published to without a stack ({self.seed})"
        self.pointer = made.pointer
        self.records[made.green.release] = made.green
        if both and made.blue is not None:
            self.records[made.blue.release] = made.blue
        self.awake.add(name)

    # -- a controller ------------------------------------------------------------------------------

    def look(self, who: int) -> None:
        """A look of one of two controllers; the other may act on what it saw before, too."""
        if self.often(0.05):
            self.memories[who] = Memory()  # it was restarted
        seen = self._observe(who)
        other = self._observe(1 - who) if self.often(0.2) else None
        self._act(who, seen)
        if other is not None and self.often(0.1) and not self.clear:
            self.late = other  # it stands still for some looks, and then acts on what it saw
        elif other is not None:
            self._act(1 - who, other)
        if self.late is not None and self.often(0.3):
            self._act(1 - who, self.late)
            self.late = None
        self.counted, self.counted_at = dict(self.holds), self.now

    def _observe(self, who: int) -> Observation:
        standing = {name: self.manifests[name] for name in self.stacks}
        for name, way in self.works.items():
            sent = [key for key in self.memories[who].gates_sent if f".{name}" in key]
            if way != "never" and name in self.stacks:
                self.proofs.update(dict.fromkeys(sent, self.now - 1))
        blind = 0.5 if self.clear else self.chance.random()
        # SQS' counts lag behind, by less than a queue takes to be closed. Those of Redis, which alone has
        # messages of a release whose stack is gone, do not.
        lags = self.often(0.1) and self.now - self.counted_at <= SETTLES
        lagging = self.counted if lags else self.holds
        counts = {
            name: (lagging if name in self.stacks else self.holds).get(name, 0) for name in self.records
        }
        failed = {name: Begun(self.manifests[name], why) for name, why in self.unmade.items()}
        begun = failed | {name: Begun(self.manifests[name]) for name in self.begun}
        unread = 0.0 if self.clear else self.chance.random()
        return Observation(
            now=self.now,
            records=dict(self.records),
            manifests=None if blind < 0.05 else standing,
            pointer=self.pointer,
            published=None if unread > 0.95 else self.pointer.to_publish,
            leases=None if 0.9 < unread < 0.95 else (),
            begun=None if blind < 0.05 or 0.85 < unread < 0.9 else begun,
            comparisons=self._judged(WELL, WORSE, "its canary fails"),
            alarms=self._judged(Alarms(), Alarms(ringing=("low",)), "its bake fails"),
            proofs=dict(self.proofs),
            running={(p.name, name): 1 for name, made in standing.items() for p in made.pools},
            left={
                name: replace(EMPTY, waiting=None if blind > 0.95 else counts.get(name, 0))
                for name, known in self.records.items()
                if known.state in LIVE
            },
            deployments=None if 0.05 < blind < 0.1 else dict(self.stacks),
            checks={n: (CHECK,) for n, way in self.works.items() if way.startswith("check")},
            verdicts=dict(self.verdicts),
            awake=None if 0.1 < blind < 0.15 else {name: (f"low-{name}",) for name in self.awake},
        )

    def _judged(self, well: T, bad: T, way: str) -> dict[str, T]:
        """Of each release; sometimes it is not known, and sometimes it is too early to tell."""
        known = [name for name in self.works if self.clear or self.often(0.8)]
        return {name: bad if self.works[name] == way and self.often(0.7) else well for name in known}

    def _act(self, who: int, seen: Observation) -> None:
        """Up to five rounds, as the controller does."""
        for _ in range(5):
            planned = plan(seen, self.memories[who])
            before = dict(seen.records), seen.pointer
            # `taskfleet.controller.execute` leaves what was seen too long ago to the next look.
            for action in planned.actions if self.now - seen.now <= TOO_OLD_SECONDS else ():
                if self.often(0.95):  # else it did not work, and the next look does it
                    self._do(action, seen)
            self.memories[who] = planned.memory
            self.problems, self.overdue = planned.problems, planned.overdue
            seen = replace(seen, records=dict(self.records), pointer=self.pointer)
            if (dict(seen.records), seen.pointer) == before:
                break

    def _do(self, action: object, seen: Observation) -> None:
        name = getattr(action, "release", "")
        if self.records.get(name) != seen.records.get(name) and not isinstance(action, act.Answer):
            return  # somebody else wrote its record since: the conditional write fails, or the look before it
        match action:
            case act.Register(made) | act.Unmade(made, _):
                before = self.records.get(made.release)
                if before == seen.records.get(made.release):
                    self._born(action, made, before)
            case act.Move(_, to, reason):
                if to is S.RETIRED:
                    assert not self.holds.get(name), f"retired with work in it ({self.seed})"
                if to in MOVES[self.records[name].state]:
                    self.records[name] = self.records[name].moved(
                        to, at=self.now, actor="controller", reason=reason
                    )
            case act.PassGate(_, took):
                self._change(name, gate_passed_at=self.now, gate_took=took)
            case act.SendCheck(task=task, registered=which) as check:
                ended = self.now if self.works[name] == "check fails" else None
                if self.verdicts.get(check.key, Verdict("", 0)).registered != which:
                    self.verdicts[check.key] = Verdict(which, self.now, ended, f"KeyError: {task}")
            case act.Await(_, deployment):
                self._change(name, deployment=deployment)
            case act.Answer(_, deployment, url, success, _):
                if url is not None and self.records[name].answered != deployment:
                    self.told.setdefault(deployment, []).append(success)
                self._change(name, answered=deployment)
            case act.Promote() | act.StartCanary() | act.EndCanary() | act.RollBack():
                try:
                    self._moves_the_pointer(action, name)
                except ReleaseError:
                    return
            case act.EndBake(_, reason):
                self.records[name] = self.records[name].baked(reason, at=self.now, actor="controller")
            case _:
                self._rest(action, name)

    def _born(self, action: object, made: ReleaseManifest, before: Record | None) -> None:
        new = {"at": self.now, "actor": "controller", "before": before}
        if isinstance(action, act.Unmade):
            self.records[made.release] = unmade(made, reason=action.reason, **new)
        else:
            self.records[made.release] = registered(made, **new)

    def _moves_the_pointer(self, action: object, name: str) -> None:
        by = {"at": self.now, "actor": "controller", "reason": getattr(action, "reason", "")}
        match action:
            case act.Promote():
                assert self.records[name].rejected is None, f"current though it was rejected ({self.seed})"
                self._promote(name, by["reason"])
            case act.StartCanary():
                self._point(commands.start_canary(self.records, self.pointer, name, **by))
            case act.EndCanary(_, _, rejected) if self.pointer.canary == name:
                self._point(commands.end_canary(self.records, self.pointer, **by, rejected=rejected))
            case act.RollBack(_, to) if self.pointer.release == name:
                self._point(commands.roll_back(self.records, self.pointer, to, **by), both=True)

    def _rest(self, action: object, name: str) -> None:
        match action:
            case act.Close():
                told = (self.pointer.release, self.pointer.canary)
                assert name not in told, f"it is published to and closed ({self.seed})"
                self.closed.setdefault(name, self.now)
                if self.records[name].closed_at is None:
                    self._change(name, closed_at=self.now)
            case act.Reopen():
                self.closed.pop(name, None)
                self._change(name, closed_at=None)
            case act.Sleep():
                assert self.pointer.canary != name, f"a release in its canary sleeps ({self.seed})"
                needed = any(r.goes_back_to == name for r in self.records.values())
                asked = self.records[name].retiring is not None
                assert asked or not needed, f"asleep, though it may be gone back to ({self.seed})"
                assert self.pointer.release != name, f"the current release sleeps ({self.seed})"
                self.awake.discard(name)
            case act.Retire(_, actor):
                self._change(name, retiring=actor)
            case act.Park():
                assert self.records[name].parking, f"parked unasked ({self.seed})"
                self.parked += self.holds.pop(name, 0)
            case act.Delete():
                assert not self.holds.get(name), f"deleted with work in it ({self.seed})"
                assert self.now - self.closed[name] > SETTLES, (
                    f"deleted while it took publishes ({self.seed})"
                )
                if name in self.stacks:
                    self._gone(name)
                elif self.unmade.pop(name, None):
                    self.awake.discard(name)

    def _change(self, name: str, **changes: object) -> None:
        record = self.records[name]
        self.records[name] = replace(record, version=record.version + 1, **changes)  # type: ignore[arg-type]

    # -- what must hold ----------------------------------------------------------------------------

    def check(self) -> None:
        assert all(len(answers) == 1 for answers in self.told.values()), f"answered twice ({self.seed})"

    def settle(self) -> None:
        """Left alone, with a controller and workers that work, for twelve hours."""
        for _ in range(40):
            self.now += 1100
            self._cloudformation()
            self._work()
            for name in self.awake - self.endless:
                self.holds[name] = 0
            self.look(0)
            self.check()
        self.clear = True
        self.look(0)
        for name, waits in self.stacks.items():
            made = self.records[name]
            assert made.state not in (S.REGISTERED, S.GATING) or made.gate_passed_at, f"{name} ({self.seed})"
            assert waits.id == made.answered, f"{name} is not answered ({self.seed})"
        for name in self.unmade:
            assert self.records[name].state is S.FAILED, f"nobody knows {name} ({self.seed})"
            assert self.records[name].paused, f"what is left of {name} stays ({self.seed})"
            assert name not in self.awake, f"what is left of {name} runs ({self.seed})"
        paused = self.pointer.canary and self.records[self.pointer.canary].paused
        assert self.pointer.split is None or paused, f"its canary has no end ({self.seed})"
        for record in self.records.values():
            assert record.goes_back_to is None or record.paused, f"its bake has no end ({self.seed})"
        current = [r.release for r in self.records.values() if r.state is S.CURRENT]
        assert current == [self.pointer.release][: self.pointer.version], f"{current} ({self.seed})"
        for record in self.records.values():
            in_time = self.now - record.since < IN_TIME.get(record.state, 0)
            at_rest = record.state in (S.CURRENT, S.RETIRED) or record.paused is not None or record.ready
            said = record.release in self.overdue or any(
                f"release {record.release} " in problem for problem in self.problems
            )
            assert at_rest or in_time or said, (
                f"{record.release} is {record.state}, and nobody says why ({self.seed})"
            )
