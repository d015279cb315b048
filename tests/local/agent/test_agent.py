"""The agent itself: reload on change, and its own death."""

from __future__ import annotations

import os
import signal

import pytest

from tests.local.agent.fleet import Fleet, deployed, exists, pid_of, python, wait_for

WITH_CHILD = ["/bin/sh", "-c", "sleep 1001 & echo $!; wait"]


def test_an_edited_file_restarts_the_live_services_one_after_the_other(idle_fleet: Fleet) -> None:
    fleet = idle_fleet
    code = fleet.source / "code.py"
    code.write_text("VERSION = 1\n")
    fleet.start()
    command = python("import code, time; print('version', code.VERSION); time.sleep(1000)")
    fleet.serve("one", command), fleet.serve("two", command)
    both = ("one", "two")
    old = [fleet.running(name)[0]["taskArn"] for name in both]
    code.write_text("VERSION = 22\n")
    wait_for(lambda: all("version 22" in fleet.logs(name)[-1] for name in both), what="the reload")
    wait_for(lambda: all(fleet.tasks(name, "STOPPED") for name in both), what="the end of the old")
    assert [fleet.tasks(name, "STOPPED")[0]["taskArn"] for name in both] == old
    assert "changed: code.py; workers of the live image restart" in fleet.events

    lines = [line.split(" ", 1)[1] for line in fleet.events.splitlines()]
    reloads = [line for line in lines if line.endswith(": reloading")]
    assert sorted(reloads) == ["one: reloading", "two: reloading"]
    between = lines[lines.index(reloads[0]) : lines.index(reloads[1])]
    assert any("stopped, exit code" in line for line in between), "the second waited for the first"


def test_new_code_that_does_not_start_leaves_the_old_worker_running(idle_fleet: Fleet) -> None:
    fleet = idle_fleet
    code = fleet.source / "code.py"
    code.write_text("VERSION = 1\n")
    fleet.start()
    # Ready is what its health check says, so a worker that dies while it imports never counts.
    check = {"command": ["CMD-SHELL", "test -e $HOME/up"], "interval": 5}
    run = "import code, os, pathlib, time; pathlib.Path(os.environ['HOME'], 'up').touch(); time.sleep(1000)"
    fleet.serve("careful", python(run), healthCheck=check)
    (old,) = fleet.running("careful")
    wait_for(lambda: deployed(fleet, "careful"), what="the rollout")
    code.write_text("VERSION = \n")
    wait_for(lambda: len(fleet.tasks("careful", "STOPPED")) >= 2, what="two attempts")
    assert exists(pid_of(old))
    code.write_text("VERSION = 2\n")
    wait_for(lambda: not exists(pid_of(old)), what="the replacement")
    assert len(fleet.running("careful")) == 1


@pytest.mark.parametrize("init_too", [False, True], ids=["agent", "agent-and-inits"])
def test_nothing_is_left_of_a_killed_agent(idle_fleet: Fleet, init_too: bool) -> None:
    """The containers die with it; those whose first process was killed too when the next agent starts."""
    fleet = idle_fleet
    fleet.start()
    fleet.serve("orphan", WITH_CHILD)
    (task,) = fleet.running("orphan")
    wait_for(lambda: fleet.logs("orphan")[0].strip(), what="the child")
    main, child = pid_of(task), int(fleet.logs("orphan")[0])
    assert fleet.agent is not None
    os.kill(fleet.agent.pid, signal.SIGSTOP)  # so that it can't clean up after its init
    if init_too:
        os.kill(os.getpgid(main), signal.SIGKILL)
    os.kill(fleet.agent.pid, signal.SIGKILL)
    fleet.agent.wait()
    if not init_too:
        wait_for(lambda: not exists(main) and not exists(child), what="the containers' end")
    fleet.start()
    wait_for(lambda: not exists(main) and not exists(child), what="the sweep")
    wait_for(lambda: main not in map(pid_of, fleet.tasks("orphan")), what="the new agent's report")
    assert len(fleet.running("orphan")) == 1
