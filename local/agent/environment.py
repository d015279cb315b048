"""The environment of a container: its task definition's, and what ECS and the machine give. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from taskfleet.contract.container import JOURNAL
from taskfleet.contract.environment import INCLUDE, METRICS_PORT

from drills.tasks import MODULES
from local.account import ROLE

# The emulated account takes any credentials; real ones must never reach a container here.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


def of_machine(
    *,
    endpoint: str,
    region: str,
    certificate: Path,
    journal: Path,
    python_directory: Path,
) -> dict[str, str]:
    """What every container on this machine gets; ``python_directory`` has the `python` to run."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
        **CREDENTIALS,
        "PATH": f"{python_directory}:/usr/local/bin:/usr/bin:/bin",
        "PYTHONUNBUFFERED": "1",
        "SSL_CERT_FILE": str(certificate),
        JOURNAL: str(journal),
        INCLUDE.name: ",".join(MODULES),
    }


def of_container(
    *,
    machine: Mapping[str, str],
    task_id: str,
    directory: Path,
    image: Path,
    drills: Path,
    agent_uri: str,
    role: str | None,
    metrics_port: int,
    defined: Mapping[str, str],
    secrets: Mapping[str, str],
) -> dict[str, str]:
    """Everything that the command gets. The task definition wins over the machine, as it does over an image.

    ``drills`` is the folder that has the drills' tasks. The ``metrics_port`` wins over the definition's,
    which is one for all: on AWS each task has its own address.

    Nothing of the agent's own environment is passed on: a container that works only because of a
    variable in somebody's shell would fail in AWS.
    """
    given = {
        "HOME": str(directory / "home"),
        "TMPDIR": str(directory / "tmp"),
        "HOSTNAME": task_id[:12],
        "PYTHONPATH": f"{image}:{drills}",
        "ECS_AGENT_URI": agent_uri,
        # The task role's credentials, by which the account knows who asks (`local.emulator.recorder`).
        **({"AWS_ACCESS_KEY_ID": f"{ROLE}{role}"} if role else {}),
    }
    return {**machine, **given, **defined, METRICS_PORT.name: str(metrics_port), **secrets}
