"""The Lua that Redis runs: each step that must not be half done is one script.

Every script gets kombu's `unacked` hash and `unacked_index` as KEYS, and the global key prefix as its
first argument. The message in `unacked` has the stock format ``[message, exchange, routing_key]``, with
the queue that it was taken from as routing key, so a stock worker can restore it.
"""

from __future__ import annotations

from taskfleet.contract import limits, messages

# Fetching, acknowledging and beating must work on a broker whose memory is full, or it never gets
# emptier and every lease lapses. Publishing must not. (Flags need Redis 7 or any Valkey.)
_EVEN_WHEN_FULL = "#!lua flags=allow-oom\n"

# At most so many rings are kept: enough to wake a fleet, few enough to run through when all is idle.
BELL_RINGS = 100
# A bell that nobody answers is that of a release that is gone.
BELL_SECONDS = 3600
# The longest that an idle worker waits for a ring: it hears of what stock producers publish within this.
BELL_WAIT_MS = 1000

# Messages that became due, moved by one fetch: more than it takes, and some milliseconds if they are large.
READY_AT_ONCE = 32
SHORTEST_PAUSE_MS = 10

# For how long, and of how many messages, Redis remembers that they ended after their lease. No task runs for
# longer than the first after its lease has lapsed, and few messages wait for longer.
REMEMBER_SECONDS = 24 * 3600
MOST_REMEMBERED = 10_000

# The count of a queue from which nobody fetches any more.
TAKEN_SECONDS = 24 * 3600

