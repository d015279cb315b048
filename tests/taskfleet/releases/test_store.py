"""The state table on an emulated DynamoDB: conditional writes, and races that exactly one side wins."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable

import pytest
from taskfleet import signatures
from taskfleet.contract import names, parameters
from taskfleet.contract import state as keys
from taskfleet.contract.split import Split
from taskfleet.errors import ReleaseError
from taskfleet.releases import builds, commands, items, pointer
from taskfleet.releases.model import Pointer, Published, State
from taskfleet.releases.store import NO_POINTER, Conflict, Store

from tests.support.ministack import MiniStack
from tests.taskfleet.releases.factory import EMPTY, T0, manifest, proofs, record


def create_table(aws: MiniStack, environment: str) -> None:
    aws.client("dynamodb").create_table(
        TableName=names.state_table(environment),
        KeySchema=[{"AttributeName": keys.KEY, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": keys.KEY, "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


@pytest.fixture
def environment(aws: MiniStack) -> str:
    name = f"t{uuid.uuid4().hex[:8]}"
    create_table(aws, name)
    return name


@pytest.fixture
def store(aws: MiniStack, environment: str) -> Store:
    return Store(aws.client("dynamodb"), environment)


def test_what_is_written_is_read_back(store: Store) -> None:
    drained = record(state=State.DRAINED, at=T0 + 0.125, retiring="ops")
    store.create(drained)
    assert store.scan().records == {"green": drained}
    assert store.read(["green", "no-such"]).records == {"green": drained}


def test_an_empty_table_has_no_pointer_and_no_beat(store: Store) -> None:
    seen = store.read([])
    assert (seen.pointer, seen.beat_at, seen.records, seen.proofs) == (NO_POINTER, None, {}, {})
    assert store.read_look() is None


def test_proofs_and_beat_are_read(aws: MiniStack, environment: str, store: Store) -> None:
    (key,) = proofs("green", "low")
    for item in ({keys.KEY: key, "at": T0}, {keys.KEY: keys.BEAT, "at": T0 + 1}):
        aws.client("dynamodb").put_item(TableName=names.state_table(environment), Item=items.wire(item))
    seen = store.read([], [key])
    assert (seen.proofs, seen.beat_at) == ({key: T0}, T0 + 1)


def test_more_keys_than_one_read_takes(store: Store) -> None:
    for n in range(105):
        store.create(record(f"r{n}"))
    assert len(store.read([f"r{n}" for n in range(105)]).records) == 105
    assert len(store.scan().records) == 105


def test_a_release_is_registered_once(store: Store) -> None:
    store.create(record())
    with pytest.raises(Conflict, match="registered by somebody else"):
        store.create(record(image="sha256:other"))
    assert store.read(["green"]).records["green"].image == "sha256:green"


def test_a_write_over_a_version_that_is_gone_is_refused(store: Store) -> None:
    store.create(record())
    first = record().moved(State.GATING, at=T0, actor="a", reason="first")
    second = record().moved(State.FAILED, at=T0, actor="b", reason="second")
    store.save(first)
    with pytest.raises(Conflict, match="changed by somebody else meanwhile; nothing was written"):
        store.save(second)
    assert store.read(["green"]).records["green"] == first


def _race(*contenders: Callable[[], None]) -> list[str]:
    gate = threading.Barrier(len(contenders))
    results: list[str] = []

    def run(contender: Callable[[], None]) -> None:
        gate.wait()
        try:
            contender()
            results.append("won")
        except Conflict:
            results.append("lost")

    threads = [threading.Thread(target=run, args=(c,)) for c in contenders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(results)


def _promotion(store: Store, release: str) -> Callable[[], None]:
    seen = store.scan()
    made = commands.promote(seen.records, seen.pointer, release, at=T0, actor=release, reason="race")
    assert made is not None
    return lambda: store.promote(made.pointer, made.green)


def test_of_two_racing_promotes_exactly_one_wins(store: Store) -> None:
    for name in ("red", "green"):
        store.create(record(name, State.GATING, gate_passed_at=T0))
    for expected in range(1, 6):
        release = "red", "green"
        assert _race(*(_promotion(store, r) for r in release)) == ["lost", "won"]
        after = store.scan()
        assert after.pointer.version == expected
        current = [r.release for r in after.records.values() if r.state is State.CURRENT]
        assert current == [after.pointer.release]
        back = after.records[after.pointer.release]
        store.save(back.moved(State.DRAINING, at=T0, actor="test", reason="next round"))
        # Point at neither, so that both may try again.
        for_next = Pointer("none", after.pointer.version)
        store._dynamodb.put_item(TableName=store._table, Item=items.wire(items.from_pointer(for_next)))


def test_a_release_is_not_promoted_and_retired_at_once(store: Store) -> None:
    store.create(record("blue", State.CURRENT))
    store.create(record("green", State.DRAINED))
    seen = store.scan()
    retiring = commands.retire(seen.records, Pointer("blue", 1), "green", left=EMPTY, actor="ops")
    assert retiring is not None
    assert _race(_promotion(store, "green"), lambda: store.save(retiring)) == ["lost", "won"]


def test_a_lost_promote_leaves_the_pointer_alone(store: Store) -> None:
    store.create(record("green", State.GATING, gate_passed_at=T0))
    stale = _promotion(store, "green")
    store.save(store.scan().records["green"].moved(State.FAILED, at=T0, actor="c", reason="late"))
    with pytest.raises(Conflict):
        stale()
    assert store.scan().pointer == NO_POINTER


def test_the_look_is_kept(store: Store) -> None:
    store.write_look('{"a":1}', at=T0)
    store.write_look('{"a":2}', at=T0 + 10)
    assert store.read_look() == ('{"a":2}', T0 + 10)


def test_the_pointer_is_published_and_read_back(aws: MiniStack, environment: str) -> None:
    ssm = aws.client("ssm")
    told = pointer.published(ssm, environment)
    assert told == Published("none")
    split = Split("blue", "green", 0.05)
    for wanted in (
        Published("green"),
        Published("green", split),
        Published("blue", split),
        Published("blue"),
    ):
        pointer.publish(ssm, environment, wanted, told)
        told = pointer.published(ssm, environment)
        assert told == wanted
    # What a producer of the version before this one reads.
    name = parameters.current_release(environment)
    assert ssm.get_parameter(Name=name)["Parameter"]["Value"] == "blue"


def test_manifests_are_those_of_the_stacks_that_exist(aws: MiniStack, environment: str) -> None:
    ssm = aws.client("ssm")
    assert pointer.manifests(ssm, environment) == {}
    wanted = {f"r{n}": manifest(f"r{n}") for n in range(12)}  # more than one page
    for release, made in wanted.items():
        ssm.put_parameter(
            Name=f"/taskfleet/{environment}/releases/{release}", Value=made.to_json(), Type="String"
        )
    assert pointer.manifests(ssm, environment) == wanted


def test_the_signatures_of_the_build_whose_gate_passed_are_kept(
    aws: MiniStack, environment: str, store: Store
) -> None:
    dynamodb, table = aws.client("dynamodb"), names.state_table(environment)
    with pytest.raises(ReleaseError, match="the workers of build s1 left no signatures"):
        store.keep_signatures("rolling", "s1")
    tasks = signatures.from_plain({"shop.charge": [["amount", "keyword_only", True]]})
    builds.write(dynamodb, table, keys.newest_signatures("rolling"), builds.Build("s1", T0, tasks))
    with pytest.raises(ReleaseError, match="build s2"):
        store.keep_signatures("rolling", "s2")

    store.keep_signatures("rolling", "s1")
    kept = builds.read(dynamodb, table, keys.signatures("rolling"))
    assert kept is not None
    assert (kept.build, kept.at, str(kept.tasks["shop.charge"])) == ("s1", T0, "(*, amount=None)")

    store.keep_no_signatures("rolling")
    kept = builds.read(dynamodb, table, keys.signatures("rolling"))
    assert kept is not None
    assert signatures.breaks(kept.tasks, {}) == []


def test_a_refused_build_is_read_back(aws: MiniStack, environment: str, store: Store) -> None:
    assert store.refused_build("rolling") is None
    refused = builds.Refused("s2", T0, ("shop.charge: the task is gone",))
    builds.write_refused(aws.client("dynamodb"), names.state_table(environment), "rolling", refused)
    assert store.refused_build("rolling") == refused
    assert store.scan().checks == {}
