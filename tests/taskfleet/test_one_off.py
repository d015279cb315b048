"""What ECS would refuse of a one-off task's command is refused before it is asked."""

from __future__ import annotations

from typing import Any

import pytest
from taskfleet.errors import TaskfleetError
from taskfleet.one_off import request

SERVICE: dict[str, Any] = {"clusterArn": "cluster", "taskDefinition": "low:1"}


@pytest.mark.parametrize("argument", ["x" * 9000, '"' * 5000, "\n" * 5000])
def test_a_command_that_is_too_long_is_refused(argument: str) -> None:
    """The limit counts the overrides as they are sent, in JSON: a quotation mark is two characters there."""
    with pytest.raises(TaskfleetError, match="too long: ECS takes 8192"):
        request(SERVICE, ["echo", argument], token="t", started_by="me")


def test_one_that_just_fits_is_not() -> None:
    made = request(SERVICE, ["echo", "'" * 8000], token="t", started_by="me")

    assert made["overrides"]["containerOverrides"][0]["command"][1] == "'" * 8000
