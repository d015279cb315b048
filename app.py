"""The CDK app: one Stage per environment. ``cdk.json`` runs this; `infra.app` builds it."""

from __future__ import annotations

import sys
from pathlib import Path

from aws_cdk import App
from taskfleet.errors import SettingsError


def main() -> None:
    """Write the templates, or say in a few lines why not: a traceback would only bury them."""
    try:
        # They read the settings, so they may fail as well.
        from infra.app import build
        from infra.needs import summary

        assembly = build(App(analytics_reporting=False)).synth()
        for line in summary(Path(assembly.directory)):
            print(line, file=sys.stderr)
    except SettingsError as error:
        sys.exit(f"SettingsError: {error}")
    except RuntimeError as error:
        # From jsii, of the CDK's own: the findings themselves are printed already.
        if not str(error).startswith("ValidationFailed"):
            raise
        sys.exit(str(error))


if __name__ == "__main__":
    main()
