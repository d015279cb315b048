"""The TLS front of the local broker, with a real valkey-server behind it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from local.broker import certificates, control
from local.broker.faults import Command, Fault
from tests.support.processes import free_port, stop, wait_for
from tests.support.valkey import Valkey


class Fronted:
    """A front in its own process, before the valkey-server of the tests."""

    def __init__(self, valkey: Valkey, folder: Path) -> None:
        self.port, self.ca, self.control = free_port(), folder / "ca.pem", folder / "front.sock"
        certificate, key = certificates.ensure(folder / "certificates", self.ca)
        self._password = valkey.password
        command = [sys.executable, "-m", "local.broker", "--port", str(self.port)]
        command += ["--upstream-port", str(valkey.port), "--certificate", str(certificate)]
        self.process = subprocess.Popen([*command, "--key", str(key), "--control", str(self.control)])
        wait_for(self.control.exists, seconds=60, what="the front")

    def client(self, timeout: float = 20.0, *, single: bool = False) -> redis.Redis:
        return redis.Redis(
            host="localhost",
            port=self.port,
            password=self._password,
            ssl=True,
            ssl_cert_reqs="required",
            ssl_ca_certs=str(self.ca),
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=None,
            single_connection_client=single,
        )

    def hasty(self, timeout: float) -> redis.Redis:
        """A client with little patience, but with all that a TLS handshake on a busy machine may need."""
        client = self.client(single=True)
        client.ping()
        client.connection.update_current_socket_timeout(timeout)
        return client

    def fail(self, fault: Fault, seconds: float = 0.0) -> None:
        control.send(self.control, fault, seconds=seconds)


def blocked(valkey: Valkey) -> int:
    """How many clients wait in a blocking command."""
    return int(valkey.client().info("clients")["blocked_clients"])


@pytest.fixture
def front(valkey: Valkey, tmp_path: Path) -> Iterator[Fronted]:
    fronted = Fronted(valkey, tmp_path)
    yield fronted
    stop(fronted.process)


def test_carries_large_values_both_ways(front: Fronted) -> None:
    value = b"x" * 5_000_000
    client = front.client()
    client.set("large", value)
    assert client.get("large") == value


def test_refuses_a_client_that_does_not_trust_its_authority(front: Fronted) -> None:
    stranger = redis.Redis(host="localhost", port=front.port, ssl=True, ssl_cert_reqs="required", retry=None)
    with pytest.raises(redis.ConnectionError, match="certificate"):
        stranger.ping()


def test_keys_are_readable_by_their_owner_alone(front: Fronted, tmp_path: Path) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "certificates").iterdir()}
    assert modes == {"front.pem": 0o600, "front.key": 0o600}
    assert (tmp_path / "certificates").stat().st_mode & 0o777 == 0o700


def test_cut_resets_what_is_open_and_serves_what_is_new(front: Fronted, valkey: Valkey) -> None:
    client, before = front.client(timeout=60), blocked(valkey)
    errors: list[Exception] = []

    def wait() -> None:
        try:
            client.blpop(["nothing"], timeout=60)
        except redis.ConnectionError as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    wait_for(lambda: blocked(valkey) > before, seconds=60, what="a blocked client")
    front.fail(Fault.CUT)
    thread.join(30)
    assert errors
    assert client.ping()


def test_refuse_turns_new_connections_away_until_healed(front: Fronted) -> None:
    front.fail(Fault.REFUSE)
    with pytest.raises(redis.ConnectionError, match="refused"):
        front.client().ping()
    front.fail(Fault.PASS)
    assert front.client().ping()


def test_delay_is_felt_in_both_directions(front: Fronted) -> None:
    client = front.client()
    client.ping()
    front.fail(Fault.DELAY, seconds=0.15)
    began = time.monotonic()
    client.ping()
    assert time.monotonic() - began >= 0.3


def test_black_hole_holds_everything_and_lets_it_arrive_after_healing(front: Fronted) -> None:
    patient, hasty = front.client(), front.hasty(0.3)
    patient.ping()
    front.fail(Fault.BLACKHOLE)
    with pytest.raises(redis.TimeoutError):
        hasty.ping()
    with pytest.raises((redis.TimeoutError, redis.ConnectionError)):
        front.client(timeout=0.3).ping()  # a new connection hangs, too
    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.append(patient.ping()))
    thread.start()
    thread.join(0.3)
    assert not answers
    front.fail(Fault.PASS)
    thread.join(20)
    assert answers == [True]


def test_half_open_kills_only_todays_connections_and_without_a_word(front: Fronted) -> None:
    old = front.hasty(0.5)
    front.fail(Fault.HALF_OPEN)
    with pytest.raises(redis.TimeoutError):
        old.ping()
    assert front.client().ping()


def test_half_open_swallows_what_the_server_sends_to_a_vanished_peer(front: Fronted, valkey: Valkey) -> None:
    waiting, before = front.client(timeout=60), blocked(valkey)
    answers: list[object] = []

    def wait() -> None:
        with contextlib.suppress(redis.ConnectionError):
            answers.append(waiting.blpop(["gone"], timeout=60))

    thread = threading.Thread(target=wait)
    thread.start()
    wait_for(lambda: blocked(valkey) > before, seconds=60, what="a blocked client")
    front.fail(Fault.HALF_OPEN)
    valkey.client().rpush("gone", "message")
    assert valkey.client().llen("gone") == 0  # popped for a peer that is no longer there
    front.fail(Fault.CUT)
    thread.join(30)
    assert not answers


def test_a_dead_server_resets_the_client_at_once(own_valkey: Valkey, tmp_path: Path) -> None:
    fronted = Fronted(own_valkey, tmp_path)
    try:
        assert fronted.client().ping()
        own_valkey.kill()
        with pytest.raises(redis.ConnectionError):  # and not TimeoutError
            fronted.client().ping()
    finally:
        stop(fronted.process)


@pytest.mark.parametrize("line", [{"fault": "explode"}, {"fault": "delay", "seconds": -1}, {"seconds": 1}])
def test_an_unknown_command_is_refused_with_what_is_allowed(line: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"one of|a number from"):
        Command.parse(line)
