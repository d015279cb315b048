"""The CDK app: one Stage per environment. ``cdk.json`` runs this; `infra.app` builds it."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

from aws_cdk import App
from taskfleet.errors import SettingsError

SETTINGS = Path(__file__).parent / "infra" / "environments.py"


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
    except Exception as error:
        said = _said(error)
        if said is None:
            raise
        sys.exit(said)


def _said(error: Exception) -> str | None:
    """What went wrong; None for what only a traceback explains."""
    if isinstance(error, RuntimeError) and str(error).startswith("ValidationFailed"):
        return str(error)  # from jsii, of the CDK's own; the findings themselves are printed already
    if isinstance(error, SyntaxError) and error.filename == str(SETTINGS):
        line, why = error.lineno, error.msg
    else:
        # The last of the frames: an error within one of our own functions is theirs to explain.
        *_, frame = traceback.extract_tb(error.__traceback__)
        if frame.filename != str(SETTINGS):
            return None
        line, why = frame.lineno, f"{type(error).__name__}: {error}"
    return (
        f"SettingsError: infra/environments.py, line {line}: {why}. What each setting is called, and its "
        "type, is in infra/settings.py"
    )


if __name__ == "__main__":
    main()
