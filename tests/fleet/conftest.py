"""Local fleets for the tests of this folder, deployed by `make up`'s command and taken down at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from infra.checks.access import policies, report
from infra.checks.access.calls import Call
from infra.checks.access.resolve import Account
from infra.settings import Settings
from local.agent import procfs
from tests.fleet.deployed import Deployed
from tests.infra.synthesis import Synthesis
from tests.support import seen_calls
from tests.support.reference import LOCAL

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.fleet)


# Of the package, not of the session: an idle fleet would slow down the tests that its process runs next.
@pytest.fixture(scope="package")
def fleet(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Deployed]:
    """A fleet to work on, to break and to mend: every test leaves it as it was.

    But those whose work can't be taken back (releases that end, `cdk destroy`): they are the last on theirs.
    """
    deployed = Deployed(tmp_path_factory.mktemp("fleet"))
    up = deployed.local("up")
    try:
        assert up.returncode == 0, f"{up.stdout}\n{up.stderr}"
        yield deployed
        seen = seen_calls.read(deployed.places.calls, LOCAL)
        seen_calls.keep(pytestconfig, seen)
        # Each call that a container or a producer made, asked of the policies that were deployed.
        assert denied_calls(deployed, seen) == []
        assert not seen_calls.unknown(deployed.places.calls, LOCAL)
    finally:
        down = deployed.local("down")
        left = processes_of(deployed)
        assert down.returncode == 0, down.stdout + down.stderr
        assert left == []


def denied_calls(
    deployed: Deployed, seen: Iterable[Call], settings: Settings = LOCAL, release: str = "live"
) -> list[str]:
    """The statements that AWS would have missed on this fleet (`infra.checks.access`)."""
    of = Account(settings.account, settings.region, Synthesis(deployed.places.cdk_out).templates)
    found = policies.of(of, settings)
    return report.denied(found, of, report.questions(seen, settings, of, release=release, found=found))


def processes_of(deployed: Deployed) -> list[str]:
    """Command lines of living processes that belong to this fleet, by the folder in their environment."""
    marker = str(deployed.places.root).encode()
    found = []
    for process in procfs.processes():
        try:
            environment = Path(f"/proc/{process.pid}/environ").read_bytes()
            command = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        except OSError:
            continue
        if marker in environment or marker in command:
            found.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return found
