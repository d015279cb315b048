"""While a release is in its canary, a share of workflows goes to it, each as a whole; what is bound stays."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from botocore.exceptions import ClientError
from celery import Celery, chain, chord, group
from taskfleet import aws, publish_many
from taskfleet.contract import names, parameters, state
from taskfleet.contract.leases import LEASE_SECONDS
from taskfleet.contract.split import Split, split_of
from taskfleet.publishing.address import versioned
from taskfleet.publishing.parameters import Parameters, Ssm, StateTable
from taskfleet.publishing.pointer import KEEP_SECONDS, Releases
from taskfleet.releases.items import from_pointer, wire
from taskfleet.releases.model import Pointer

from tests.support.tiny_fleet import TinyFleet
from tests.taskfleet.test_leasing import LeaseStore, lease_of
from tests.taskfleet.test_pointer import Ssm as Fake

ROOTS = [f"root-{n}" for n in range(4000)]


@pytest.fixture
def ssm() -> Fake:
    made = Fake()
    made.deploy("r1")
    made.deploy("r2", current=False)
    made.split("r2", 0.25)
    return made


def to(releases: Releases, root: str | None, queue: str = "low", bound: str | None = None) -> str:
    return versioned(queue, bound_release=bound, releases=releases, root=root).release


def test_a_share_of_workflows_goes_to_the_canary_and_each_always_to_the_same(ssm: Fake) -> None:
    releases = ssm.releases()
    first = [to(releases, root) for root in ROOTS]
    assert Counter(first)["r2"] == pytest.approx(len(ROOTS) * 0.25, rel=0.1)
    assert [to(ssm.releases(), root) for root in ROOTS] == first, "in another process, too"
    assert 0.4 < sum(Split("r3", "r1", 0.5).takes(root) for root in ROOTS) / len(ROOTS) < 0.6


def test_what_is_bound_or_names_its_queue_is_not_split(ssm: Fake) -> None:
    ssm.split("r2", 1.0)
    releases = ssm.releases()
    assert to(releases, "x") == "r2"
    assert to(releases, "x", bound="r1") == "r1"
    assert to(releases, "x", queue="low.r1") == "r1"
    assert to(releases, None) == "r1"
    assert releases.current() == "r1", "beat, chunks: what follows the current release"


def test_what_the_canary_has_no_queue_for_stays(ssm: Fake) -> None:
    ssm.split("r2", 1.0)
    manifest = ssm.values[parameters.release_manifest("dev", "r1")]
    ssm.values[parameters.release_manifest("dev", "r1")] = manifest.replace('["low"]', '["low","old"]')
    assert to(ssm.releases(), "x", queue="old") == "r1"


@pytest.mark.parametrize(
    "value",
    ["none", "{", '{"release":"r2"}', Split("r2", "r0", 1.0).to_json(), Split("r9", "r1", 1.0).to_json()],
)
def test_a_split_that_is_none_or_of_another_pointer_or_without_a_manifest_is_ignored(
    ssm: Fake, value: str
) -> None:
    ssm.values[parameters.canary_release("dev")] = value
    assert {to(ssm.releases(), root) for root in ROOTS[:50]} == {"r1"}


def test_it_ends_as_soon_as_the_pointer_is_read_again(ssm: Fake) -> None:
    ssm.split("r2", 1.0)
    releases = ssm.releases()
    assert to(releases, "x") == "r2"
    ssm.values[parameters.canary_release("dev")] = parameters.NO_RELEASE
    ssm.now += KEEP_SECONDS
    assert to(releases, "x") == "r1"


def test_a_lease_says_that_a_process_may_publish_to_both(ssm: Fake) -> None:
    kept, releases = LeaseStore(), ssm.releases()
    lease = lease_of(ssm, releases, kept)
    lease.used(releases.current())
    lease._renew()
    assert kept[-1].releases == ("r1", "r2")
    assert kept[-1].until > LEASE_SECONDS
    ssm.values[parameters.canary_release("dev")] = parameters.NO_RELEASE
    ssm.now += KEEP_SECONDS
    lease._renew()
    assert kept[-1].releases == ("r1",)


def test_a_split_is_read_as_it_was_written_and_by_later_versions() -> None:
    split = Split("r2", "r1", 0.05)
    assert split_of(split.to_json()) == split
    assert split_of(split.to_json()[:-1] + ',"later":1}') == split
    assert split_of(None) is split_of("none") is None


class Denies:
    """An account whose policy is that of the version before: GetParameter of the current release alone."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def get_parameters(self, Names: list[str]) -> dict[str, Any]:  # noqa: N803 - boto3's
        self.asked.append("several")
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GetParameters")

    def get_parameter(self, Name: str) -> dict[str, Any]:  # noqa: N803 - boto3's
        self.asked.append("one")
        return {"Parameter": {"Value": "r1"}}


