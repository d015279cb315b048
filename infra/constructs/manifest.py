"""The manifest of a release, from the settings."""

from __future__ import annotations

from dataclasses import replace

from taskfleet.contract.manifest import BeforeGate, PoolManifest, ReleaseManifest
from taskfleet.errors import SettingsError

from infra.settings import Pool, Settings

MAX_BYTES = 4096  # SSM, standard tier


def release_manifest(
    settings: Settings, *, release: str, image: str, build: str | None = None
) -> ReleaseManifest:
    """What ``release`` deploys. Raises ``SettingsError`` if it doesn't fit into an SSM parameter."""
    manifest = ReleaseManifest(
        release=release,
        image=image,
        pools=tuple(_pool(pool) for pool in settings.pools),
        drain_deadline_seconds=settings.drain_deadline_seconds,
        confirmed=settings.confirmed_queues,
        promotion=settings.promotion.value,
        default_queue=settings.default_queue,
        before_gate=_before_gate(settings),
        warm_seconds=settings.warm_seconds,
        delete_after_seconds=settings.delete_after_seconds,
        keep_failed_seconds=settings.keep_failed_seconds,
        max_live_releases=settings.max_live_releases,
        beat=True,
        build=build,
        etas_beyond_seconds=settings.etas_beyond_seconds,
        canary=settings.canary,
        bake_seconds=settings.bake_seconds,
    )
    size = _bytes(manifest)
    if size > MAX_BYTES:
        command = size - _bytes(replace(manifest, before_gate=None))
        raise SettingsError(
            f"{settings.name}: the release's manifest has {size} bytes, {command} of them before_gate, and "
            f"an SSM parameter holds {MAX_BYTES}. Fix: "
            + (
                "put the command into a script of the image, and name that in before_gate"
                if size - command <= MAX_BYTES
                else "use fewer or shorter names of pools and queues (infra/environments.py)"
            )
        )
    return manifest


def _bytes(manifest: ReleaseManifest) -> int:
    return len(manifest.to_json().encode())


def _before_gate(settings: Settings) -> BeforeGate | None:
    if not settings.before_gate:
        return None
    return BeforeGate(
        command=settings.before_gate,
        pool=settings.default_pool.name,
        timeout_seconds=settings.before_gate_timeout_seconds,
    )


def _pool(pool: Pool) -> PoolManifest:
    return PoolManifest(
        name=pool.name,
        queues=pool.queues,
        helps=pool.helps,
        slots=pool.concurrency,
        min_workers=pool.min_workers,
        max_workers=pool.max_workers,
        latency_target_seconds=pool.latency_target_seconds,
        longest_countdown_seconds=pool.limits.longest_countdown_seconds,
        warm_fallback_workers=pool.warm_fallback_workers,
        max_fallback_workers=pool.max_fallback_workers,
    )
