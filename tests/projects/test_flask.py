"""A Flask site: a chord, a group with results, and a periodic task, asked for over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from taskfleet.contract import environment as env

from tests.projects.conftest import Shell
from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet

PROJECT = Path(__file__).parent / "flask_site"
REQUESTS = """
import json, time
from site_app import flask_app
client = flask_app.test_client()

def answer(path, asked):
    place = path + "/" + client.post(path, json=asked).json["id"]
    for _ in range(300):
        got = client.get(place).json
        if got["ready"]:
            return got["value"]
        time.sleep(0.1)

print(json.dumps([answer("/total", {"up_to": 5}), answer("/squares", {"of": [1, 2, 3]})]))
"""


def test_a_flask_site_runs_unchanged(
    fleet: TinyFleet, shell: Callable[[Path, dict[str, str]], Shell]
) -> None:
    ticks = fleet.directory / "ticks"
    environment = {
        "SITE_RESULTS": fleet.valkey.url.replace("/0", "/7"),
        "SITE_TICKS": str(ticks),
        env.APP.name: "site_app:app",
    }
    fleet.start_worker("r1", PYTHONPATH=str(PROJECT), **environment)

    got = json.loads(shell(PROJECT, environment)(REQUESTS))

    assert got == ["hello 20", [1, 4, 9]], "in the application's context, too"
    fleet.start("beat", fleet.environment(PYTHONPATH=str(PROJECT), **environment), "beat: Starting")
    wait_for(lambda: ticks.exists() and ticks.read_text().count("tick") >= 2, seconds=60, what="two ticks")
