"""A small environment for each test that publishes or works."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from taskfleet import aws as aws_clients

from tests.support.ministack import MiniStack
from tests.support.tiny_fleet import TinyFleet
from tests.support.valkey import Valkey


@pytest.fixture
def fleet(
    own_valkey: Valkey, aws_environment: MiniStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TinyFleet]:
    """An environment whose current release is `r1`, with a Valkey of its own behind TLS."""
    name = f"t{uuid.uuid4().hex[:8]}"
    made = TinyFleet(name, tmp_path, own_valkey, aws_environment)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.front.ca))
    monkeypatch.setenv("TASKFLEET_ENVIRONMENT", name)
    aws_clients._clients.after_fork()  # another test's account may be gone
    made.deploy("r1")
    made.promote("r1")
    yield made
    made.close()


@pytest.fixture
def stopped_aws(fleet: TinyFleet, own_aws: MiniStack, monkeypatch: pytest.MonkeyPatch) -> MiniStack:
    """Moves the environment to an account of its own, which the test may hang or kill."""
    fleet.move(own_aws)
    for variable, value in own_aws.environment.items():
        monkeypatch.setenv(variable, value)
    aws_clients._clients.after_fork()
    return own_aws


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """As often as it has items, no thread of ours can be started; each attempt takes one."""
    attempts: list[str] = []
    start = threading.Thread.start

    def failing(thread: Any) -> None:
        if thread.name.startswith("taskfleet-") and attempts:
            attempts.pop()
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", failing)
    return attempts
