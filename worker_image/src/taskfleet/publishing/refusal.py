"""Why a broker did not accept a message."""

from __future__ import annotations

from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from kombu.exceptions import OperationalError
from redis.exceptions import AuthenticationError, BusyLoadingError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from taskfleet.brokers.sqs.naming import NO_SUCH_QUEUE

# What a broker that did not accept a message raises; Redis's error replies are among them, whatever they say.
# Anything else is the caller's mistake, an argument that is not JSON for instance, and no other broker would
# take it either.
NOT_ACCEPTED = (
    OSError,  # sockets, time-outs included
    OperationalError,
    RedisError,
    BotoCoreError,
    ClientError,
)

# redis-py takes these replies for faults of the connection, but they are answers: nothing was done.
_CLEAR_NO = (BusyLoadingError, AuthenticationError)
# What SQS says of a queue whose policy denies (`taskfleet.brokers.sqs.closing`), and of one that is gone.
_SQS_CLOSED = ("AccessDenied", "AccessDeniedException", *NO_SUCH_QUEUE)


@dataclass(frozen=True)
class Refusal:
    """``uncertain`` if the broker may have the message all the same, ``closed`` if its queue takes none.

    Of SQS ``closed`` says that it may be so: a queue that is gone or denied; a role may lack a permission.
    """

    why: str
    uncertain: bool = False
    closed: bool = False

    @classmethod
    def of(cls, error: BaseException) -> Refusal:
        """From what a broker raised or answered."""
        return cls(f"{type(error).__name__}: {error}", may_have_taken(error), closed=is_closed(error))


def may_have_taken(error: BaseException) -> bool:
    """Whether the broker may have the message all the same: it was given it, and its answer was not seen.

    When in doubt it may. Redis-py says "connecting to" in the text alone: then nothing was given yet.
    """
    if isinstance(error, ClientError):
        return bool(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500) >= 500)
    if isinstance(error, BotoCoreError):
        return isinstance(error, HTTPClientError)
    if isinstance(error, RedisConnectionError | RedisTimeoutError | OSError):
        return not isinstance(error, _CLEAR_NO) and "connecting to" not in str(error)
    return False


def is_closed(error: BaseException) -> bool:
    """Whether it is the reply of a queue that was closed: its release is retired."""
    if isinstance(error, ClientError):
        return error.response["Error"]["Code"] in _SQS_CLOSED
    if isinstance(error, LookupError):
        return True  # `taskfleet.brokers.sqs.sending`: there is no such queue
    return isinstance(error, RedisError) and str(error).startswith("CLOSED")
