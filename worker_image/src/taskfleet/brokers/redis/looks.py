"""The Lua of what only looks: it answers with counts and times, some bytes a queue, and never with a body."""

from __future__ import annotations

from taskfleet.brokers.redis.scripts import _COMMON
from taskfleet.contract import messages

# That a stock worker's clock may be ahead of Redis's.
STOCK_CLOCK_SECONDS = 60

_ONLY_LOOKS = "#!lua flags=no-writes\n"

# Of a message no more than a look needs. A quote in a body or in a text is escaped, so these are headers.
_SAYS = f"""
local function says(text, key, stop)
  local _, last = string.find(text, '"' .. key .. '": ', 1, true)
  return last and string.match(string.sub(text, last + 1, last + 64), stop) or ''
end
local function published(text) return says(text, '{messages.PUBLISHED_AT_HEADER}', '^[%d.]+') end
local function eta(text) return says(text, 'eta', '^"([^"]*)"') end
"""

# queue, then its lists. How much waits, is in flight and waits for its ETA; since when the first that is due
# is due (ms) and the first in flight was fetched (ms), if there is one; how many were taken;
# then for the next message of each list when it was published and its ETA.
LOOK = (
    _ONLY_LOOKS
    + _COMMON
    + _SAYS
    + """
local queue, waiting, now, said = ARGV[2], 0, wall(), {}
for at = 3, #ARGV do
  local key = PREFIX .. ARGV[at]
  local length = redis.call('LLEN', key)
  if length > 0 then
    local text = redis.call('LINDEX', key, -1)
    said[#said + 1], said[#said + 2] = published(text), eta(text)
  end
  waiting = waiting + length
end
local due = redis.call('ZCOUNT', scheduled(queue), '-inf', now)
local first = due > 0 and redis.call('ZRANGE', scheduled(queue), 0, 0, 'WITHSCORES')[2]
local fetched = redis.call('ZRANGE', in_flight(queue), 0, 0, 'WITHSCORES')[2]
return {
  waiting + due, redis.call('ZCARD', in_flight(queue)), redis.call('ZCARD', scheduled(queue)) - due,
  first, fetched or false, redis.call('GET', taken(queue)), unpack(said)
}
"""
)

# how many at most. The tags of what stock workers hold: they note when they fetched it, and ours a time that
# is hours ahead. (A tag of ours is session:fetch:number, one of theirs a UUID.)
STOCK = (
    _ONLY_LOOKS
    + _COMMON
    + f"""
local tags, until_at = {{}}, wall() / 1000 + {STOCK_CLOCK_SECONDS}
for _, tag in ipairs(redis.call('ZRANGE', INDEX, '-inf', until_at, 'BYSCORE', 'LIMIT', 0, ARGV[2])) do
  if not string.match(tag, '^%w+:%d+:%d+$') then tags[#tags + 1] = tag end
end
return tags
"""
)

# tags. The queue and the ETA of each that is still held.
TELL = (
    _ONLY_LOOKS
    + _COMMON
    + _SAYS
    + """
local told = {}
for at = 2, #ARGV do
  local entry = redis.call('HGET', UNACKED, ARGV[at])
  if entry then
    told[#told + 1] = string.match(string.sub(entry, -512), ',%s*"([^"\\\\]*)"%s*%]%s*$') or ''
    told[#told + 1] = eta(entry)
  end
end
return told
"""
)

# at most, queue, then its lists. The task's name of each message that waits, is in flight or waits for its
# ETA; so many at most of each list.
NAMES = (
    _ONLY_LOOKS
    + _COMMON
    + _SAYS
    + """
local most, queue, told = tonumber(ARGV[2]), ARGV[3], {}
local function tell(text) if text then told[#told + 1] = says(text, 'task', '^"([^"]*)"') end end
for at = 4, #ARGV do
  for _, text in ipairs(redis.call('LRANGE', PREFIX .. ARGV[at], -most, -1)) do tell(text) end
end
for _, tag in ipairs(redis.call('ZRANGE', in_flight(queue), 0, most - 1)) do
  tell(redis.call('HGET', UNACKED, tag))
end
for _, id in ipairs(redis.call('ZRANGE', scheduled(queue), 0, most - 1)) do
  tell(redis.call('HGET', scheduled_messages(queue), id))
end
return told
"""
)