_COMMON = f"""
local UNACKED, INDEX, PREFIX = KEYS[1], KEYS[2], ARGV[1]
local TAKEN_SECONDS = {TAKEN_SECONDS}
local SESSIONS, GONE = PREFIX .. '{messages.REDIS_SESSIONS}', PREFIX .. '{messages.REDIS_GONE}'
local FINISHED = PREFIX .. '{messages.REDIS_FINISHED}'

local function owned(session) return PREFIX .. '{messages.REDIS_OWNED}' .. session end
local function in_flight(queue) return PREFIX .. '{messages.REDIS_IN_FLIGHT}' .. queue end
local function taken(queue) return PREFIX .. '{messages.REDIS_TAKEN}' .. queue end
local function bell(queue) return PREFIX .. '{messages.REDIS_BELL}' .. queue end

local function scheduled(queue) return PREFIX .. '{messages.REDIS_SCHEDULED}' .. queue end
local function scheduled_messages(queue) return PREFIX .. '{messages.REDIS_SCHEDULED_MESSAGES}' .. queue end

local function list(queue, priority)
  if priority == '0' then return PREFIX .. queue end
  return PREFIX .. queue .. '{limits.REDIS_PRIORITY_SEPARATOR}' .. priority
end

local function wall()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function ring(queue)
  redis.call('LPUSH', bell(queue), '1')
  redis.call('LTRIM', bell(queue), 0, {BELL_RINGS - 1})
  redis.call('EXPIRE', bell(queue), {BELL_SECONDS})
end

-- Keep a message until it is due: its text once, beside the priority that it has.
local function schedule(queue, id, priority, message, due)
  redis.call('HSET', scheduled_messages(queue), id, priority .. ':' .. message)
  redis.call('ZADD', scheduled(queue), due, id)
end

-- Remove every trace of a delivery; where it came from, or nil if this session does not own it.
local function forget(session, tag)
  local where = redis.call('HGET', owned(session), tag)
  if not where then return nil end
  local length, priority, queue = string.match(where, '^(%d+):(%d+):(.*)$')
  redis.call('HDEL', owned(session), tag)
  redis.call('ZREM', in_flight(queue), tag)
  redis.call('HDEL', UNACKED, tag)
  redis.call('ZREM', INDEX, tag)
  return tonumber(length), priority, queue
end

-- The message with its delivery count: the first key of the JSON object, so that nothing else of the
-- text has to be read or written again (cjson would turn [] into {{}} and round large numbers).
local function counted(message, more)
  local count, rest = string.match(message, '^{{"{messages.DELIVERIES_HEADER}": (%d+), (.*)$')
  if not count then count, rest = 0, string.sub(message, 2) end
  if string.sub(message, 1, 1) ~= '{{' or string.sub(rest, 1, 1) ~= '"' then return message end
  return '{{"{messages.DELIVERIES_HEADER}": ' .. (count + more) .. ', ' .. rest
end

-- Back into its list: at the end that is served next, or (a task that was rejected) at the other.
local function give_back(session, tag, more, push)
  local text = redis.call('HGET', UNACKED, tag)
  local length, priority, queue = forget(session, tag)
  if not length or not text then return 0 end
  redis.call(push, list(queue, priority), counted(string.sub(text, 2, length + 1), more))
  -- Where it has expired meanwhile, one that is made here would never expire.
  if redis.call('EXISTS', taken(queue)) == 1 then redis.call('DECR', taken(queue)) end
  ring(queue)
  return 1
end

-- With the time of its publishing on this clock, the only one that all workers and producers can ask.
local function accepted(message, now)
  local rest = string.match(message, '^{{"{messages.REDIS_ACCEPTED}": %d+, (.*)$') or string.sub(message, 2)
  if string.sub(message, 1, 1) ~= '{{' or string.sub(rest, 1, 1) ~= '"' then return message end
  return string.format('{{"{messages.REDIS_ACCEPTED}": %.0f, ', now) .. rest
end

-- What makes a message this one, however often it was delivered and sent: all of it but these two.
local function key(message)
  local rest = string.match(message, '^{{"{messages.DELIVERIES_HEADER}": %d+, ()') or 2
  rest = string.match(message, '^"{messages.REDIS_ACCEPTED}": %d+, ()', rest) or rest
  return redis.sha1hex(string.sub(message, rest))
end

-- This delivery's lease has ended. Its worker may live, and say later that the task has come to its end.
local function lapse(session, tag)
  local text, where = redis.call('HGET', UNACKED, tag), redis.call('HGET', owned(session), tag)
  local length = text and where and string.match(where, '^%d+')
  if not length then return end
  redis.call('SET', PREFIX .. '{messages.REDIS_LAPSED}' .. tag, key(string.sub(text, 2, length + 1)),
    'EX', {REMEMBER_SECONDS})
end

-- It has: wherever the message waits by now, `FETCH` drops it.
local function ended_late(tag)
  local id = redis.call('GET', PREFIX .. '{messages.REDIS_LAPSED}' .. tag)
  if not id then return end
  local now = wall()
  redis.call('DEL', PREFIX .. '{messages.REDIS_LAPSED}' .. tag)
  redis.call('ZADD', FINISHED, now, id)
  redis.call('ZREMRANGEBYSCORE', FINISHED, '-inf', now - {REMEMBER_SECONDS * 1000})
  redis.call('ZREMRANGEBYRANK', FINISHED, 0, -{MOST_REMEMBERED + 1})
  redis.call('EXPIRE', FINISHED, {REMEMBER_SECONDS})
end

local function acknowledge(session, tag)
  if not forget(session, tag) then ended_late(tag) end
end

-- Tags are session:fetch:number. The oldest is pushed last, so it is served first.
local function newest_first(tags)
  local rank = {{}}
  for _, tag in ipairs(tags) do
    local fetch, number = string.match(tag, ':(%d+):(%d+)$')
    rank[tag] = (tonumber(fetch) or 0) * 100000 + (tonumber(number) or 0)
  end
  table.sort(tags, function(a, b) return rank[a] > rank[b] end)
  return tags
end

-- Give back some of what a session that is gone still owns. Whether nothing is left.
local function empty(session, some)
  local more = tonumber(redis.call('HGET', GONE, session) or 0)
  local tags = redis.call('HKEYS', owned(session))
  local held_back = PREFIX .. '{messages.REDIS_HELD_BACK}' .. session
  newest_first(tags)
  for number, tag in ipairs(tags) do
    if number > some then return 0 end
    if more > 0 then lapse(session, tag) end
    local begun = redis.call('SISMEMBER', held_back, tag) == 0
    give_back(session, tag, begun and more or 0, 'RPUSH')
  end
  redis.call('DEL', owned(session), held_back)
  redis.call('HDEL', GONE, session)
  return 1
end

-- The time that the broker was up and in use. It advances only when a worker calls, by `step` at most:
-- an outage of any length costs each lease one step, and nobody lapses by it.
local function clock(step)
  local key, now = PREFIX .. '{messages.REDIS_CLOCK}', wall()
  local kept = redis.call('HMGET', key, 'at', 'up')
  local passed = now - (tonumber(kept[1] or now))
  local up = tonumber(kept[2] or 0) + math.min(math.max(passed, 0), step)
  redis.call('HSET', key, 'at', now, 'up', up)
  return up, now
end
"""

