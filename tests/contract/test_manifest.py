"""The manifest: what a stack writes is what the controller and producers read."""

from __future__ import annotations

import json

import pytest
from taskfleet.contract.manifest import BeforeGate, PoolManifest, ReleaseManifest

POOL = PoolManifest(
    name="low",
    queues=("low", "etl"),
    helps=("high",),
    slots=4,
    min_workers=1,
    max_workers=10,
    latency_target_seconds=300,
)
MANIFEST = ReleaseManifest(
    release="r1",
    image="sha256:0123",
    pools=(POOL, PoolManifest("high", ("high",), (), 2, 0, 3, 10)),
    drain_deadline_seconds=3600,
    confirmed=("etl",),
    default_queue="low",
    before_gate=BeforeGate(("python", "migrate.py"), pool="low", timeout_seconds=60),
)


def test_what_is_written_is_read_back() -> None:
    assert ReleaseManifest.from_json(MANIFEST.to_json()) == MANIFEST


def test_an_older_manifest_has_no_confirmed_queues_and_no_default_queue() -> None:
    new = ("confirmed", "default_queue")
    older = {k: v for k, v in json.loads(MANIFEST.to_json()).items() if k not in new}

    assert ReleaseManifest.from_json(json.dumps(older)).confirmed == ()
    assert ReleaseManifest.from_json(json.dumps(older)).default_queue is None


def test_what_a_later_version_adds_stops_no_older_producer() -> None:
    later = json.loads(MANIFEST.to_json())
    later["colour"] = "green"
    later["pools"][0]["colour"] = "blue"

    assert ReleaseManifest.from_json(json.dumps(later)) == MANIFEST


def test_queues_are_those_that_pools_own_not_those_they_help_with() -> None:
    assert MANIFEST.queues == ("low", "etl", "high")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "none",
        "[]",
        "{}",
        "null",
        '"r1"',
        json.dumps({k: v for k, v in json.loads(MANIFEST.to_json()).items() if k != "image"}),
        json.dumps({**json.loads(MANIFEST.to_json()), "pools": [{"name": "low"}]}),
        json.dumps({**json.loads(MANIFEST.to_json()), "pools": None}),
    ],
)
def test_anything_else_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json's own errors are ValueErrors too
        ReleaseManifest.from_json(text)


def test_a_release_of_many_pools_fits_a_standard_parameter() -> None:
    pools = tuple(
        PoolManifest(f"pool_{n:02d}", (f"queue_{n:02d}", f"other_{n:02d}"), ("high",), 8, 1, 100, 300)
        for n in range(20)
    )
    big = ReleaseManifest("s0123456789", f"registry/x@sha256:{'0' * 64}", pools, 86400)
    assert len(big.to_json().encode()) < 4096
