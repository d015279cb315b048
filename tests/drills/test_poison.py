"""The drill's own counting: what a worker may say of each malformed message."""

from __future__ import annotations

import json

from taskfleet.dead_letters.dead_letter import DeadLetterKind

from drills.malformed import MALFORMED, matched, message

ALL = {
    DeadLetterKind.NOT_A_MESSAGE: 3,
    DeadLetterKind.NO_TASK: 1,
    DeadLetterKind.UNREADABLE: 2,
    DeadLetterKind.UNKNOWN_TASK: 1,
    DeadLetterKind.OTHER_RELEASE: 1,
    DeadLetterKind.BAD_ARGUMENTS: 1,
    DeadLetterKind.TOO_LARGE: 1,
}


def test_there_are_ten_kinds_with_a_name_each() -> None:
    assert len({malformed.name for malformed in MALFORMED}) == len(MALFORMED) == 10


def test_all_told_as_either_broker_tells_them() -> None:
    # SQS's transport calls a text that is no message one that names no task.
    on_sqs = {**ALL, DeadLetterKind.NOT_A_MESSAGE: 0, DeadLetterKind.NO_TASK: 4}

    assert set(matched(ALL, 1).values()) == set(matched(on_sqs, 1).values()) == {1}


def test_one_that_is_missing_is_not_made_up_for_by_another() -> None:
    wrong = {**ALL, DeadLetterKind.UNREADABLE: 3, DeadLetterKind.BAD_ARGUMENTS: 0}

    assert matched(wrong, 1)["impossible arguments"] == 0


def test_the_good_form_of_the_message_is_good() -> None:
    """Or each of the ten could be refused for something else."""
    content = json.loads(message("low", "r1"))

    assert json.loads(content["body"])[0] == ["malformed", 0]
    assert content["headers"]["task"] == "drills.record"
