"""How a producer reads the pointer and the manifests: from SSM, and from the state table while SSM fails.

GetParameter is limited to 40 requests a second for a whole account and region, everybody's together (AWS
General Reference, "Systems Manager endpoints and quotas"). DynamoDB has no such limit, and the controller
keeps the same two there: SSM has the published copies.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from taskfleet import aws
from taskfleet.contract import names, parameters, state

# So long all tries of one read may take: as long as an SSM that does not answer (`aws.PROMPT`).
READ_SECONDS = 1.2
PAUSE_SECONDS = (0.05, 0.3)
# Who was throttled leaves SSM to the others for so long; not all equally, or they would come back at once.
ELSEWHERE_SECONDS = (30.0, 90.0)

_THROTTLED = frozenset({"ThrottlingException", "Throttling", "TooManyRequestsException"})


class Throttled(OSError):
    """SSM has too many requests of this account."""


class Parameters:
    """Reads one parameter of an environment by its name; None if it does not exist. Safe for threads.

    Raises ``OSError`` if it can't be read within `READ_SECONDS`.
    """

    def __init__(
        self,
        environment: str,
        *,
        ssm: Callable[[str], str | None] | None = None,
        state_table: Callable[[str], str | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._ssm = ssm or _from_ssm
        self._state_table = state_table or StateTable(environment)
        self._clock, self._sleep = clock, sleep
        self._elsewhere_until = 0.0

    def __call__(self, name: str) -> str | None:
        """The parameter's value."""
        end = self._clock() + READ_SECONDS
        while True:
            if self._clock() < self._elsewhere_until and (value := self._state_table(name)) is not None:
                return value
            try:
                return self._ssm(name)
            except Throttled:
                self._elsewhere_until = self._clock() + random.uniform(*ELSEWHERE_SECONDS)  # noqa: S311 - spreads load
                value = self._state_table(name)
                if value is not None:
                    return value
                left = end - self._clock()
                if left <= 0:
                    raise
            except OSError:
                # A worker that starts just then must know the queues of its release to publish at all.
                value = self._state_table(name)
                if value is not None:
                    return value
                raise
            self._sleep(min(random.uniform(*PAUSE_SECONDS), left))  # noqa: S311 - spreads load


class StateTable:
    """The same values as the controller keeps them; None for what it has not, or may not be read here."""

    def __init__(self, environment: str) -> None:
        self._table = names.state_table(environment)
        self._pointer = parameters.current_release(environment)

    def __call__(self, name: str) -> str | None:
        """The value of the parameter ``name``."""
        if name == self._pointer:
            return self._attribute(state.POINTER, "release")
        return self._attribute(state.release(name.rpartition("/")[2]), "manifest")

    def _attribute(self, key: str, attribute: str) -> str | None:
        request: dict[str, Any] = {"TableName": self._table, "Key": {state.KEY: {"S": key}}}
        try:
            reply = aws.client("dynamodb", aws.PROMPT).get_item(**request, ConsistentRead=True)
        except (BotoCoreError, ClientError):
            return None  # it is the second choice: what SSM said is what the caller is told
        value: str | None = reply.get("Item", {}).get(attribute, {}).get("S")
        return value


def _from_ssm(name: str) -> str | None:
    try:
        value: str = aws.client("ssm", aws.PROMPT).get_parameter(Name=name)["Parameter"]["Value"]
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code")
        if code == "ParameterNotFound":
            return None
        if code in _THROTTLED:
            raise Throttled(
                f"SSM throttles this account, {name} was not read: raise Parameter Store's throughput, "
                "or start fewer producers at once"
            ) from error
        raise OSError(f"SSM refused to give {name}: {error}") from error
    except BotoCoreError as error:
        raise OSError(f"SSM did not answer for {name}: {error}") from error
    return value
