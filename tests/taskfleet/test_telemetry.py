"""What Sentry and OpenTelemetry call a process, and who wins."""

from __future__ import annotations

from taskfleet import telemetry


def named(release: str | None = "r1", **environ: str) -> dict[str, str]:
    telemetry.name_process(environment="dev", release=release, service="low", environ=environ)
    return environ


def test_a_worker_has_its_release_and_beat_without_one_has_none() -> None:
    assert named() == {
        "SENTRY_ENVIRONMENT": "dev",
        "SENTRY_RELEASE": "r1",
        "OTEL_RESOURCE_ATTRIBUTES": "service.name=low,deployment.environment.name=dev,service.version=r1",
    }
    assert named(None).keys() == {"SENTRY_ENVIRONMENT", "OTEL_RESOURCE_ATTRIBUTES"}


def test_what_the_team_says_wins() -> None:
    said = named(
        SENTRY_ENVIRONMENT="eu", SENTRY_RELEASE="shop@7", OTEL_RESOURCE_ATTRIBUTES="service.name=shop,team=a"
    )

    assert (said["SENTRY_ENVIRONMENT"], said["SENTRY_RELEASE"]) == ("eu", "shop@7")
    # The SDK reads them in their order.
    read = dict(pair.split("=") for pair in said["OTEL_RESOURCE_ATTRIBUTES"].split(","))
    assert read == {
        "service.name": "shop",
        "team": "a",
        "service.version": "r1",
        "deployment.environment.name": "dev",
    }
