"""ReceiveMessage over kombu's event loop, with time limits, and failures that can be told from silence."""

from __future__ import annotations

import logging
from typing import Any

import pycurl
from botocore.exceptions import BotoCoreError
from kombu.asynchronous.aws.connection import AsyncHTTPSConnection
from kombu.asynchronous.aws.sqs.connection import AsyncSQSConnection
from kombu.asynchronous.http.curl import CurlClient
from kombu.asynchronous.hub import Hub

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 3
# What a reply may take beyond the long poll itself.
GRACE_SECONDS = 5
# kombu's HTTP client answers at most ten requests at once: one long poll per queue must fit.
CONCURRENT_REQUESTS = 64

FAILURE = "taskfleet_failure"


class _Client(CurlClient):
    """kombu's, but what curl is about to close leaves the event loop first.

    curl says so (``POLL_REMOVE``) also outside the calls around which kombu takes its sockets from epoll. A
    child that was forked meanwhile has the socket, too, so that the kernel keeps it in the parent's epoll
    after it is closed, where nobody can remove it any more: once its peer was gone, a worker's loop turned
    200,000 times a second.
    """

    def _handle_socket(self, event: int, fd: int, multi: Any, data: Any) -> None:
        if event == pycurl.POLL_REMOVE:
            self.hub.remove(fd)
        super()._handle_socket(event, fd, multi, data)


def http_client(hub: Hub) -> CurlClient:
    """The one of this event loop, kept where kombu keeps its own."""
    if not hasattr(hub, "_current_http_client"):
        hub._current_http_client = _Client(hub, max_clients=CONCURRENT_REQUESTS)
    client: CurlClient = hub._current_http_client
    return client


class _BoundedRequest(AsyncHTTPSConnection):
    """kombu notes a timeout on a request and never tells curl: a mute endpoint would hang for ever."""

    def getrequest(self) -> Any:
        request = super().getrequest()
        request.on_prepare = self._set_limits
        return request

    def _set_limits(self, curl: pycurl.Curl) -> None:
        curl.setopt(pycurl.CONNECTTIMEOUT, CONNECT_SECONDS)
        curl.setopt(pycurl.TIMEOUT, int(self.timeout))
        # curl uses alarm signals for this otherwise, which end a process with threads.
        curl.setopt(pycurl.NOSIGNAL, 1)


class Receiver(AsyncSQSConnection):
    """kombu's asynchronous connection to SQS. A call that failed answers ``{FAILURE: reason}``."""

    def __init__(self, sqs_connection: Any, *, wait_seconds: int, **kwargs: Any) -> None:
        super().__init__(sqs_connection, **kwargs)
        self._limit_seconds = wait_seconds + GRACE_SECONDS

    def get_http_connection(self) -> AsyncHTTPSConnection:
        return _BoundedRequest(http_client=self._httpclient, timeout=self._limit_seconds)

    def _on_list_ready(self, parent: Any, markers: Any, operation: str, response: Any) -> dict[str, Any]:
        """The parsed reply. kombu 5.7.0 answers a *list* for 408 and 5xx, which its channel can't read."""
        if response.status != self.STATUS_CODE_OK:
            body = response.read()
            return {FAILURE: f"HTTP {response.status} {response.reason} {body[:200] if body else ''}".strip()}
        try:
            return dict(super()._on_list_ready(parent, markers, operation, response))
        except (BotoCoreError, ValueError, TypeError) as error:
            return {FAILURE: f"a reply that is not SQS's: {error}"}
