"""Rules and dashboard on a real Prometheus, and its own tests of rules. SKIPPED where there is none."""

from __future__ import annotations

import json
import operator
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from taskfleet import scraped
from taskfleet.contract import metrics
from taskfleet.contract.alarms import Alarm, Comparison, Setting
from taskfleet.controller.prometheus import LOOKED_AT, gauge

from infra.settings import Limits, Settings
from local import prometheus
from observe import alerts
from observe.dashboard import dashboard
from observe.queries import RECORDED
from observe.written import RULES
from tests.observe import served
from tests.support.processes import free_port, stop, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("promtool"), reason="no Prometheus here: apt-get install prometheus"),
]

STEP_SECONDS = 30
# In steps: all is well, then one alarm's metric is over its threshold, then all is well again.
WELL, BAD, AGAIN = 20, 40, 40
LOOKS = {"well": 9 * 60, "bad": 29 * 60, "again": 45 * 60}


def test_promtool_finds_no_fault_in_the_rules() -> None:
    subprocess.run(["promtool", "check", "rules", RULES], check=True, capture_output=True)


BREACHES = {
    Comparison.ABOVE: operator.gt,
    Comparison.AT_LEAST: operator.ge,
    Comparison.AT_MOST: operator.le,
    Comparison.BELOW: operator.lt,
}


def threshold(alarm: Alarm) -> float:
    """Of the pool that is served, else the default."""
    figure = alarm.threshold
    if isinstance(figure, Setting):
        of, _, field = figure.name.rpartition(".")
        pool = served.look().releases[0].pools[0]
        says = Limits if of else pool if hasattr(pool, field) else Settings
        figure = getattr(says, field) * figure.times
    return figure


def breach(alarm: Alarm) -> float:
    """A value that the alarm goes off at."""
    beyond = {Comparison.ABOVE: 1, Comparison.AT_LEAST: 0, Comparison.AT_MOST: 0, Comparison.BELOW: -1}
    return threshold(alarm) + beyond[alarm.comparison]


def series(broken: Alarm) -> Iterator[dict[str, str]]:
    """All that the controller serves, the alarm's own metric over its threshold for a while."""
    for family in served.controller()[0].collect():
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            if sample.name == LOOKED_AT:
                values = ticks(stands_still=broken.metric == metrics.CONTROLLER_TICK)
            else:
                bad = breach(broken) if sample.name == gauge(broken.metric) else sample.value
                values = f"{sample.value}+0x{WELL} {bad}+0x{BAD - 1} {sample.value}+0x{AGAIN}"
            yield {"series": f"{sample.name}{{{labels}}}", "values": values}


def ticks(*, stands_still: bool) -> str:
    """The time of the last look, at each step."""
    if not stands_still:
        return f"0+{STEP_SECONDS}x{WELL + BAD + AGAIN}"
    left, back = WELL * STEP_SECONDS, (WELL + BAD + 1) * STEP_SECONDS
    return f"0+{STEP_SECONDS}x{WELL} {left}+0x{BAD - 1} {back}+{STEP_SECONDS}x{AGAIN}"


def expected(alarm: Alarm, broken: Alarm, when: str) -> list[dict[str, Any]]:
    """Two alarms on one metric go off together where the value is beyond both thresholds."""
    together = alarm.metric == broken.metric and (
        alarm == broken or BREACHES[alarm.comparison](breach(broken), threshold(alarm))
    )
    if not together or when != "bad":
        return []
    values = {"Environment": served.ENVIRONMENT, "Pool": served.POOL, "Release": served.RELEASE}
    labels = {dimension.lower(): values[dimension] for dimension in alarm.metric.dimensions}
    rule = alerts.rule(alarm)
    return [{"exp_labels": {**labels, **rule["labels"]}, "exp_annotations": rule["annotations"]}]


def test_each_alert_goes_off_alone_and_ends(tmp_path: Path) -> None:
    every = list(alerts.alarms())
    tests = [
        {
            "interval": f"{STEP_SECONDS}s",
            "input_series": list(series(broken)),
            "alert_rule_test": [
                {
                    "eval_time": f"{seconds}s",
                    "alertname": alerts.name(alarm),
                    "exp_alerts": expected(alarm, broken, when),
                }
                for when, seconds in LOOKS.items()
                for alarm in every
            ],
        }
        for broken in every
    ]
    file = tmp_path / "tests.json"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "tests": tests}))

    done = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True)

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


Ask = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def ask(tmp_path_factory) -> Iterator[Ask]:
    """A query's result, from a Prometheus that scrapes what controller and a worker serve."""
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    with ExitStack() as closing:
        targets = []
        for collectors in (served.controller(), served.worker()):
            at = free_port()
            closing.callback(scraped.serve(*collectors, port=at))
            targets.append({"targets": [f"127.0.0.1:{at}"], "labels": {}})
        (folder / "targets.json").write_text(json.dumps(targets))
        process = prometheus.start(folder, targets=folder / "targets.json", port=port, every_seconds=1)
        closing.callback(stop, process)

        def query(text: str) -> list[dict[str, Any]]:
            address = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": text})
            with urllib.request.urlopen(address, timeout=5) as reply:
                return json.load(reply)["data"]["result"]

        def recorded() -> bool:
            try:
                return all(query(each.name) for each in RECORDED)
            except OSError:
                return False

        wait_for(recorded, seconds=30, what="every recorded series")
        yield query


@pytest.mark.parametrize(
    ("title", "query"),
    [(panel["title"], one["expr"]) for panel in dashboard()["panels"] for one in panel.get("targets", ())],
)
def test_each_query_of_the_dashboard_has_an_answer(ask: Ask, title: str, query: str) -> None:
    found = ask(query.replace("$environment", served.ENVIRONMENT))

    assert found or "offset" in query  # this Prometheus is no day old


def test_runs_count_once_though_controller_and_worker_are_scraped(ask: Ask) -> None:
    runs = next(each.name for each in RECORDED if each.name.endswith(":rate"))
    instances = ask("count by (instance) (taskfleet_tasks_total)")
    (counted,) = ask(f"sum({runs})")
    (controllers,) = ask('sum(rate(taskfleet_tasks_total{pool=""}[5m]))')

    assert len(instances) == 2
    assert float(counted["value"][1]) == pytest.approx(float(controllers["value"][1]), rel=0.2)
