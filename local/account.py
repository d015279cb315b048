"""How to reach the emulated account."""

from __future__ import annotations

from local.ports import Ports

ENVIRONMENT = "local"
REGION = "us-east-1"


# Access keys that say who has them; a container has `ROLE` and its role's name.
ROLE, VIEWER, OPERATOR, PRODUCER, DEPLOYER = "role.", "viewer", "operator", "producer", "deployer"
CALLERS = (ROLE, VIEWER, OPERATOR, PRODUCER, DEPLOYER)


def endpoint(ports: Ports) -> str:
    """The name, not the number: S3 wants a host name."""
    return f"http://localhost:{ports.emulator}"


def aws_environment(ports: Ports) -> dict[str, str]:
    """For every process that talks to it. The credentials are none: the account takes any."""
    return {
        "AWS_ENDPOINT_URL": endpoint(ports),
        "AWS_ENDPOINT_URL_S3": endpoint(ports),
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
