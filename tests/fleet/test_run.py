"""`fleet run` on a deployed fleet: with the deployed image, roles and variables, as an operator."""

from __future__ import annotations

from tests.fleet.deployed import Deployed


def test_a_command_runs_in_the_current_release_and_publishes_like_its_workers(fleet: Deployed) -> None:
    script = (
        "import os; from drills.tasks.app import app; app.loader.import_default_modules(); "
        "app.tasks['drills.record'].apply_async(kwargs=dict(run='by-hand', n=0, seconds=0.0), queue='low'); "
        "print('release', os.environ['TASKFLEET_RELEASE'])"
    )

    done = fleet.fleet("run", "--", "python", "-c", script)

    assert (done.returncode, done.stdout) == (0, f"release {fleet.current()}\n"), done.stderr
    assert len(fleet.wait_for_run("by-hand", 1, seconds=60)) == 1