# What is due goes into its list, behind what waits there: from then on it is a message like any other, and a
# wave of retries doesn't keep other work waiting.
_DUE = f"""
local function make_due_ready(queue, now)
  local ids = redis.call('ZRANGE', scheduled(queue), '-inf', now, 'BYSCORE', 'LIMIT', 0, {READY_AT_ONCE})
  for _, id in ipairs(ids) do
    local kept = redis.call('HGET', scheduled_messages(queue), id)
    redis.call('HDEL', scheduled_messages(queue), id)
    redis.call('ZREM', scheduled(queue), id)
    if kept then
      local colon = string.find(kept, ':', 1, true)
      redis.call('LPUSH', list(queue, string.sub(kept, 1, colon - 1)), string.sub(kept, colon + 1))
      ring(queue)
    end
  end
end

-- For how long this session may wait for the bell: until the next message is due, or `longest` if that comes
-- first or another session wakes for it. With a thousand idle workers one asks, not all.
local function pause(queue, session, now, longest)
  local due = redis.call('ZRANGE', scheduled(queue), 0, 0, 'WITHSCORES')[2]
  local ahead = due and math.max({SHORTEST_PAUSE_MS}, due - now) or longest
  if ahead >= longest then return longest end
  local waking = PREFIX .. '{messages.REDIS_WAKING}' .. queue
  local who, at = string.match(redis.call('GET', waking) or '', '^(%S+) (%d+)$')
  if who and who ~= session and tonumber(at) <= tonumber(due) then return longest end
  redis.call('SET', waking, session .. ' ' .. due, 'PX', ahead)
  return ahead
end
"""

# session, fetch, how many, far (ms), rotate, the longest wait for the bell (ms), acknowledgements, queues,
# then the acknowledged tags, then for each queue its name and its name as JSON, then the priorities in order.
# The answer has queue, tag and message of each that was fetched, then the time (ms); without any, how long to
# wait (ms).
FETCH = (
    _EVEN_WHEN_FULL
    + _COMMON
    + _DUE
    + """
local session, fetch, many, far, rotate = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local longest, acks, width, at = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]), 10
for _ = 1, acks do
  acknowledge(session, ARGV[at])
  at = at + 1
end
if not redis.call('ZSCORE', SESSIONS, session) then
  return redis.error_reply('LAPSED this session is gone')
end
local order = {}
for _ = 1, width do
  order[#order + 1] = {ARGV[at], ARGV[at + 1]}
  at = at + 2
end

local remembers = redis.call('EXISTS', FINISHED) == 1

local function pop()
  for step = at, #ARGV do
    for place, queue in ipairs(order) do
      local message = redis.call('RPOP', list(queue[1], ARGV[step]))
      while remembers and message and redis.call('ZSCORE', FINISHED, key(message)) do
        message = redis.call('RPOP', list(queue[1], ARGV[step]))
      end
      if message then return message, queue, ARGV[step], place end
    end
  end
end

local fetched, took, now = {}, {}, wall()
for _, queue in ipairs(order) do make_due_ready(queue[1], now) end
for number = 1, many do
  local message, queue, priority, place = pop()
  if not message then break end
  local tag = session .. ':' .. fetch .. ':' .. number
  redis.call('HSET', UNACKED, tag, '[' .. message .. ',"",' .. queue[2] .. ']')
  redis.call('ZADD', INDEX, (now + far) / 1000, tag)
  redis.call('HSET', owned(session), tag, #message .. ':' .. priority .. ':' .. queue[1])
  redis.call('ZADD', in_flight(queue[1]), now, tag)
  took[queue[1]] = (took[queue[1]] or 0) + 1
  fetched[#fetched + 1] = queue[1]
  fetched[#fetched + 1] = tag
  fetched[#fetched + 1] = message
  if rotate == '1' then
    table.remove(order, place)
    order[#order + 1] = queue
  end
end
for queue, count in pairs(took) do
  redis.call('INCRBY', taken(queue), count)
  redis.call('EXPIRE', taken(queue), TAKEN_SECONDS)
end
-- Nothing waits anywhere, so every ring so far is stale; later ones are heard.
if #fetched == 0 then
  for _, queue in ipairs(order) do
    redis.call('DEL', bell(queue[1]))
    longest = math.min(longest, pause(queue[1], session, now, longest))
  end
  return {longest}
end
fetched[#fetched + 1] = now
return fetched
"""
)

