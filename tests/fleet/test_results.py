"""Results on the deployed fleet: a producer with its own permissions waits for them, in groups and chords."""

from __future__ import annotations

import json
import subprocess
import sys

from taskfleet.contract import names

from local.account import PRODUCER
from tests.fleet.deployed import Deployed

_PRODUCER = """
import json
from celery import chord, group
from drills.tasks.app import app
from drills.tasks.faulty import total

def one(n, numbers):
    return total.s(numbers, "results", n).set(queue="low")

last = total.s("results", 9).set(queue="high")
print(json.dumps({
    "one": one(0, [1, 2]).delay().get(timeout=60),
    "group": group(one(n, [n, n]) for n in (1, 2, 3)).apply_async().get(timeout=60),
    "chord": chord([one(n, [n, n]) for n in (4, 5)], last).apply_async().get(timeout=60),
}))
"""


def test_a_producer_waits_for_results_groups_and_chords(fleet: Deployed) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PRODUCER],
        env=fleet.shell(PRODUCER),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"one": 3, "group": [2, 4, 6], "chord": 18}


def test_the_cache_is_one_of_its_own_and_evicts(fleet: Deployed) -> None:
    answer = fleet.client("elasticache").describe_replication_groups()
    endpoints = {
        group["ReplicationGroupId"]: group["NodeGroups"][0]["PrimaryEndpoint"]["Port"]
        for group in answer["ReplicationGroups"]
    }

    assert endpoints == {
        names.broker("local"): fleet.ports.broker,
        names.results_cache("local"): fleet.ports.results,
    }
