"""The CDK app: one Stage per environment. ``cdk.json`` runs this; `infra.app` builds it."""

from __future__ import annotations

import sys

from aws_cdk import App
from taskfleet.errors import SettingsError

from infra.app import build

if __name__ == "__main__":
    try:
        app = build(App(analytics_reporting=False))
    except SettingsError as error:
        sys.exit(f"SettingsError: {error}")  # the message says it all; a traceback would only bury it
    app.synth()
