"""What no worker could run, or no broker would hold: refused at the caller, who alone can mend it."""

from __future__ import annotations

import base64
import os
from typing import Any

import pytest
from taskfleet.contract.environment import FALLBACK
from taskfleet.contract.limits import MESSAGE_BODY_MAX_BYTES, MESSAGE_HEADERS_MAX_BYTES
from taskfleet.errors import InvalidTask, MessageTooLarge, TaskfleetError
from taskfleet.publishing.publisher import force_broker

from tests.support.tiny_fleet import TinyFleet

REFUSED: dict[str, tuple[dict[str, Any], type[TaskfleetError], str]] = {
    "pickle": ({"serializer": "pickle"}, InvalidTask, "workers read JSON only"),
    "a content type": ({"content_type": "text/plain"}, InvalidTask, "workers read JSON only"),
    "a number as id": ({"task_id": 5}, InvalidTask, "the task_id of .* must be a text .*, not 5"),
    "a text as time limit": ({"time_limit": "5"}, InvalidTask, "`timelimit` is no pair of seconds"),
    "a text as retries": ({"retries": "two"}, InvalidTask, "`retries` is no number"),
    "a text as eta": ({"eta": "tomorrow"}, InvalidTask, "`eta` is no time in ISO 8601: 'tomorrow'"),
    "no text as eta": ({"eta": ""}, InvalidTask, "`eta` is no time in ISO 8601: ''"),
    "a text as expires": ({"headers": {"expires": "soon"}}, InvalidTask, "`expires` is no time in ISO 8601"),
    "a name as link": ({"link": "another"}, InvalidTask, "are no signatures, such as `task"),
    "a name as link_error": ({"link_error": ["another"]}, InvalidTask, "are no signatures"),
    "a name as chord": ({"chord": "another"}, InvalidTask, "are no signatures"),
    "a header that claims a compression": (
        {"headers": {"compression": "gzip"}},
        InvalidTask,
        "Give `compression=`, or the header another name",
    ),
    "a number as reply_to": ({"reply_to": 5}, InvalidTask, "`reply_to` is not text"),
    "a large header": ({"headers": {"note": "x" * 2_000_000}}, MessageTooLarge, "the headers of anything"),
    "a large property": ({"note": "x" * 2_000_000}, MessageTooLarge, "the headers of anything"),
    "large arguments": ({"args": ["x" * 2_000_000]}, MessageTooLarge, "the arguments of anything"),
    "large arguments, small when compressed": (
        {"args": ["x" * 2_000_000], "compression": "gzip"},
        MessageTooLarge,
        "the arguments of anything",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused_at_the_caller_and_goes_nowhere(fleet: TinyFleet, what: str) -> None:
    options, error, says = REFUSED[what]
    app = fleet.app()

    with pytest.raises(error, match=says):
        app.send_task("anything", queue="low", **options)
    with force_broker(FALLBACK), pytest.raises(error, match=says):
        app.send_task("anything", queue="low", **options)

    assert (fleet.waiting("low", "r1"), fleet.waiting_on_sqs("low", "r1")) == (0, 0)


def test_whatever_is_within_the_limits_is_taken_by_either_broker(fleet: TinyFleet) -> None:
    """The worst of each: every character of the arguments is escaped twice, or they can't be compressed."""
    app = fleet.app()
    headers = {"note": "x" * (MESSAGE_HEADERS_MAX_BYTES - 4000)}
    quotes = '"' * ((MESSAGE_BODY_MAX_BYTES - 200) // 2)
    noise = base64.b85encode(os.urandom(MESSAGE_BODY_MAX_BYTES // 2)).decode()
    for broker in ("primary", FALLBACK):
        with force_broker(broker):
            app.send_task("anything", [quotes], queue="low", headers=headers)
            app.send_task("anything", [noise], queue="low", headers=headers, compression="gzip")

    assert (fleet.waiting("low", "r1"), fleet.waiting_on_sqs("low", "r1")) == (2, 2)


def test_every_way_to_write_a_time_is_taken(fleet: TinyFleet) -> None:
    app = fleet.app()
    for eta in ("2026-01-01T08:00:00Z", "20260101T080000+0100", "2026-01-01", "2026-01", "2026-W01-1"):
        app.send_task("anything", queue="low", eta=eta, expires="2099-01-01T00:00:00Z")

    assert fleet.waiting("low", "r1") == 5


def test_messages_of_celerys_first_protocol_are_published(fleet: TinyFleet) -> None:
    app = fleet.app()
    app.conf.task_protocol = 1

    app.send_task("anything", queue="low")

    assert fleet.waiting("low", "r1") == 1
