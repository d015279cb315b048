"""The worker's side of `taskfleet.brokers.sqs.renewing`: tells that process what is held."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

import boto3

from taskfleet.brokers.sqs import renewing
from taskfleet.brokers.watched import Watched

logger = logging.getLogger(__name__)

# Receipt handle → queue URL, and when it was received, in seconds since the epoch.
Held = Mapping[str, tuple[str, float]]

START_AGAIN_SECONDS = 5.0


class Account:
    """How to reach SQS: what a boto3 session and a client of it are made with."""

    def __init__(self, session: Mapping[str, Any], client: Mapping[str, Any]) -> None:
        self._session_options, self._client_options = session, client

    def client(self) -> Any:
        """One of its own: a long poll must not hold up a delete, nor a closed channel either."""
        return boto3.Session(**self._session_options).client("sqs", **self._client_options)

    def told(self) -> dict[str, Any]:
        """For a process without boto3: endpoint, region, and the credentials as they are now."""
        known = self._session.get_credentials()
        if known is None:
            raise LookupError("there are no credentials of AWS")
        frozen = known.get_frozen_credentials()
        return {
            "endpoint": self._meta.endpoint_url,
            "region": self._meta.region_name,
            "key": frozen.access_key,
            "secret": frozen.secret_key,
            "token": frozen.token,
        }

    @cached_property
    def _session(self) -> Any:
        return boto3.Session(**self._session_options)

    @cached_property
    def _meta(self) -> Any:
        return self._session.client("sqs", **self._client_options).meta


class Renewal:
    """The renewing process of one worker. Its methods raise nothing: the worker extends by itself, too."""

    def __init__(self, account: Account, *, lease_seconds: int) -> None:
        self._account, self._lease_seconds = account, lease_seconds
        self._process = Watched(renewing.__file__)
        self._lock = threading.Lock()  # what is written at once by two threads would be neither's
        self._start_at = 0.0

    def changed(
        self, everything: Callable[[], Held], *, held: Held | None = None, dropped: Iterable[str] = ()
    ) -> None:
        """What of what is held is new, and what is held no more. ``everything`` is for a new process."""
        if self._process.runs:
            self._tell({"held": held or {}, "dropped": list(dropped)})
        else:
            self._begin(everything())

    def extended(self, everything: Callable[[], Held]) -> None:
        """All of it was extended just now: the process waits for the next time, or takes over."""
        if self._process.runs:
            self._tell({}, and_extended=True)
        else:
            self._begin(everything())

    def end(self) -> None:
        """Nothing is held any more."""
        with self._lock:
            self._process.end()

    def _begin(self, everything: Held) -> None:
        if everything and time.monotonic() >= self._start_at:
            self._start_at = time.monotonic() + START_AGAIN_SECONDS
            self._tell({"held": dict(everything)}, and_extended=True, start=True)

    def _tell(self, told: dict[str, Any], *, and_extended: bool = False, start: bool = False) -> None:
        try:
            if and_extended:
                told |= self._extended()
            with self._lock:
                if start:
                    self._process.start()
                self._process.tell(told)
        except Exception as error:  # noqa: BLE001 - whatever it is: it is tried again in a few seconds
            logger.warning("Cannot reach the process that renews the leases of this worker: %r", error)
            self.end()

    def _extended(self) -> dict[str, Any]:
        every = self._lease_seconds / 3
        return {
            "account": self._account.told(),
            "lease": self._lease_seconds,
            "every": every,
            "after": every * 1.5,
        }
