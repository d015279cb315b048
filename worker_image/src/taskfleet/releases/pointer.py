"""The pointer's published copy: two SSM parameters, which every producer reads."""

from __future__ import annotations

from typing import Any

from taskfleet.contract import parameters
from taskfleet.contract.manifest import ReleaseManifest
from taskfleet.contract.split import split_of
from taskfleet.releases.model import Published
from taskfleet.releases.observation import Deployment


def published(ssm: Any, environment: str) -> Published:
    """What producers read now; `NO_RELEASE` before the first release. ``ValueError`` for no such thing."""
    current, canary = parameters.current_release(environment), parameters.canary_release(environment)
    reply = ssm.get_parameters(Names=[current, canary])
    values = {entry["Name"]: str(entry["Value"]) for entry in reply["Parameters"]}
    return Published(values.get(current, parameters.NO_RELEASE), split_of(values.get(canary)))


def publish(ssm: Any, environment: str, told: Published, before: Published) -> None:
    """Tell producers, of whom ``before`` is what they were told."""
    if told.release != before.release:
        _put(ssm, parameters.current_release(environment), told.release)
    if told.split != before.split:
        value = told.split.to_json() if told.split else parameters.NO_RELEASE
        _put(ssm, parameters.canary_release(environment), value)


def _put(ssm: Any, name: str, value: str) -> None:
    ssm.put_parameter(Name=name, Value=value, Type="String", Overwrite=True)


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
