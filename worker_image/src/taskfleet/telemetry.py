"""What the team's own Sentry and OpenTelemetry call a process of the fleet.

Both SDKs read it from the environment as the application is imported, so it is there before. What the
settings of the environment say (``variables``) wins, and what the application says itself wins over both.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

_SENTRY_ENVIRONMENT, _SENTRY_RELEASE = "SENTRY_ENVIRONMENT", "SENTRY_RELEASE"
_RESOURCE = "OTEL_RESOURCE_ATTRIBUTES"


def name_process(
    *, environment: str, release: str | None, service: str, environ: MutableMapping[str, str] = os.environ
) -> None:
    """``service`` is the pool's name, or the role's. ``release`` is None where the process has none."""
    attributes = {"service.name": service, "deployment.environment.name": environment}
    environ.setdefault(_SENTRY_ENVIRONMENT, environment)
    if release is not None:
        environ.setdefault(_SENTRY_RELEASE, release)
        attributes["service.version"] = release
    # The same key again wins, so the team's come last.
    said = [f"{name}={value}" for name, value in attributes.items()]
    environ[_RESOURCE] = ",".join([*said, *filter(None, [environ.get(_RESOURCE)])])