def test_a_role_of_the_version_before_publishes_on_and_takes_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Denies()
    monkeypatch.setattr(aws, "client", lambda *_: client)
    read = Parameters("dev", ssm=Ssm())
    for _ in range(2):
        assert list(read("/current", "/canary")) == ["r1", None]
    assert client.asked == ["several", "one", "one"]


def test_while_ssm_is_away_the_state_table_says_both(fleet: TinyFleet) -> None:
    pointer = Pointer("r1", 7, split=Split("r2", "r1", 0.5))
    fleet.aws.client("dynamodb").put_item(
        TableName=names.state_table(fleet.name), Item=wire(from_pointer(pointer))
    )
    read = StateTable(fleet.name)
    wanted = parameters.current_release(fleet.name), parameters.canary_release(fleet.name)
    assert split_of(read(*wanted)[1]) == pointer.split
    assert read(parameters.release_manifest(fleet.name, "r9")) == [None]
    assert state.SPLIT == "split"


# -- on a real broker


@pytest.fixture
def app(fleet: TinyFleet) -> Celery:
    fleet.deploy("r2")
    fleet.aws.client("ssm").put_parameter(
        Name=parameters.canary_release(fleet.name), Value=Split("r2", "r1", 0.5).to_json(), Type="String"
    )
    return fleet.app()


def step(app: Celery, number: int) -> Any:
    return app.signature("shop.step", args=(number,), queue="low")


def counts(fleet: TinyFleet) -> tuple[int, int]:
    return fleet.waiting("low", "r1"), fleet.waiting("low", "r2")


def test_one_producer_publishes_to_both(fleet: TinyFleet, app: Celery) -> None:
    for number in range(100):
        step(app, number).apply_async()
    publish_many(step(app, number) for number in range(100))
    blue, green = counts(fleet)
    assert blue + green == 200
    assert 60 < green < 140


@pytest.mark.parametrize("kind", ["group", "chord", "chords in a group", "groups in publish_many"])
def test_a_workflow_goes_to_one_release_as_a_whole(fleet: TinyFleet, app: Celery, kind: str) -> None:
    app.conf.result_backend = "cache+memory://"
    header = group(step(app, number) for number in range(4))
    whole = {
        "group": lambda: header.apply_async(),
        "chord": lambda: chord(header.clone(), step(app, 9)).apply_async(),
        "chords in a group": lambda: group(
            chord([step(app, 1), step(app, 2)], step(app, 9)),
            chain(step(app, 3), step(app, 4)),
            chord([step(app, 5)], step(app, 9)),
        ).apply_async(),
        "groups in publish_many": lambda: publish_many(
            [group(chord([step(app, 1), step(app, 2)], step(app, 9)), chord([step(app, 5)], step(app, 9)))]
        ),
    }[kind]
    went = Counter()
    before = counts(fleet)
    for _ in range(20):
        whole()
        now = counts(fleet)
        went[now[0] > before[0], now[1] > before[1]] += 1
        before = now
    assert set(went) == {(True, False), (False, True)}, went
