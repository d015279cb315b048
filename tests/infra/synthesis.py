"""Synthesize settings and read the templates back as plain data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from aws_cdk import App
from taskfleet.contract import names, parameters

from infra.app import build
from infra.checks.access.resolve import Account
from infra.settings import Settings
from tests.support import reference as environments

ROOT = Path(__file__).parents[2]
FLAGS = json.loads((ROOT / "cdk.json").read_text())["context"]
RELEASE = "r1"

Template = dict[str, Any]


@dataclass(frozen=True)
class Synthesis:
    """A cloud assembly on disk."""

    directory: Path

    @cached_property
    def templates(self) -> dict[str, Template]:
        """Stack name (``taskfleet-dev-network``) → template."""
        files = sorted(self.directory.glob("assembly-*/*.template.json"))
        return {_stack_name(file): json.loads(file.read_text()) for file in files}

    @cached_property
    def files(self) -> list[Path]:
        """The templates' files."""
        return sorted(self.directory.glob("assembly-*/*.template.json"))

    def of(self, environment: str, stack: str) -> Template:
        """The template of one stack: ``of("dev", "network")``."""
        return self.templates[names.stack(environment, stack)]

    def account(self, settings: Settings) -> Account:
        """The templates of one environment, in its account."""
        begins = f"{names.PROJECT}-{settings.name}-"
        mine = {name: one for name, one in self.templates.items() if name.startswith(begins)}
        return Account(settings.account, settings.region, mine)

    def resources(self, type: str | None = None) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """(stack name, logical id, resource) of every resource of a type in all stacks."""
        for stack, template in self.templates.items():
            for logical_id, resource in template["Resources"].items():
                if type is None or resource["Type"] == type:
                    yield stack, logical_id, resource


def _stack_name(file: Path) -> str:
    manifest = json.loads((file.parent / "manifest.json").read_text())
    for artifact in manifest["artifacts"].values():
        if artifact.get("properties", {}).get("templateFile") == file.name:
            return str(artifact["properties"]["stackName"])
    raise LookupError(f"{file.name} is in no manifest")


def synthesize(
    directory: Path,
    settings: Sequence[Settings] = environments.ALL,
    context: Mapping[str, object] | None = None,
) -> Synthesis:
    """Build the app of these settings and write its templates; raises what synth raises."""
    chosen = {"release": RELEASE, "placeholder-account": "allowed", **(context or {})}
    app = build(
        App(outdir=str(directory), context={**FLAGS, **chosen}, analytics_reporting=False), settings=settings
    )
    app.synth()
    return Synthesis(directory)


def of_type(template: Template, type: str) -> dict[str, dict[str, Any]]:
    """Logical id → properties of the resources of one type in one template."""
    return {
        logical_id: resource.get("Properties", {})
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] == type
    }


def only(template: Template, type: str) -> dict[str, Any]:
    """The properties of the one resource of its type."""
    (properties,) = of_type(template, type).values()
    return properties


def managed_policy(template: Template, name: str) -> dict[str, Any]:
    """The managed policy of this name."""
    found = of_type(template, "AWS::IAM::ManagedPolicy").values()
    return next(one for one in found if one["ManagedPolicyName"] == name)


def written(release: Template, environment: str) -> str:
    """The manifest that a release's stack writes, as JSON."""
    name = parameters.release_manifest(environment, RELEASE)
    return next(
        str(p["Value"]) for p in of_type(release, "AWS::SSM::Parameter").values() if p["Name"] == name
    )


def task(synthesis: Synthesis, service: str, *, environment: str = "dev") -> dict[str, Any]:
    """The task definition of a service of the release."""
    found = of_type(synthesis.of(environment, f"release-{RELEASE}"), "AWS::ECS::TaskDefinition").values()
    return next(one for one in found if one["Family"] == names.task_family(environment, service))
