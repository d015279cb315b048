"""The pointer's published copy: one SSM parameter, which every producer reads."""

from __future__ import annotations

from typing import Any

from taskfleet.contract import parameters
from taskfleet.contract.manifest import ReleaseManifest
from taskfleet.releases.observation import Deployment


def published(ssm: Any, environment: str) -> str:
    """What producers read now; `NO_RELEASE` before the first release."""
    try:
        value = ssm.get_parameter(Name=parameters.current_release(environment))["Parameter"]["Value"]
    except ssm.exceptions.ParameterNotFound:
        return parameters.NO_RELEASE
    return str(value)


def publish(ssm: Any, environment: str, release: str) -> None:
    """Tell producers which release is current."""
    ssm.put_parameter(
        Name=parameters.current_release(environment), Value=release, Type="String", Overwrite=True
    )


def deployments(ssm: Any, environment: str) -> dict[str, Deployment]:
    """The last deployment of every release whose stack exists and says where its answer is awaited."""
    pages = ssm.get_paginator("get_parameters_by_path").paginate(Path=parameters.release_answers(environment))
    return {
        entry["Name"].rpartition("/")[2]: _deployment(entry["Value"], entry["LastModifiedDate"].timestamp())
        for page in pages
        for entry in page["Parameters"]
    }


def _deployment(value: str, since: float) -> Deployment:
    """The URL and, of a release that is rolled, the build."""
    url, _, build = value.partition(" ")
    return Deployment(url, since, build)


def manifests(ssm: Any, environment: str) -> dict[str, ReleaseManifest]:
    """The manifest of every release whose stack exists. ``ValueError`` if one can't be read."""
    return _manifests(ssm, parameters.release_manifests(environment))


def begun(ssm: Any, environment: str) -> dict[str, ReleaseManifest]:
    """The manifest of every release whose stack exists or has begun. ``ValueError`` if one can't be read."""
    return _manifests(ssm, parameters.releases_begun(environment))


def _manifests(ssm: Any, path: str) -> dict[str, ReleaseManifest]:
    pages = ssm.get_paginator("get_parameters_by_path").paginate(Path=path)
    found = [ReleaseManifest.from_json(entry["Value"]) for page in pages for entry in page["Parameters"]]
    return {manifest.release: manifest for manifest in found}
