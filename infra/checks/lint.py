"""cfn-lint over synthesized templates: CloudFormation's own schemas, offline."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

# Rule → why its findings are none here.
IGNORED = {
    "W3005": "the CDK writes DependsOn beside a GetAtt that already says it; both are right",
    "W3010": "zones are settings, so that synth asks AWS for nothing",
}


def run(templates: Sequence[Path]) -> list[str]:
    """What cfn-lint finds, as its lines; empty if nothing."""
    options = ["--format", "parseable", "--ignore-checks", *IGNORED, "--template", *map(str, templates)]
    program = Path(sys.executable).with_name("cfn-lint")
    done = subprocess.run([program, *options], capture_output=True, text=True, check=False)
    if done.returncode and not done.stdout:
        raise RuntimeError(f"cfn-lint failed: {done.stderr}")
    return done.stdout.splitlines()
