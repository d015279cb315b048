"""The CDK app: one Stage per environment. ``cdk.json`` runs this; `infra.app` builds it."""

from __future__ import annotations

import sys

from aws_cdk import App
from taskfleet.errors import SettingsError

from infra.app import build


def main() -> None:
    """Write the templates, or say in a few lines why not: a traceback would only bury them."""
    try:
        build(App(analytics_reporting=False)).synth()
    except SettingsError as error:
        sys.exit(f"SettingsError: {error}")
    except RuntimeError as error:  # what jsii makes of every error of the CDK's
        if not str(error).startswith("ValidationFailed"):
            raise
        sys.exit(str(error))  # the findings themselves are printed already


if __name__ == "__main__":
    main()
