"""Adding what a worker counted to the current minute, on the primary broker's clock, in one round trip.

The counts of one queue and task are one field: as JSON they take a tenth of the memory that a field for each
count would. What is sent again because its answer was lost counts once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import redis
from redis.exceptions import NoScriptError

from taskfleet.brokers.redis.commands import Script
from taskfleet.contract import figures
from taskfleet.measuring.tasks import Key

# Of one call: some milliseconds of Redis's time.
NAMES_AT_ONCE = 50
# A sender that is silent for longer is another one.
_SENDER_SECONDS = 900

# The minutes' prefix and the sender; a number that grows; then fields and what is added to each. Not run
# while Redis is full: figures must not take the last of the memory.
_ADD = Script(f"""#!lua
local sent = redis.call('GET', KEYS[2])
if sent and tonumber(ARGV[1]) <= tonumber(sent) then return 0 end
redis.call('SET', KEYS[2], ARGV[1], 'EX', {_SENDER_SECONDS})
local key = KEYS[1] .. math.floor(redis.call('TIME')[1] / 60)
for at = 2, #ARGV, 2 do
  local field, more = ARGV[at], cjson.decode(ARGV[at + 1])
  local kept = redis.call('HGET', key, field)
  if not kept and redis.call('HLEN', key) >= {figures.MOST_NAMES} then
    field = string.match(field, '^[^\\n]*\\n') .. '{figures.OTHER}'
    kept = redis.call('HGET', key, field)
  end
  local counts = kept and cjson.decode(kept) or {{}}
  for figure, count in pairs(more) do counts[figure] = (counts[figure] or 0) + count end
  redis.call('HSET', key, field, cjson.encode(counts))
end
redis.call('EXPIRE', key, {figures.KEEP_SECONDS})
return 1
""")


@dataclass(frozen=True)
class Page:
    """Some of what was counted. ``number`` grows from page to page of a sender."""

    number: int
    counts: Mapping[Key, Mapping[str, int]]


def pages(counts: Mapping[Key, Mapping[str, int]], *, first: int) -> list[Page]:
    """In pieces that keep Redis busy for some milliseconds each."""
    items = list(counts.items())
    starts = range(0, len(items), NAMES_AT_ONCE)
    return [Page(first + n, dict(items[at : at + NAMES_AT_ONCE])) for n, at in enumerate(starts)]


def add(
    connection: redis.Redis, environment: str, release: str, batch: Iterable[Page], *, sender: str
) -> None:
    """Add pages to the current minute of a release. Raises redis-py's errors; then send the same again."""
    keys = (figures.prefix(environment, release), figures.sender(sender))
    calls = [(2, *keys, page.number, *_arguments(page)) for page in batch]
    try:
        _run(connection, ("EVALSHA", _ADD.digest), calls)
    except NoScriptError:
        _run(connection, ("EVAL", _ADD.text), calls)


def _run(connection: Any, how: tuple[str, str], calls: Iterable[tuple[object, ...]]) -> None:
    with connection.pipeline(transaction=False) as together:
        for arguments in calls:
            together.execute_command(*how, *arguments)
        together.execute()


def _arguments(page: Page) -> list[str]:
    return [
        part
        for key, counts in page.counts.items()
        for part in (figures.name(*key), json.dumps(counts, separators=(",", ":")))
    ]
