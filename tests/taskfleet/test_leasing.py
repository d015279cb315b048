"""A producer's lease, and what a process that stood still past it may still publish on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from taskfleet import boot_clock
from taskfleet.contract import parameters
from taskfleet.contract.leases import (
    ASKING_SECONDS,
    LEASE_SECONDS,
    STATIC_SECONDS,
    UNLEASED_SECONDS,
)
from taskfleet.errors import PointerStale
from taskfleet.publishing.groups import GroupReleases
from taskfleet.publishing.leasing import ProducerLease, Who
from taskfleet.publishing.pointer import KEEP_SECONDS, Releases
from taskfleet.releases.lease import Lease
from taskfleet.releases.leases import Leases

from tests.support.ministack import MiniStack
from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet
from tests.taskfleet.test_pointer import Ssm

POINTER = parameters.current_release("dev")


@pytest.fixture
def ssm() -> Ssm:
    made = Ssm()
    made.deploy("r1")
    return made


class LeaseStore(list[Lease]):
    """A store that may be away."""

    away = False

    def write(self, lease: Lease) -> None:
        if self.away:
            raise OSError("away")
        self.append(lease)

    def forget(self, process: str) -> None:
        self[:] = [each for each in self if each.process != process]


def lease_of(ssm: Ssm, releases: Releases, store: Any, **more: Any) -> ProducerLease:
    made = ProducerLease(
        Who("web-1", os.getpid(), "shop"),
        store,
        releases,
        clock=lambda: ssm.now,
        **{"bound_release": None} | more,
    )
    made._runs = True  # renewed by the test
    return made


def test_the_clock_is_one_that_goes_on_while_the_machine_sleeps() -> None:
    assert getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC) == boot_clock._CLOCK
    assert boot_clock.now() == pytest.approx(time.clock_gettime(boot_clock._CLOCK), abs=1)


def test_who_was_suspended_past_its_lease_reads_the_pointer_before_it_publishes(ssm: Ssm) -> None:
    releases = ssm.releases()
    releases.current()
    releases.leased(ssm.now)
    ssm.deploy("r2")
    ssm.now += LEASE_SECONDS + 1

    assert releases.current() == "r2"


def test_who_was_suspended_past_its_lease_refuses_while_the_pointer_can_not_be_read(ssm: Ssm) -> None:
    releases = ssm.releases()
    releases.current()
    releases.leased(ssm.now)
    ssm.away.add(POINTER)
    ssm.now += LEASE_SECONDS - 1
    assert releases.current() == "r1", "the controller knows its lease"
    ssm.now += ASKING_SECONDS + 1

    for _ in range(3):
        with pytest.raises(
            PointerStale, match=r"suspended or idle past its lease of 300 s.*r1 may have drained"
        ):
            releases.current()
        ssm.now += KEEP_SECONDS

    ssm.away.clear()
    ssm.now += KEEP_SECONDS
    assert releases.current() == "r1"


def test_an_answer_is_as_old_as_its_question(ssm: Ssm) -> None:
    """Suspended while it read: what comes out of the socket then was true before."""
    releases = ssm.releases()
    read = ssm.read

    def suspended(*names: str) -> list[str | None]:
        value = read(*names)
        if names[0] == POINTER and ssm.now == 0:
            ssm.now += UNLEASED_SECONDS + 1
            ssm.deploy("r2")
        return value

    releases._read = suspended

    assert releases.current() == "r2"


def test_who_goes_on_asking_goes_on_publishing_for_four_hours(ssm: Ssm) -> None:
    releases = ssm.releases()
    releases.current()
    ssm.away.add(POINTER)
    while ssm.now + ASKING_SECONDS < STATIC_SECONDS:
        ssm.now += ASKING_SECONDS - KEEP_SECONDS
        assert releases.current() == "r1"

    ssm.now += ASKING_SECONDS
    with pytest.raises(PointerStale):
        releases.current()


def test_a_worker_is_bound_to_its_release_and_has_no_lease_to_be_past(ssm: Ssm) -> None:
    releases = Releases("dev", ssm.read, lambda: ssm.now, bound=True)
    releases.current()
    ssm.away.add(POINTER)
    ssm.now += STATIC_SECONDS + 1

    assert releases.current() == "r1"


def test_a_group_that_was_begun_before_a_suspension_is_not_remembered() -> None:
    now = 0.0
    groups = GroupReleases(lambda: now)
    options = {"headers": {"group": "g"}}
    groups.note(options, "r1")
    now += LEASE_SECONDS
    assert groups.of(options) == "r1"
    now += 1
    assert groups.of(options) is None


def test_a_lease_says_which_releases_were_published_to_and_the_one_that_is_current_now(ssm: Ssm) -> None:
    releases, kept = ssm.releases(), LeaseStore()
    lease = lease_of(ssm, releases, kept)
    lease.used(releases.current())
    lease._renew()
    ssm.deploy("r2")
    lease._renew()
    lease.used("r1")  # named, though another is current
    lease._renew()

    assert [each.releases for each in kept] == [("r1",), ("r2",), ("r1", "r2")]
    assert kept[-1].until - time.time() == pytest.approx(LEASE_SECONDS, abs=5)
    assert (kept[-1].application, kept[-1].pid, kept[-1].pinned) == ("shop", os.getpid(), False)
    lease.end()
    assert not kept, "taken back"


def test_a_pinned_process_says_so_and_asks_for_no_pointer(ssm: Ssm) -> None:
    releases, kept = ssm.releases(), LeaseStore()
    ssm.away.add(POINTER)
    lease_of(ssm, releases, kept, bound_release="r0")._renew()

    assert [(each.releases, each.pinned) for each in kept] == [(("r0",), True)]


def test_a_lease_that_can_not_be_written_is_said_once_and_extends_nothing(
    ssm: Ssm, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", logger="taskfleet")  # whatever level a test before has left
    releases, kept = ssm.releases(), LeaseStore()
    releases.current()
    lease = lease_of(ssm, releases, kept)
    kept.away = True
    for _ in range(3):
        lease._renew()

    assert [record.levelname for record in caplog.records].count("WARNING") == 1
    assert releases._lease.get().until < ssm.now
    lease.end()


def test_one_write_a_process_and_minute_whatever_threads_and_children_do(fleet: TinyFleet) -> None:
    store = Leases(lambda: fleet.aws.client("dynamodb"), fleet.name)
    done = subprocess.run(
        [sys.executable, "-m", "tests.taskfleet.leasing_producer", "crowd"],
        env=fleet.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    parent, child, writes = done.stdout.split()[-3:]

    found = {each.pid: each for each in store.list()}
    assert found[int(child)].releases == ("r1",), "a child has its own, and left without taking it back"
    assert int(parent) not in found, "taken back at its end"
    assert int(writes) == 1, "of ten threads with ten publishes each"


@pytest.mark.parametrize("ssm_answers", [True, False], ids=["answers", "silent"])
def test_a_process_that_is_really_stopped_past_its_lease(
    fleet: TinyFleet, stopped_aws: MiniStack, ssm_answers: bool
) -> None:
    """SIGSTOP, a promotion, and SIGCONT; a lease of 2 s in place of 300."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.taskfleet.leasing_producer", "one-by-one"],
        env=fleet.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "low.r1\n"
        store = Leases(lambda: fleet.aws.client("dynamodb"), fleet.name)
        wait_for(store.list, seconds=20, what="its lease")
        (lease,) = store.list()
        assert (lease.pid, lease.releases) == (process.pid, ("r1",))
        process.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        fleet.deploy("r2")
        fleet.promote("r2")
        if not ssm_answers:
            stopped_aws.signal(signal.SIGSTOP)
        wait_for(lambda: time.monotonic() - stopped > 2.5, seconds=10, what="its lease to be past")
        process.send_signal(signal.SIGCONT)
        process.stdin.write("\n")
        process.stdin.flush()
        said = process.stdout.readline()
        assert (
            said == "low.r2\n"
            if ssm_answers
            else said.startswith("PointerStale: the current release was read")
        )
        assert fleet.waiting("low", "r1") == 1, "what it published before"
    finally:
        process.kill()
        process.wait()
        if not ssm_answers:
            stopped_aws.signal(signal.SIGCONT)
