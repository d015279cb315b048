"""The templates of an environment as synth writes them, for what is calculated from them."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aws_cdk import App

from infra.app import build
from infra.settings import Settings

Template = Mapping[str, Any]
Resource = Mapping[str, Any]
RELEASE = "any"


def templates(settings: Settings) -> dict[str, Template]:
    """By the stack's id in its stage: ``network``, ``broker``, ``fleet``, ``release-any``. No AWS call."""
    flags = json.loads((Path(__file__).parents[1] / "cdk.json").read_text())["context"]
    context = flags | {"env": settings.name, "release": RELEASE, "placeholder-account": "allowed"}
    with tempfile.TemporaryDirectory() as out:
        with _quiet():
            build(App(outdir=out, context=context, analytics_reporting=False), settings=[settings]).synth()
        return read(Path(out) / f"assembly-{settings.name}")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What the CDK prints while it synthesizes (its own process, hence the descriptor) only if that fails."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except BaseException:
            said.seek(0)
            os.write(kept, said.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)


def read(assembly: Path) -> dict[str, Template]:
    """The templates of one stage's assembly."""
    artifacts = json.loads((assembly / "manifest.json").read_text())["artifacts"].values()
    return {
        artifact["displayName"].rpartition("/")[2].partition(" ")[0]: json.loads(
            (assembly / artifact["properties"]["templateFile"]).read_text()
        )
        for artifact in artifacts
        if artifact["type"] == "aws:cloudformation:stack"
    }


def of_type(template: Template, kind: str) -> dict[str, Resource]:
    """Logical id → properties of a template's resources of one type."""
    return {
        name: resource.get("Properties", {})
        for name, resource in template["Resources"].items()
        if resource["Type"] == kind
    }
