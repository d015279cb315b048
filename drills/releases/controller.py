"""``python -m drills.releases.controller``: the fleet's controller, started again whenever it ends.

Each life is a fork of a process that has imported everything, so a life costs a look and no start-up. While
the file ``dies`` exists in its directory, a life SIGKILLs itself at each step that it has not died at yet,
right ``before`` a write, right ``after``, or both, as the file says. ``deaths`` has a line for each,
``rules`` the plan's numbers.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.client import BaseClient
from taskfleet import logs
from taskfleet.controller.clients import connect
from taskfleet.controller.controller import Controller
from taskfleet.controller.main import look_until
from taskfleet.releases import answers
from taskfleet.releases.gate import Gates
from taskfleet.releases.observation import Rules
from taskfleet.settings import ControllerSettings

LOOK_SECONDS, PLACE = "TASKFLEET_DRILL_LOOK_SECONDS", "TASKFLEET_DRILL_PLACE"
_AGAIN_SECONDS = 0.2
_WRITES = frozenset(
    {"TransactWriteItems", "PutParameter", "RunTask", "StopTask", "UpdateService", "SetQueueAttributes"}
)
_NO_STEP = frozenset({"look", "beat"})


def main() -> None:
    """One life after the other, until SIGTERM."""
    over: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: over.append(number))
    place = Path(os.environ[PLACE])
    while not over:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            _live(place)
        (place / "pid").write_text(str(child))
        while not over and os.waitpid(child, os.WNOHANG) == (0, 0):
            time.sleep(0.05)
        if over:
            os.kill(child, signal.SIGKILL)
        time.sleep(_AGAIN_SECONDS)


def _live(place: Path) -> None:
    try:
        if (place / "dies").exists():
            _die_at_each_step(place / "deaths", (place / "dies").read_text())
        settings = ControllerSettings.from_environ()
        logs.configure(level=settings.log_level)
        controller = Controller(connect(settings), rules=_rules(place))
        print("looks", flush=True)
        look_until(threading.Event(), controller, every_seconds=float(os.environ[LOOK_SECONDS]))
    finally:
        sys.stdout.flush()
        os._exit(1)


def _rules(place: Path) -> Rules:
    given = json.loads((place / "rules").read_text())
    return Rules(**{**given, "gate_brokers": tuple(given["gate_brokers"])})


def _die_at_each_step(deaths: Path, moments: str) -> None:
    def died(step: str) -> set[str]:
        lines = map(json.loads, deaths.read_text().splitlines()) if deaths.exists() else ()
        return {line["when"] for line in lines if line["step"] == step}

    def die(step: str, when: str) -> None:
        with deaths.open("a") as out:
            out.write(json.dumps({"step": step, "when": when, "at": time.time()}) + "\n")
        os.kill(os.getpid(), signal.SIGKILL)

    def dying(step: str | None, do: Callable[[], Any]) -> Any:
        if step is None:
            return do()
        already = died(step)
        if "before" in moments and "before" not in already:
            die(step, "before")
        done = do()
        if "after" in moments and "after" not in already:
            die(step, "after")
        return done

    call, send, answer = BaseClient._make_api_call, Gates.send, answers.send

    def call_dying(client: Any, operation: str, given: dict[str, Any]) -> Any:
        return dying(_step(operation, given), lambda: call(client, operation, given))

    def send_dying(gates: Gates, gate: Any) -> None:
        dying(f"gate task to {gate.key}", lambda: send(gates, gate))

    def answer_dying(url: str, **said: Any) -> None:
        dying("the answer to CloudFormation", lambda: answer(url, **said))

    BaseClient._make_api_call = call_dying
    Gates.send = send_dying  # type: ignore[method-assign, assignment]
    answers.send = answer_dying


def _step(operation: str, given: dict[str, Any]) -> str | None:
    """What tells one write from another; None for a call that changes nothing of a release."""
    if operation in _WRITES:
        what = given.get("Name") or given.get("service") or given.get("QueueUrl") or ""
        return f"{operation} {what}".strip()
    if operation != "PutItem":
        return None
    item = given["Item"]
    key = str(item.get("id", {}).get("S", ""))
    return None if key in _NO_STEP else f"PutItem {key} {item.get('version', {}).get('N', '')}"


if __name__ == "__main__":
    main()
