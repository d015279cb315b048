"""`taskfleet.contract` is shared with the infrastructure, and so needs nothing but the standard library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import taskfleet.contract


def test_the_contract_needs_the_standard_library_alone() -> None:
    (package,) = map(Path, taskfleet.contract.__path__)
    modules = [f"taskfleet.contract.{file.stem}" for file in sorted(package.glob("*.py"))]
    code = f"import sys; sys.path.insert(0, {str(package.parent.parent)!r}); import {', '.join(modules)}"

    # Without the site's packages (-S), and without what the environment adds (-I).
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
