"""`make observe` beside a fleet of which only the supervisor's lock and the list of containers are there."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from taskfleet import scraped

from local import observer
from local.agent import procfs
from local.places import REPOSITORY, VARIABLE, Places
from tests.support.processes import free_port, wait_for

WITH_PROMETHEUS = pytest.mark.skipif(not shutil.which("prometheus"), reason="apt-get install prometheus")


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    """Of a fleet that is up, as far as the supervisor's lock says so."""
    places = Places(tmp_path)
    with places.supervisor_pid.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        held.write(str(os.getpid()))
        held.flush()
        places.scraped.write_text("[]")
        yield places
        observer.end(places)


def command(places: Places, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "local", "observe"],
        cwd=REPOSITORY,
        env=os.environ | {VARIABLE: str(places.root)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=_heed_signals,
    )


def _heed_signals() -> None:
    """The tests may run under nohup."""
    for each in (signal.SIGHUP, signal.SIGINT):
        signal.signal(each, signal.SIG_DFL)


def started(places: Places) -> subprocess.Popen[str]:
    """Once it has told its address."""
    process = command(places)
    assert process.stdout is not None
    said = process.stdout.readline()
    assert f"{observer.address(places)} " in said
    return process


def pid(places: Places) -> int:
    return int(json.loads(places.observer.read_text())["pid"])


def test_without_a_fleet_or_a_prometheus_it_says_what_to_do(tmp_path: Path, places: Places) -> None:
    nowhere = command(Places(tmp_path / "none"))
    without = command(places, PATH=str(tmp_path))

    assert "make up" in nowhere.communicate()[0]
    assert "apt-get install prometheus" in without.communicate()[0]
    assert (nowhere.returncode, without.returncode) == (2, 2)


class One(Collector):
    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield GaugeMetricFamily("taskfleet_something", "of one container", 7)


@WITH_PROMETHEUS
def test_it_scrapes_what_the_list_has_until_make_down(places: Places) -> None:
    process, port = started(places), free_port()
    ending = scraped.serve(One(), port=port)
    # As the agent writes it.
    new = places.scraped.with_suffix(".new")
    new.write_text(json.dumps([{"targets": [f"127.0.0.1:{port}"], "labels": {"service": "low-live"}}]))
    new.replace(places.scraped)

    def asked() -> list[dict[str, object]]:
        url = f"{observer.address(places)}/api/v1/query?query=taskfleet_something"
        with urllib.request.urlopen(url, timeout=5) as reply:  # noqa: S310 - loopback
            return [one["metric"]["service"] for one in json.load(reply)["data"]["result"]]

    wait_for(lambda: asked() == ["low-live"], seconds=60, what="a scrape")
    ending()
    second = command(places)
    said, server = second.communicate()[0], pid(places)

    assert (second.returncode, observer.address(places) in said) == (2, True)
    assert observer.end(places)
    assert process.wait(20) in (0, 1)
    assert procfs.read(server) is None


@WITH_PROMETHEUS
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_it_leaves_nothing_when_it_is_told_to_end(places: Places, number: signal.Signals) -> None:
    process = started(places)
    server = pid(places)

    process.send_signal(number)

    assert process.wait(20) == (0 if number == signal.SIGINT else 128 + number)
    assert procfs.read(server) is None


@WITH_PROMETHEUS
def test_make_down_ends_what_a_killed_command_left(places: Places) -> None:
    process = started(places)
    server = pid(places)
    process.kill()
    process.wait()
    assert procfs.read(server) is not None

    assert observer.end(places)

    assert procfs.read(server) is None
    assert observer.address(places) is None


@WITH_PROMETHEUS
def test_it_ends_with_the_fleet(places: Places) -> None:
    process = started(places)
    server = pid(places)

    places.supervisor_pid.unlink()

    assert process.wait(20) == 0
    assert procfs.read(server) is None
