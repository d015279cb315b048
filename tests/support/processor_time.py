"""``pytest -p tests.support.processor_time``: the processor seconds of each file of tests.

Wall time says little on a machine that others use too, and the suite is bound by its two processors. As root
on a Linux with version 1 of control groups, each process of pytest-xdist gets a group of its own, and with it
every process that it starts, however it is detached; elsewhere only those count that have been waited for.
What a server does between two tests belongs to the next one.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path

import pytest

_GROUPS = Path("/sys/fs/cgroup/cpuacct")
_NAME = "processor seconds"
_LINES = 25


def _clock() -> Callable[[], float]:
    group = _GROUPS / f"pytest-{os.getpid()}"
    try:
        group.mkdir()
        (group / "cgroup.procs").write_text(str(os.getpid()))
    except OSError:
        return lambda: sum(os.times()[:4])
    return lambda: int((group / "cpuacct.usage").read_text()) / 1e9


class _Measured:
    """In each process that runs tests: what each phase of a test took."""

    def __init__(self) -> None:
        self.clock = _clock()
        self.before = self.clock()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        now = self.clock()
        report.user_properties.append((_NAME, now - self.before))
        self.before = now
        return report

    def pytest_unconfigure(self) -> None:
        """A worker of pytest-xdist ends without `atexit`."""
        with suppress(OSError):  # there is none, or a process of a test lives on in it
            (_GROUPS / "cgroup.procs").write_text(str(os.getpid()))
            (_GROUPS / f"pytest-{os.getpid()}").rmdir()


class _Summed:
    """In the process that reports."""

    def __init__(self, listing: Path) -> None:
        self.listing = listing
        self.files: Counter[str] = Counter()
        self.tests: Counter[tuple[str, str]] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        seconds = sum(value for name, value in report.user_properties if name == _NAME)
        self.files[report.nodeid.partition("::")[0]] += seconds
        self.tests[report.nodeid, report.when] += seconds

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section(f"{self.files.total():.0f} processor seconds; each test: {self.listing}")
        for name, seconds in self.files.most_common(_LINES):
            terminalreporter.line(f"{seconds:8.1f}  {name}")
        self.listing.parent.mkdir(exist_ok=True)
        rows = (f"{seconds:.2f}\t{when}\t{test}\n" for (test, when), seconds in self.tests.most_common())
        self.listing.write_text("".join(rows))


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        config.pluginmanager.register(_Measured())
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Summed(config.rootpath / "build/processor-time.tsv"))
