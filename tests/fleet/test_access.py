"""What is seldom done on a fleet, so that it is done here at least once by whom it is allowed to."""

from __future__ import annotations

import json

from taskfleet.contract import names

from tests.fleet.deployed import Deployed, wait_until


def test_the_controller_takes_what_sqs_has_put_aside(fleet: Deployed) -> None:
    sqs = fleet.client("sqs")
    url = sqs.get_queue_url(QueueName=names.dead_letter_queue("local", "etl"))["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"not": "a task"}))

    def found() -> list[str]:
        return [letter["id"] for letter in fleet.fleet_json("dead", "list", "--queue", "etl")["letters"]]

    wait_until(found, 60, "it is in the store")
    deleted = fleet.fleet("dead", "delete", *found(), "--yes")
    assert deleted.returncode == 0, deleted.stdout + deleted.stderr
