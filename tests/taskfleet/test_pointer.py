"""Which release a producer publishes to, when not everything about it can be read."""

from __future__ import annotations

import pytest
from taskfleet.contract import parameters
from taskfleet.contract.manifest import PoolManifest, ReleaseManifest
from taskfleet.contract.split import Split
from taskfleet.errors import PointerUnknown, UnknownQueue
from taskfleet.publishing.address import versioned
from taskfleet.publishing.pointer import KEEP_SECONDS, Releases


class Ssm:
    """Parameters by name; reading one that is in ``away`` fails."""

    def __init__(self) -> None:
        self.now = 0.0
        self.values: dict[str, str] = {}
        self.away: set[str] = set()
        self.reads = 0

    def read(self, *names: str) -> list[str | None]:
        self.reads += names[0] != parameters.current_release("dev")
        if self.away & {*names}:
            raise OSError("throttled")
        return [self.values.get(name) for name in names]

    def split(self, release: str, share: float, beside: str = "r1") -> None:
        self.values[parameters.canary_release("dev")] = Split(release, beside, share).to_json()

    def deploy(self, release: str, *, current: bool = True) -> str:
        """Its manifest's name."""
        name = parameters.release_manifest("dev", release)
        pool = PoolManifest("low", ("low",), (), 1, 1, 1, 60)
        self.values[name] = ReleaseManifest(release, "image", (pool,), 60).to_json()
        if current:
            self.values[parameters.current_release("dev")] = release
        return name

    def releases(self) -> Releases:
        return Releases("dev", self.read, lambda: self.now)


def test_a_new_release_is_followed_only_when_its_queues_are_known() -> None:
    ssm = Ssm()
    ssm.deploy("r1")
    releases = ssm.releases()
    assert releases.queues(releases.current()) == {"low"}

    ssm.away.add(ssm.deploy("r2"))
    ssm.now += KEEP_SECONDS
    assert releases.current() == "r1"

    ssm.away.clear()
    ssm.now += KEEP_SECONDS
    assert releases.current() == "r2"


def test_a_manifest_that_is_none_keeps_a_producer_where_it_is() -> None:
    ssm = Ssm()
    ssm.deploy("r1")
    releases = ssm.releases()
    releases.current()

    ssm.values[ssm.deploy("r2")] = "not a manifest"
    ssm.now += KEEP_SECONDS

    assert releases.current() == "r1"
    with pytest.raises(PointerUnknown, match="can't be understood"):
        releases.queues("r2")


def test_the_first_release_is_followed_whatever_is_known_of_it() -> None:
    ssm = Ssm()
    ssm.away.add(ssm.deploy("r1"))
    releases = ssm.releases()

    assert releases.current() == "r1"
    with pytest.raises(PointerUnknown, match="can't be read"):
        releases.queues("r1")


def test_a_queue_that_was_added_in_place_is_found_and_an_unknown_one_asked_for_once() -> None:
    ssm = Ssm()
    name = ssm.deploy("r1")
    releases = ssm.releases()
    assert versioned("low", bound_release=None, releases=releases).queue == "low.r1"
    pool = PoolManifest("low", ("low", "mail"), (), 1, 1, 1, 60)
    ssm.values[name] = ReleaseManifest("r1", "image", (pool,), 60).to_json()

    assert versioned("mail", bound_release=None, releases=releases).queue == "mail.r1"
    ssm.reads = 0
    for _ in range(3):
        with pytest.raises(UnknownQueue, match="has no queue 'mial'"):
            versioned("mial", bound_release=None, releases=releases)
    assert ssm.reads == 0, "it was read a moment ago"
    ssm.away.add(name)
    ssm.now += KEEP_SECONDS
    with pytest.raises(UnknownQueue):
        versioned("mial", bound_release=None, releases=releases)
    assert versioned("mail", bound_release=None, releases=releases).queue == "mail.r1"
