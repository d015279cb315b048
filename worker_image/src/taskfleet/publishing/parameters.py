"""How a producer reads the pointer and the manifests: from SSM, and from the state table while SSM fails.

GetParameter and GetParameters are limited to 40 requests a second for a whole account and region, everybody's
together (AWS General Reference, "Systems Manager endpoints and quotas"). DynamoDB has no such limit, and the
controller keeps the same there: SSM has the published copies.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from taskfleet import aws
from taskfleet.contract import names, parameters, state
from taskfleet.logs import logger

# So long all tries of one read may take: as long as an SSM that does not answer (`aws.PROMPT`).
READ_SECONDS = 1.2
PAUSE_SECONDS = (0.05, 0.3)
# Who was throttled leaves SSM to the others for so long; not all equally, or they would come back at once.
ELSEWHERE_SECONDS = (30.0, 90.0)

_DENIED = frozenset({"AccessDenied", "AccessDeniedException"})
_THROTTLED = frozenset({"ThrottlingException", "Throttling", "TooManyRequestsException"})


# Reads parameters at once; None for one that does not exist.
Read = Callable[..., Sequence[str | None]]


class Denied(OSError):
    """This process may not ask SSM so."""


class Throttled(OSError):
    """SSM has too many requests of this account."""


class Parameters:
    """Reads parameters of an environment by their names; None for one that does not exist. Safe for threads.

    Raises ``OSError`` if they can't be read within `READ_SECONDS`. Several are read in one request: the
    current release, and the split beside it.
    """

    def __init__(
        self,
        environment: str,
        *,
        ssm: Read | None = None,
        state_table: Read | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._ssm = ssm or Ssm()
        self._state_table = state_table or StateTable(environment)
        self._clock, self._sleep = clock, sleep
        self._elsewhere_until = 0.0

    def __call__(self, *names: str) -> Sequence[str | None]:
        """The parameters' values."""
        end = self._clock() + READ_SECONDS
        while True:
            if self._clock() < self._elsewhere_until and (values := self._state_table(*names))[0] is not None:
                return values
            try:
                return self._ssm(*names)
            except Throttled:
                self._elsewhere_until = self._clock() + random.uniform(*ELSEWHERE_SECONDS)  # noqa: S311 - spreads load
                values = self._state_table(*names)
                if values[0] is not None:
                    return values
                left = end - self._clock()
                if left <= 0:
                    raise
            except OSError:
                # A worker that starts just then must know the queues of its release to publish at all.
                values = self._state_table(*names)
                if values[0] is not None:
                    return values
                raise
            self._sleep(min(random.uniform(*PAUSE_SECONDS), left))  # noqa: S311 - spreads load


class StateTable:
    """The same values as the controller keeps them; None for what it has not, or may not be read here."""

    def __init__(self, environment: str) -> None:
        self._table = names.state_table(environment)
        self._pointer = parameters.current_release(environment)

    def __call__(self, *names: str) -> Sequence[str | None]:
        """The values of the parameters: of the current release and the split, or of manifests."""
        if names[0] == self._pointer:
            return self._attributes(state.POINTER, "release", state.SPLIT)[: len(names)]
        found = (self._attributes(state.release(name.rpartition("/")[2]), "manifest") for name in names)
        return [value for (value,) in found]

    def _attributes(self, key: str, *attributes: str) -> list[str | None]:
        request: dict[str, Any] = {"TableName": self._table, "Key": {state.KEY: {"S": key}}}
        try:
            reply = aws.client("dynamodb", aws.PROMPT).get_item(**request, ConsistentRead=True)
        except (BotoCoreError, ClientError):
            # It is the second choice: what SSM said is what the caller is told.
            return [None] * len(attributes)
        item = reply.get("Item", {})
        return [item.get(attribute, {}).get("S") for attribute in attributes]


class Ssm:
    """What SSM has. Raises `Throttled`, and ``OSError`` for everything else."""

    def __init__(self) -> None:
        self._first_alone = False

    def __call__(self, *names: str) -> Sequence[str | None]:
        """The values of the parameters, of one request."""
        if len(names) == 1 or self._first_alone:
            return [self._one(names[0]), *[None] * (len(names) - 1)]
        try:
            reply = self._ask("get_parameters", Names=list(names))
        except Denied as error:
            # A policy of the version before allows GetParameter alone, of the current release.
            self._first_alone = True
            logger.warning(
                "this producer takes no part in canaries: its role needs the policy of docs/producers.md: %s",
                error,
            )
            return self(*names)
        found = {entry["Name"]: str(entry["Value"]) for entry in reply["Parameters"]}
        return [found.get(name) for name in names]

    def _one(self, name: str) -> str | None:
        reply = self._ask("get_parameter", Name=name)
        return str(reply["Parameter"]["Value"]) if reply else None

    def _ask(self, what: str, **how: Any) -> dict[str, Any]:
        """The reply, empty for a parameter that does not exist."""
        named = ", ".join(map(str, how.values()))
        try:
            reply: dict[str, Any] = getattr(aws.client("ssm", aws.PROMPT), what)(**how)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code")
            if code == "ParameterNotFound":
                return {}
            if code in _THROTTLED:
                raise Throttled(
                    f"SSM throttles this account, {named} was not read: raise Parameter Store's throughput, "
                    "or start fewer producers at once"
                ) from error
            kind = Denied if code in _DENIED else OSError
            raise kind(f"SSM refused to give {named}: {error}") from error
        except BotoCoreError as error:
            raise OSError(f"SSM did not answer for {named}: {error}") from error
        return reply
