"""SSM parameters: how a release stack finds the long-lived stacks, and how producers find a release."""

from __future__ import annotations

from taskfleet.contract import names


def root(environment: str) -> str:
    """All parameters of an environment start so."""
    return f"/{names.PROJECT}/{names.check('environment', environment)}"


def current_release(environment: str) -> str:
    """The pointer: the id of the release that producers publish to, or `NO_RELEASE` before the first."""
    return f"{root(environment)}/current-release"


def canary_release(environment: str) -> str:
    """The split while a release is in its canary (`taskfleet.contract.split`), or `NO_RELEASE`."""
    return f"{root(environment)}/canary-release"


NO_RELEASE = "none"


def release_manifest(environment: str, release: str) -> str:
    """The manifest of one release (`taskfleet.contract.manifest`), written by its stack."""
    return f"{release_manifests(environment)}/{names.check('release', release)}"


def release_manifests(environment: str) -> str:
    """The path under which all manifests are listed."""
    return f"{root(environment)}/releases"


def release_answer(environment: str, release: str) -> str:
    """The URL at which CloudFormation waits for the controller's answer about one release."""
    return f"{release_answers(environment)}/{names.check('release', release)}"


def release_answers(environment: str) -> str:
    """The path under which all of these are listed."""
    return f"{root(environment)}/answers"


def release_begun(environment: str, release: str) -> str:
    """The same manifest, written before anything of its stack runs: one that fails is known by it."""
    return f"{releases_begun(environment)}/{names.check('release', release)}"


def releases_begun(environment: str) -> str:
    """The path under which all of these are listed."""
    return f"{root(environment)}/begun"


# What the long-lived stacks tell the release stacks. Lists are joined by commas.
BASE = (
    "vpc-id",
    "private-subnet-ids",
    "availability-zones",
    "worker-security-group-id",
    "key-arn",
    "broker-host",
    "broker-port",
    "broker-secret-arn",
    "broker-group",
    "broker-snapshot",
    "cluster-arn",
    "alarm-topic-arn",
    "state-table-arn",
    "tools-table-arn",
    "result-backend",
    "results-secret-arn",
)


# What `broker-snapshot` says of a broker that began empty.
NO_SNAPSHOT = "none"


def base(environment: str, name: str) -> str:
    """The parameter that holds one value of the long-lived stacks; ``name`` is one of `BASE`."""
    if name not in BASE:
        raise names.InvalidName(
            f"{name!r} is not published by the long-lived stacks: one of {', '.join(BASE)}"
        )
    return f"{root(environment)}/base/{name}"
