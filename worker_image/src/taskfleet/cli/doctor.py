"""`fleet doctor`: is everything that the fleet stands on there, and if something does not start, why."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import click
from botocore.exceptions import BotoCoreError, ClientError

from taskfleet.cli.operator import Operator, asks
from taskfleet.cli.output import duration, show, show_json
from taskfleet.cli.stopped import why_stopped
from taskfleet.contract import names, parameters
from taskfleet.contract.metrics import WINDOW_SECONDS
from taskfleet.errors import TaskfleetError
from taskfleet.measuring.failed import Failures
from taskfleet.measuring.services import Service, beat_of, services, services_of
from taskfleet.releases import pointer
from taskfleet.releases.model import LIVE


@dataclass(frozen=True)
class Finding:
    """One thing that was checked."""

    check: str
    ok: bool
    says: str


@click.command()
@asks
def doctor(operator: Operator) -> None:
    """Check what the fleet stands on. Exit code 1 if anything is wrong."""
    findings = [finding for check in CHECKS for finding in _run(check, operator)]
    if operator.json:
        show_json([asdict(finding) for finding in findings])
    else:
        show([f"{'ok   ' if f.ok else 'WRONG'}  {f.check}: {f.says}" for f in findings])
    sys.exit(0 if all(finding.ok for finding in findings) else 1)


def _run(check: Callable[[Operator], Iterator[Finding]], operator: Operator) -> Iterator[Finding]:
    """A check that can't be made is itself a finding, and the others are still made."""
    name = check.__name__.strip("_").replace("_", " ")
    try:
        yield from check(operator)
    except (BotoCoreError, ClientError, TaskfleetError, ValueError) as error:
        yield Finding(name, False, str(error))


def _credentials(operator: Operator) -> Iterator[Finding]:
    caller = operator.client("sts").get_caller_identity()
    yield Finding("credentials", True, f"{caller['Arn']} in account {caller['Account']}")


def _base_parameters(operator: Operator) -> Iterator[Finding]:
    wanted = [parameters.base(operator.environment, name) for name in parameters.BASE]
    missing: list[str] = []
    for start in range(0, len(wanted), 10):  # GetParameters takes ten
        reply = operator.client("ssm").get_parameters(Names=wanted[start : start + 10])
        missing += reply["InvalidParameters"]
    says = (
        f"missing: {', '.join(missing)}; deploy the fleet's stack"
        if missing
        else f"all {len(wanted)} are there"
    )
    yield Finding("base parameters", not missing, says)


def _current_release(operator: Operator) -> Iterator[Finding]:
    seen = operator.store.scan()
    told = pointer.published(operator.client("ssm"), operator.environment)
    same = told == seen.pointer.to_publish
    record = seen.records.get(told.release)
    says = str(told) if same else f"producers read {told}, the record says {seen.pointer.to_publish}"
    yield Finding(
        "current release", same and record is not None, says if record else f"{says}: no such release"
    )


def _controller(operator: Operator) -> Iterator[Finding]:
    last = operator.last_look()
    yield Finding("controller", not last.silent, f"looked {duration(last.age_seconds)} ago")
    for problem in last.look.problems:
        yield Finding("last look", False, problem)


def _services(operator: Operator) -> Iterator[Finding]:
    seen = operator.store.scan()
    records = [r for r in seen.records.values() if r.state in LIVE]
    current = seen.records.get(seen.pointer.release)
    of_releases = {service for record in records for service in services_of(record)}
    wanted = [names.CONTROLLER_SERVICE, *sorted(of_releases | ({beat_of(current)} if current else set()))]
    found = services(operator.client("ecs"), names.cluster(operator.environment), wanted)
    failed = Failures(operator.client("ecs")).look(names.cluster(operator.environment), now=time.time())
    for name in wanted:
        yield _service(operator, name, found.get(name), failed[name])


def _service(operator: Operator, name: str, service: Service | None, failed: int) -> Finding:
    if service is None:
        return Finding(f"service {name}", False, "there is none: deploy its stack")
    counts = f"{service.running} of {service.desired} running"
    if failed:
        counts = f"{counts}, {failed} ended unasked within {WINDOW_SECONDS // 60} minutes"
    elif service.running >= service.desired:
        return Finding(f"service {name}", True, counts)
    reasons = why_stopped(operator.client("ecs"), names.cluster(operator.environment), name)
    return Finding(f"service {name}", False, "; ".join([counts, *reasons]))


CHECKS = (_credentials, _base_parameters, _current_release, _controller, _services)
