"""``python -m infra.policies ENV``: write the policies, and say how they are used."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infra import policies, templates
from infra.chosen import ALL
from infra.policies import deployer, execution
from infra.policies.execution import Place
from infra.preflight.account import bootstrap_command
from infra.settings import Settings

FOLDER = Path("build") / "policies"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m infra.policies", description=policies.__doc__)
    parser.add_argument("environment", choices=[one.name for one in ALL])
    (settings,) = (one for one in ALL if one.name == parser.parse_args().environment)
    folder = FOLDER / settings.name
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.json"):
        old.unlink()
    files = [_write(folder / "deployer.json", deployer.document(settings))]
    made = execution.documents(execution.types(_templates(settings)), Place.of(settings))
    files += [
        _write(folder / f"execution-{number}.json", document) for number, document in enumerate(made, start=1)
    ]
    print(page(settings, files))
    return 0


def _templates(settings: Settings) -> list[templates.Template]:
    """Of every environment that the bootstrap's role is for: those of the same account and region."""
    place = Place.of(settings)
    return [
        template for one in ALL if Place.of(one) == place for template in templates.templates(one).values()
    ]


def _write(file: Path, document: dict[str, Any]) -> Path:
    file.write_text(json.dumps(document, indent=2) + "\n")
    return file


def page(settings: Settings, files: Sequence[Path]) -> str:
    """What is to be done with the files."""
    execution_files = [file for file in files if file.stem.startswith("execution")]
    # IAM has one list of names for all regions and bootstraps of an account.
    begins = f"taskfleet-{settings.bootstrap_qualifier}-{settings.region}"
    arns = [f"arn:aws:iam::{settings.account}:policy/{begins}-{file.stem}" for file in execution_files]
    lines = [
        "The role that deploys (docs/deploying-from-ci.md):",
        f"  aws iam create-policy --policy-name taskfleet-{settings.name}-deployer "
        f"--policy-document file://{files[0]}",
        "",
        f"What CloudFormation may do, once for account {settings.account} and region {settings.region}:",
        *(
            f"  aws iam create-policy --policy-name {begins}-{file.stem} --policy-document file://{file}"
            for file in execution_files
        ),
        f"  {bootstrap_command(settings)} --cloudformation-execution-policies {','.join(arns)}",
        "",
        "One that exists already takes a new version:",
        "  aws iam create-policy-version --policy-arn ARN --policy-document file://FILE --set-as-default",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
