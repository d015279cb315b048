"""What the fleets of a test run asked of AWS, held to the table of calls in both ways.

A fleet's test fails for a call that is not in the table; once all tests ran that record calls, the run fails
for a row of the table that none of them recorded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from infra.checks.access import bootstrap, calls
from infra.checks.access.calls import Call
from infra.checks.access.policies import BEAT, CONTROLLER, DEPLOYER, PRODUCER, WORKER
from infra.checks.access.unseen import UNSEEN, Unseen
from infra.settings import Settings

# The folders whose tests record, and the callers whose calls are recorded nowhere else.
_RECORDING = ("tests/fleet", "tests/cdk")
_CALLERS = (WORKER, BEAT, CONTROLLER, PRODUCER, *bootstrap.ROLES)
_ROOT = Path(__file__).parents[2]
_KEPT = "seen-calls"


def unknown(file: Path, settings: Settings) -> str:
    """The calls in a fleet's record that are not in the table, and what to do; empty: there are none."""
    # What preflight and `infra.deploy` ask for themselves, `tests.infra.test_policies` holds to the table.
    seen = {call for call in read(file, settings) if call.caller != DEPLOYER or _assumes(call)}
    found = sorted(seen - calls.read())
    if not found:
        return ""
    remedy = f"not in the table; if they are meant: python -m infra.checks.access {file}"
    return "\n".join([remedy, *map(str, found)])


def read(file: Path, settings: Settings) -> set[Call]:
    """What a fleet recorded, without what differs between fleets."""
    return {calls.generalize(line, settings) for line in file.read_text().splitlines()}


def keep(config: pytest.Config, seen: Iterable[Call]) -> None:
    """For the end of the run: what one fleet recorded."""
    folder = _folder(config)
    folder.mkdir(exist_ok=True)
    calls.write(seen, folder / f"{uuid4().hex}.jsonl")


def stale(seen: Iterable[Call], table: Iterable[Call]) -> tuple[list[Call], list[Unseen]]:
    """Rows that nobody was seen to ask for and that have no reason; and reasons that are none any more."""
    recorded_here = {call for call in table if call.caller in _CALLERS or _assumes(call)}
    unseen = recorded_here - set(seen)
    return (
        sorted(call for call in unseen if not any(one.covers(call) for one in UNSEEN)),
        [one for one in UNSEEN if not any(one.covers(call) for call in recorded_here)],
    )


def _assumes(call: Call) -> bool:
    return call.caller == DEPLOYER and call.action == "sts:AssumeRole"


class SeenCalls:
    """A plugin: looks at the end of a run in which each test that records has passed."""

    def __init__(self, config: pytest.Config) -> None:
        self._config, self._passed, self._says = config, set[str](), ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Of every test, whichever process it ran in."""
        if report.when == "call" and report.passed:
            self._passed.add(report.nodeid.partition("[")[0])

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """In the process that reports."""
        if hasattr(self._config, "workerinput") or not set(_tests(_ROOT)) <= self._passed:
            return
        seen = {call for file in _folder(self._config).glob("*.jsonl") for call in calls.read(file)}
        rows, reasons = stale(seen, calls.read())
        self._says = "\n".join(
            [
                *(f"in {calls.TABLE.name}, and no test recorded it: {row}" for row in rows),
                *(
                    f"has a reason not to be recorded, and is not in {calls.TABLE.name}: {row}"
                    for row in reasons
                ),
            ]
        )
        if self._says:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Why the run has failed."""
        if self._says:
            terminalreporter.section("the table of calls", red=True)
            terminalreporter.line(self._says)


def _tests(root: Path) -> Iterator[str]:
    """The tests that record, as pytest names them."""
    for folder in _RECORDING:
        for file in sorted((root / folder).glob("test_*.py")):
            for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE):
                yield f"{folder}/{file.name}::{name}"


def _folder(config: pytest.Config) -> Path:
    """One for all processes of the run: theirs are below that of the process that reports."""
    base: Path = config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    return (base.parent if hasattr(config, "workerinput") else base) / _KEPT
