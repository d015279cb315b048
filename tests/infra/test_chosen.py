"""What commands read as the environments, and that each says in a few lines what is wrong with them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from taskfleet.errors import SettingsError

from infra import chosen
from tests.infra.synthesis import ROOT
from tests.support import reference as environments

LOCAL, DEV = environments.LOCAL, environments.DEV


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ((LOCAL, DEV, replace(DEV, region="eu-west-1")), r"the name 'dev'.*Fix: give each its own"),
        ((DEV,), r"on_this_machine=True.*Fix: keep LOCAL"),
        (LOCAL, r"a tuple of environments.*needs its comma"),
        (None, r"ALL = None: it must be a tuple"),
    ],
    ids=["two of a name", "none for this machine", "no tuple", "none at all"],
)
def test_what_no_command_can_choose_among_is_refused(found: object, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        chosen.check(found)


@pytest.mark.parametrize("command", ["preflight", "cost", "policies", "deploy", "destroy"])
def test_no_command_buries_a_wrong_setting_in_a_traceback(tmp_path: Path, command: str) -> None:
    (tmp_path / "wrong.py").write_text(
        "from dataclasses import replace\n"
        "from tests.support import reference\n"
        "ALL = (reference.LOCAL, replace(reference.DEV, region='eu-west-1a'))\n"
    )
    paths = [str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")]

    done = subprocess.run(
        [sys.executable, "-m", f"infra.{command}", "dev"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), chosen.VARIABLE: "wrong"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 1
    assert done.stderr.startswith("SettingsError: the environment 'dev' has 2 settings")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["preflight", "deploy"])
@pytest.mark.parametrize("release", ["Black Friday", "blue-fallback", "none"])
def test_a_release_that_can_not_be_called_so_is_refused_before_anything_is_asked(
    command: str, release: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"infra.{command}", "dev", "--release", release, "--", "true"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 2
    assert f"{release!r} can't be the name of a release: it must match" in done.stderr
