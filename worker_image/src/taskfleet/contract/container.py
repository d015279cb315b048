"""What the image and the task definitions must agree on about a container."""

from __future__ import annotations

# The one container of every task definition: whoever runs a command in its place names it.
NAME = "taskfleet"

# The Dockerfile's USER: no such name exists in the image, so nothing there belongs to it.
USER = "10001:10001"

# The root file system is read-only; this is mounted for the health check's stamp and for libraries
# that want a temporary directory. The Dockerfile declares it as a VOLUME, so that it keeps the
# directory's own permissions (ECS mounts an undeclared one as root's).
WRITABLE = "/tmp"  # noqa: S108

# The directory where workers record what ran (`drills.tasks.recording`). Given to containers on one machine
# only; in AWS there is no such directory, and nothing is recorded.
JOURNAL = "TASKFLEET_JOURNAL"

# Where AWS's APIs are asked (`taskfleet.aws.region`).
REGION = "AWS_REGION"

HEALTH_CHECK = ("CMD", "python", "-m", "taskfleet", "health")


def command(role: str) -> tuple[str, ...]:
    """What a container of this role runs."""
    return ("python", "-m", "taskfleet", role)