# session, then tags.
ACKNOWLEDGE = (
    _EVEN_WHEN_FULL
    + _COMMON
    + """
for at = 3, #ARGV do acknowledge(ARGV[2], ARGV[at]) end
return #ARGV - 2
"""
)

# session, what to add to the delivery count, LPUSH or RPUSH, then tags.
GIVE_BACK = (
    _EVEN_WHEN_FULL
    + _COMMON
    + """
local given = 0
for at = 5, #ARGV do given = given + give_back(ARGV[2], ARGV[at], tonumber(ARGV[3]), ARGV[4]) end
return given
"""
)

# session, step (ms), lease (ms), far (ms), cursor, how many messages to restore at once.
BEAT = (
    _EVEN_WHEN_FULL
    + _COMMON
    + """
local session, step, lease, far = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local up, now = clock(step)
local alive = redis.call('ZSCORE', SESSIONS, session)
if alive then redis.call('ZADD', SESSIONS, up, session) end

for _, dead in ipairs(redis.call('ZRANGEBYSCORE', SESSIONS, '-inf', '(' .. (up - lease))) do
  redis.call('ZREM', SESSIONS, dead)
  redis.call('HSET', GONE, dead, 1)
end
for _, gone in ipairs(redis.call('HKEYS', GONE)) do
  if empty(gone, tonumber(ARGV[7])) == 0 then break end
end

-- Keep stock workers' sweep off what is held here, and drop what somebody else has removed.
local page = redis.call('HSCAN', owned(session), ARGV[6], 'COUNT', 100)
for at = 1, #page[2], 2 do
  local tag = page[2][at]
  if redis.call('HEXISTS', UNACKED, tag) == 1 then
    redis.call('ZADD', INDEX, 'XX', (now + far) / 1000, tag)
  else
    forget(session, tag)
  end
end
return {alive and 1 or 0, page[1]}
"""
)

# session, step (ms): it lives. What a beat says, and nothing else.
RENEW = (
    _EVEN_WHEN_FULL
    + _COMMON
    + """
local up = clock(tonumber(ARGV[3]))
return redis.call('ZADD', SESSIONS, 'XX', 'CH', up, ARGV[2])
"""
)

# the session so far (may be empty), the one that follows it (empty: none does), step (ms), how many
# messages to give back at once, then the tags that go over to the new one. 1 if nothing is left to do.
SETTLE = (
    _EVEN_WHEN_FULL
    + _COMMON
    + """
local old, new = ARGV[2], ARGV[3]
if new ~= '' then
  redis.call('ZADD', SESSIONS, clock(tonumber(ARGV[4])), new)
  for at = 6, #ARGV do
    local where = redis.call('HGET', owned(old), ARGV[at])
    if where then
      redis.call('HSET', owned(new), ARGV[at], where)
      redis.call('HDEL', owned(old), ARGV[at])
    end
  end
end
if old == '' then return 1 end
-- An orderly end adds nothing to the delivery counts; one that lapsed before stays as it is.
redis.call('ZREM', SESSIONS, old)
redis.call('HSETNX', GONE, old, 0)
return empty(old, tonumber(ARGV[5]))
"""
)

# queue, priority, message, in how many milliseconds it is due, and what to know it by until then.
PUBLISH = (
    _COMMON
    + f"""
local queue, priority, message, ahead, id = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6]
if redis.call('HEXISTS', PREFIX .. '{messages.REDIS_CLOSED}', queue) == 1 then
  return redis.error_reply('CLOSED nothing is published to ' .. queue .. ' any more: its release is retired')
end
local now = wall()
message = accepted(message, now)
if ahead > 0 then
  schedule(queue, id, priority, message, now + ahead)
else
  redis.call('LPUSH', list(queue, priority), message)
end
-- Sooner than an idle worker would look by itself.
if ahead < {BELL_WAIT_MS} then ring(queue) end
"""
)

# session, then tags, each with the milliseconds until it is due: wait for that in Redis, not in a worker.
POSTPONE = (
    _EVEN_WHEN_FULL
    + _COMMON
    + """
local now = wall()
for at = 3, #ARGV, 2 do
  local text = redis.call('HGET', UNACKED, ARGV[at])
  local length, priority, queue = forget(ARGV[2], ARGV[at])
  if length and text then
    schedule(queue, ARGV[at], priority, string.sub(text, 2, length + 1), now + ARGV[at + 1])
  end
end
"""
)
