"""What the history checker makes of a history, and that programs are the same for the same seed."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE

import pytest
from taskfleet.releases.model import State

from drills.history import clock, drill, seeds
from drills.history.check import violations
from drills.history.counting import counts
from drills.history.kept import keep
from drills.history.outcomes import ACCEPTED, KILLED, REFUSED
from drills.history.program import (
    ASYNCIO,
    GREENLETS,
    IN_TURN,
    Fault,
    Publish,
    PublishKind,
    Step,
    processes,
    program,
)
from drills.history.record import Broken, Execution, History, Published, ReleasesSeen
from drills.history.rig import wait_until_idle
from drills.history.seeds import Done
from drills.history.shrink import shortest_prefix
from drills.history.stalls import Stall, stalled

# A broker that hangs while the controller stands still, between two promotions; a controller that is killed,
# a half-open broker and SQS that hangs, between a promotion and a rollback, with threads.
SEEDS = (23, 15)

WATCHED = """
import json, time
from drills.history.stalls import Stalls

stalls = Stalls()
print("watches", flush=True)
input()
time.sleep(0.2)
print(json.dumps([[stall.began_at, stall.ended_at] for stall in stalls.since(0)]))
"""


def published(kind: PublishKind = PublishKind.PLAIN, outcome: str = ACCEPTED, **more: float) -> Published:
    publish = Publish(at=0, number=1, producer=0, kind=kind, queue="low", **more)  # type: ignore[arg-type]
    return Published(publish=publish, outcome=outcome, invoked_at=100.0, answered_at=100.1)


def ran(
    task: int = 0, at: float = 101.0, key: str = "a", release: str = "r1", ended: bool = True
) -> Execution:
    return Execution(
        n=1,
        task=task,
        key=key,
        release=release,
        broker="primary",
        began_at=at,
        ended_at=at + 0.1 if ended else None,
        pid=1,
    )


def history(one: Published, *executions: Execution, broken: Sequence[Broken] = ()) -> History:
    return History(
        seed=1,
        published=[one],
        executions=executions,
        broken=broken,
        pointer=[(0.0, "r1")],
        bodies={},
        left={},
    )


def fault(at: float, seconds: float = 1.0) -> Broken:
    return Broken(fault=Fault.BROKER_KILL, target="broker", began_at=at, ended_at=at + seconds)


def the_only(given: History) -> str:
    (found,) = violations(given)
    return found


def test_what_was_accepted_and_ended_once_holds() -> None:
    assert violations(history(published(), ran())) == []


@pytest.mark.parametrize("executions", [(), (ran(ended=False),)])
def test_what_was_accepted_and_never_ended_is_lost(executions: tuple[Execution, ...]) -> None:
    assert the_only(history(published(), *executions)).startswith("lost: publish 1")


def test_a_part_of_a_chain_that_never_ended_is_lost() -> None:
    assert "its tasks [2]" in the_only(history(published(PublishKind.CHAIN), ran(0), ran(1, 102)))


def test_what_was_refused_for_certain_must_not_run() -> None:
    assert the_only(history(published(outcome=REFUSED), ran())).startswith("run though refused")


def test_what_a_killed_producer_published_may_run_or_not() -> None:
    assert violations(history(published(outcome=KILLED))) == []
    assert violations(history(published(outcome=KILLED), ran())) == []


def test_a_second_end_needs_a_cause_between_publish_and_acknowledgement() -> None:
    twice = (ran(), ran(at=110))

    assert the_only(history(published(), *twice)).startswith("run again without a cause")
    assert violations(history(published(), *twice, broken=[fault(100.5)])) == []
    assert the_only(history(published(), *twice, broken=[fault(90.0)])).startswith("run again")
    assert the_only(history(published(), *twice, broken=[fault(108.0)])).startswith("run again")


def test_two_keys_are_two_effects() -> None:
    given = history(published(), ran(), ran(key="b"), broken=[fault(100.5)])

    assert the_only(given).startswith("effects not once")


def test_a_step_of_a_chain_must_not_begin_before_the_one_before_it_ended() -> None:
    given = history(published(PublishKind.CHAIN), ran(0, 101), ran(2, 101.05), ran(1, 102))

    assert any("task 2 of publish 1" in each and "out of order" in each for each in violations(given))


def test_a_body_must_get_every_result() -> None:
    chord = history(published(PublishKind.CHORD), *(ran(task, 101 + task) for task in range(4)))

    assert violations(replace(chord, bodies={1: [[0, 1, 2]]})) == []
    assert the_only(replace(chord, bodies={1: [[0, 2]]})).startswith("chord")


def test_what_ends_late_without_a_fault_is_late() -> None:
    assert the_only(history(published(), ran(at=130))).startswith("late")
    assert violations(history(published(), ran(at=130), broken=[fault(99.0)])) == []
    assert violations(history(published(PublishKind.COUNTDOWN, delay_seconds=15), ran(at=130))) == []


def test_what_the_machine_stood_still_for_is_not_late() -> None:
    late = history(published(), ran(at=130))

    assert violations(replace(late, stalls=[Stall(began_at=105, ended_at=116)])) == []
    assert the_only(replace(late, stalls=[Stall(began_at=105, ended_at=107)])).startswith("late")
    assert the_only(replace(late, stalls=[Stall(began_at=80, ended_at=99)])).startswith("late")


def test_what_waits_behind_others_is_not_late_and_what_waits_beside_idle_slots_is() -> None:
    """Of seed 6195 and of seed 5157: two slots that ran 20 tasks a second, and two a second."""
    late = history(published(), ran(at=130))

    def beside(every: float, broker: str = "primary") -> History:
        others = [
            replace(ran(at=101 + number * every), n=2, broker=broker) for number in range(int(28 / every))
        ]
        return replace(late, executions=[*late.executions, *others])

    assert violations(beside(0.2)) == []
    assert the_only(beside(1.05)).startswith("late")
    assert the_only(beside(0.2, broker="fallback")).startswith("late")


def test_a_stall_is_a_cause_while_the_task_was_under_way() -> None:
    twice = history(published(), ran(), ran(at=110))

    assert violations(replace(twice, stalls=[Stall(began_at=100.2, ended_at=100.6)])) == []
    assert the_only(replace(twice, stalls=[Stall(began_at=99, ended_at=99.9)])).startswith("run again")
    assert the_only(replace(twice, stalls=[Stall(began_at=108, ended_at=109)])).startswith("run again")


def test_a_process_that_may_not_run_notes_it() -> None:
    with subprocess.Popen([sys.executable, "-c", WATCHED], stdin=PIPE, stdout=PIPE, text=True) as watched:
        assert watched.stdout is not None
        watched.stdout.readline()
        stopped_at = time.time()
        watched.send_signal(signal.SIGSTOP)
        time.sleep(0.6)
        watched.send_signal(signal.SIGCONT)
        answer, _ = watched.communicate("\n")

    found = [Stall(began_at=began, ended_at=ended) for began, ended in json.loads(answer)]
    assert stalled(found, stopped_at, stopped_at + 0.6) > 0.4


def test_a_release_that_was_not_current_must_not_run_it() -> None:
    assert the_only(history(published(), ran(release="r2"))).startswith("wrong release")
    promoted = replace(history(published(), ran(release="r2")), pointer=[(0.0, "r1"), (103.0, "r2")])
    assert violations(promoted) == []


def test_a_producer_that_was_idle_may_know_an_older_pointer() -> None:
    moved: list[tuple[float, str]] = [(0.0, "r2"), (80.0, "r1")]
    first = replace(history(published(), ran(release="r2")), pointer=moved)
    before = replace(published(), publish=replace(published().publish, number=2), invoked_at=98.0)
    again = replace(
        first, published=[before, *first.published], executions=[ran(release="r2"), replace(ran(), n=2)]
    )

    assert violations(first) == []
    assert the_only(again).startswith("wrong release: publish 1")
    assert the_only(replace(first, pointer=[(0.0, "r2"), (60.0, "r1")])).startswith("wrong release")


def test_a_chain_stays_on_its_release() -> None:
    given = history(published(PublishKind.CHAIN), ran(0), ran(1, 102), ran(2, 103, release="r2"))

    assert any(each.startswith("two releases") for each in violations(given))


def of_releases(current: str = "r1", published: str = "r1", **states: State) -> ReleasesSeen:
    return ReleasesSeen(
        current=current, published=published, states={"r1": State.CURRENT, "r2": State.DRAINING, **states}
    )


def test_a_release_with_work_must_not_be_called_drained() -> None:
    late = history(published(), ran(at=108))

    def drained_at(at: float, release: str = "r1") -> History:
        return replace(late, releases=replace(of_releases(), drained=[(at, release)]))

    assert the_only(drained_at(106)).startswith("drained with work: r1, before the tasks [0] of publish 1")
    assert violations(drained_at(109)) == []  # it had begun
    assert violations(drained_at(100.5)) == []  # it was accepted while the controller looked
    assert violations(drained_at(106, "r2")) == []


@pytest.mark.parametrize(
    ("seen", "says"),
    [
        (of_releases(published="r2"), "producers are told r2"),
        (of_releases(r2=State.CURRENT), "release r2 is current"),
        (of_releases(r1=State.DRAINING), "release r1 is draining"),
        (of_releases(r2=State.FAILED), "release r2 is failed"),
    ],
)
def test_what_the_controller_keeps_of_releases_agrees(seen: ReleasesSeen, says: str) -> None:
    assert violations(replace(history(published(), ran()), releases=of_releases())) == []
    assert the_only(replace(history(published(), ran()), releases=seen)).startswith(says)


@pytest.mark.parametrize("which", [Fault.CONTROLLER_KILL, Fault.CONTROLLER_STOP, Fault.ROLLBACK])
def test_no_task_runs_again_or_late_because_of_the_controller(which: Fault) -> None:
    gone = Broken(fault=which, target="controller", began_at=100.5, ended_at=101.5)

    assert the_only(history(published(), ran(), ran(at=110), broken=[gone])).startswith("run again")
    assert the_only(history(published(), ran(at=130), broken=[gone])).startswith("late")


def test_what_is_left_and_dead_letters_are_named() -> None:
    given = replace(history(published(), ran()), left={"list low.r1": 2}, dead_letters=["history.step: why"])

    assert violations(given) == ["left over: 2 list low.r1", "dead letter: history.step: why"]


def test_tasks_are_counted() -> None:
    given = history(published(PublishKind.CHAIN), ran(0), ran(0, 103), ran(1, 102))

    counted = counts(given)

    assert (counted["submitted"], counted["executed"], counted["duplicates"], counted["lost"]) == (3, 2, 1, 1)


def test_a_seed_gives_one_program_and_another_seed_another() -> None:
    assert program(7) == program(7)
    assert program(7) != program(8)
    assert [step.at for step in program(7)] == sorted(step.at for step in program(7))


def test_workers_and_producers_of_every_kind_come_up() -> None:
    chosen = [processes(seed) for seed in range(200)]

    assert {each.execution for each in chosen} == {"prefork", "threads", "gevent"}
    assert {how for each in chosen for how in each.producers} == {IN_TURN, ASYNCIO, GREENLETS}


def test_every_kind_and_every_fault_comes_up() -> None:
    steps = [step for seed in range(200) for step in program(seed)]

    assert {step.kind for step in steps if isinstance(step, Publish)} == set(PublishKind)
    assert {step.fault for step in steps if not isinstance(step, Publish)} == set(Fault)


def test_what_waits_for_its_time_must_not_begin_before_it() -> None:
    delayed = published(PublishKind.COUNTDOWN, delay_seconds=3.0)
    stepped = Broken(fault=Fault.WORKER_CLOCK, target="worker +20 s", began_at=100.5, ended_at=101.5)

    assert violations(history(delayed, ran(at=103.0))) == []
    assert the_only(history(delayed, ran(at=102.8))).startswith("early: publish 1 (countdown")
    assert violations(history(delayed, ran(at=102.8), broken=[stepped])) == []


def test_no_task_runs_again_because_a_clock_was_stepped() -> None:
    stepped = Broken(fault=Fault.WORKER_CLOCK, target="worker +20 s", began_at=100.5, ended_at=101.5)

    assert the_only(history(published(), ran(), ran(at=102), broken=[stepped])).startswith("run again")
    assert violations(history(published(), ran(at=125), broken=[stepped])) == []


@pytest.mark.parametrize("seconds", [20.0, -20.0])
def test_a_clock_that_is_stepped_is_its_processs_own(tmp_path: Path, seconds: float) -> None:
    variables = clock.variables(tmp_path / "clock")
    clock.put_off(tmp_path / "clock", seconds)
    code = (
        "import time, datetime as d; true = time.clock_gettime(time.CLOCK_REALTIME); "
        "now = d.datetime.now(d.UTC); print(time.time() - true, now.timestamp() - true, "
        "isinstance(d.datetime.fromtimestamp(0), d.datetime), time.monotonic())"
    )

    said = subprocess.run([sys.executable, "-c", code], env=variables, stdout=PIPE, text=True, check=True)

    wall, aware, kind, monotonic = said.stdout.split()
    assert (float(wall), float(aware)) == (pytest.approx(seconds, abs=1), pytest.approx(seconds, abs=1))
    assert kind == "True"
    assert float(monotonic) == pytest.approx(time.monotonic(), abs=10)


def test_the_shortest_prefix_that_fails_is_found() -> None:
    steps = program(3)
    tried: list[int] = []

    def fails(some: Sequence[Step]) -> bool:
        tried.append(len(some))
        return len(some) >= 17

    assert shortest_prefix(steps, fails) == steps[:17]
    assert len(tried) < 9
    assert shortest_prefix(steps, lambda _steps: False) is None


def test_what_a_failing_seed_did_is_kept(tmp_path: Path) -> None:
    place = keep(history(published(), ran()), ["late: publish 1"], {"r1-primary": b"a line\n"}, tmp_path)

    kept = json.loads((place / "history.json").read_text())
    assert (kept["seed"], kept["found"], kept["executions"][0]["key"]) == (1, ["late: publish 1"], "a")
    assert (place / "r1-primary.log").read_text() == "a line\n"


def test_a_handful_of_seeds_holds() -> None:
    report = drill.run(SEEDS, rigs=len(SEEDS), shrink=False)

    assert report.holds, report.table()
    assert int(str(report.figures["executed"])) > 100
    assert int(str(report.figures["faults"])) >= len(SEEDS)


def test_a_seed_that_fails_or_whose_rig_does_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rigs: list[object] = []

    @contextlib.contextmanager
    def rig() -> Iterator[object]:
        rigs.append(object())
        yield rigs[-1]

    def one(_rig: object, seed: int, _stalls: object) -> Done:
        if seed == 2:
            raise TimeoutError("a worker did not start")
        found = ["lost: publish 1"] if seed == 4 else []
        return Done(seed=seed, history=history(published(), ran()), found=found, seconds=1, kept=None)

    monkeypatch.setattr(seeds, "fresh_rig", rig)
    monkeypatch.setattr(seeds, "_one", one)

    report = drill.run(range(1, 7), rigs=1, shrink=False)

    said = capsys.readouterr().out
    assert "[6/6: 4 held, 2 failed, 0 min left] seed 6: holds" in said
    assert "TimeoutError('a worker did not start')" in said
    assert report.checks[0].text == "4 of 6 seeds held: 2, 4 did not"
    assert len(rigs) == 3  # a fresh one after each that failed


def test_one_empty_look_may_have_missed_what_goes_from_one_broker_to_the_other() -> None:
    looks: Iterator[dict[str, int]] = iter([{}, {"unacked": 1}, {}, {}, {}])

    assert wait_until_idle(lambda: next(looks), 30) == {}
    assert list(looks) == []


def test_what_is_left_in_the_end_is_told() -> None:
    assert wait_until_idle(lambda: {"unacked": 1}, 0.5) == {"unacked": 1}
