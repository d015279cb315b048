"""SSM throttles the account: forty requests a second for everybody, and 500 processes that publish."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from moto import mock_aws
from taskfleet import aws
from taskfleet.contract import names, parameters, state
from taskfleet.publishing import parameters as parameters_module
from taskfleet.publishing.parameters import READ_SECONDS, Parameters, Throttled
from taskfleet.publishing.pointer import Releases
from taskfleet.releases.items import from_pointer, wire
from taskfleet.releases.model import Pointer

from tests.taskfleet.releases.factory import manifest, record

PROCESSES, PER_SECOND = 500, 40
POINTER = parameters.current_release("dev")


class Ssm:
    """A clock, forty requests for each second of it, and what the two stores hold."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.values = {POINTER: "r1"}
        for release in ("r1", "r2"):
            self.values[parameters.release_manifest("dev", release)] = manifest(release).to_json()
        self.asked: dict[int, int] = {}

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def get(self, *names: str) -> list[str | None]:
        second = int(self.now)
        self.asked[second] = self.asked.get(second, 0) + 1
        if self.asked[second] > PER_SECOND:
            raise Throttled("Rate exceeded")
        return self.kept(*names)

    def kept(self, *names: str) -> list[str | None]:
        return [self.values.get(name) for name in names]

    def process(self) -> Releases:
        read = Parameters("dev", ssm=self.get, state_table=self.kept, clock=self.clock, sleep=self.sleep)
        return Releases("dev", read, self.clock)


def test_no_publish_of_500_processes_fails_and_all_follow_a_promotion() -> None:
    ssm = Ssm()
    processes = [ssm.process() for _ in range(PROCESSES)]

    def publish_everywhere() -> set[str]:
        ssm.now += 1
        return {release for each in processes if (release := each.current()) and each.queues(release)}

    for _ in range(20):
        assert publish_everywhere() == {"r1"}
    ssm.values[POINTER] = "r2"
    for _ in range(6):
        followed = publish_everywhere()
    assert followed == {"r2"}
    # Those that were throttled leave the limit to others: after the first moments few requests are too many.
    assert sum(count > PER_SECOND for count in list(ssm.asked.values())[5:]) < 5


def test_what_ssm_can_not_give_is_read_from_the_state_table() -> None:
    def ssm(*names: str) -> list[str | None]:
        raise OSError("SSM is away")

    assert Parameters("dev", ssm=ssm, state_table=lambda name: ["r2"])("/a") == ["r2"]
    with pytest.raises(OSError, match="SSM is away"):
        Parameters("dev", ssm=ssm, state_table=lambda name: [None])("/a")


def test_without_the_state_table_a_throttled_read_is_tried_again_for_as_long_as_a_publish_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        parameters_module, "PAUSE_SECONDS", (0.45, 0.45)
    )  # the third would end too late, and is cut short
    ssm = Ssm()
    ssm.asked[1000] = PER_SECOND  # the rest of this second is taken

    read = Parameters("dev", ssm=ssm.get, state_table=lambda name: [None], clock=ssm.clock, sleep=ssm.sleep)

    assert read(POINTER) == ["r1"]
    assert 1001 <= ssm.now <= 1000 + READ_SECONDS + 0.1


@pytest.fixture
def throttled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An account with a state table, whose SSM answers as one that has too many requests."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SSM", "AWS_ENDPOINT_URL_DYNAMODB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        aws._clients.after_fork()
        for call in ("GetParameter", "GetParameters"):
            aws.client("ssm", aws.PROMPT).meta.events.register_first(
                f"before-send.ssm.{call}", _rate_exceeded
            )
        _state_table()
        yield
    aws._clients.after_fork()


def _rate_exceeded(request: object, **_: object) -> AWSResponse:
    class Raw:
        """As urllib3's."""

        def stream(self, **_: object) -> Iterator[bytes]:
            yield b'{"__type": "ThrottlingException", "message": "Rate exceeded"}'

    return AWSResponse("https://ssm.eu-west-1.amazonaws.com", 400, {}, Raw())


def _state_table() -> None:
    dynamodb = boto3.client("dynamodb", region_name="eu-west-1")
    dynamodb.create_table(
        TableName=names.state_table("dev"),
        KeySchema=[{"AttributeName": state.KEY, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": state.KEY, "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    from taskfleet.releases.items import from_record

    for item in (from_pointer(Pointer(release="r1", version=1)), from_record(record("r1"))):
        dynamodb.put_item(TableName=names.state_table("dev"), Item=wire(item))


@pytest.mark.usefixtures("throttled")
def test_what_the_controller_keeps_is_read_while_ssm_throttles() -> None:
    releases = Releases("dev")

    assert releases.current() == "r1"
    assert releases.queues("r1") == set(manifest("r1").queues)


@pytest.mark.usefixtures("throttled")
def test_a_release_that_neither_has_is_said_to_be_throttled_not_missing() -> None:
    with pytest.raises(Throttled, match="raise Parameter Store's throughput"):
        Parameters("dev")(parameters.release_manifest("dev", "r9"))
