-- What the scripts that change a queue share. It is put where they say "include".
--
-- The keys of one name carry one hash tag: k.x is "<prefix>{<name>}:x".
--   h  hash    the hold: id, tenure, since (µs), chan, info; expires with its lease
--   t  string  the last tenure; expires when the clock has passed it for a while
--   q  zset    the claims that wait, scored by their place
--   d  zset    the same claims, scored by the time (ms) when their lease ends
--   w  hash    the same claims: "<since> <chan> <info>"
--   b  string  the claim that was broken last
--   u:<id> string  that claim was undone: it must come to nothing
-- Every key expires by itself. Numbers become text by '%.0f' alone: Lua would
-- write large ones with an exponent.

local EPOCH = 1735689600000000 -- 2025-01-01, in µs
local LIMIT = 140737488355328  -- 2^47, see driver.MaxTenure

local function text(n) return string.format('%.0f', n) end

-- The server's clock in µs, and in ms rounded up: a lease must not end early.
local function clock()
  local t = redis.call('TIME')
  local us = tonumber(t[1]) * 1000000 + tonumber(t[2])
  return us, math.ceil(us / 1000)
end

-- A tenure that is greater than every earlier one: one more than the last, and
-- not behind the clock, so that it grows even when the counter was lost. The
-- counter stays for keep ms, and at least until the clock has passed it.
local function mint(k, us, keep)
  local ticks = math.floor((us - EPOCH) / 10)
  local tenure = math.max(tonumber(redis.call('GET', k.t) or 0) + 1, ticks)
  if tenure >= LIMIT then
    error('LOCKER the clock of the server is past 2069: no token can be made')
  end
  local ahead = math.max(0, math.ceil((tenure - ticks) / 100))
  redis.call('SET', k.t, text(tenure), 'PX', text(ahead + keep))
  return text(tenure)
end

local function hold(k, id, us, ends, keep, since, chan, info)
  local tenure = mint(k, us, keep)
  redis.call('HSET', k.h, 'id', id, 'tenure', tenure, 'since', since, 'chan', chan, 'info', info)
  redis.call('PEXPIREAT', k.h, text(ends))
  return tenure
end

-- What is there already goes on and is freed when the server has no room for
-- more. Redis refuses a script the commands that may need room until it has
-- written; taking away what is not there is a write, and never refused.
local function go_on(k) redis.call('ZREM', k.d, '') end

local function leave(k, id)
  redis.call('ZREM', k.d, id)
  redis.call('HDEL', k.w, id)
  return redis.call('ZREM', k.q, id) == 1
end

-- Drops the claims whose lease has run out.
local function prune(k, now)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', k.d, '-inf', text(now))) do leave(k, id) end
end

-- Gives the name, which nobody holds, to the first claim that is alive, for what
-- is left of its lease: the client counts from its last answered renewal. me is
-- the claim that hears of it by the answer instead of a push.
local function promote(k, us, now, me)
  prune(k, now)
  while true do
    local id = redis.call('ZRANGE', k.q, 0, 0)[1]
    if not id then return nil end
    local ends, entry = redis.call('ZSCORE', k.d, id), redis.call('HGET', k.w, id)
    leave(k, id)
    if ends and entry then -- else that key was evicted: the claim is as good as dead
      ends = tonumber(ends)
      local _, chan, info = string.match(entry, '^(%S*) (%S*) (.*)$')
      local tenure = hold(k, id, us, ends, 2 * (ends - now) + 1000, text(us), chan, info)
      if id ~= me then
        -- A user without the right to publish must not break the hand-over: the
        -- next renewal of the claim tells it too.
        redis.pcall('PUBLISH', chan, 'granted ' .. id .. ' ' .. tenure)
      end
      return id, tenure
    end
  end
end

-- Lets key live for at least ms from now; one more because Redis cuts the
-- present down to whole milliseconds.
local function keepalive(key, ms)
  if redis.call('PTTL', key) <= ms then redis.call('PEXPIRE', key, text(ms + 1)) end
end

-- Moves the end of a waiting claim's lease to ends, never back.
local function refresh(k, id, ends, ms)
  go_on(k)
  local old = tonumber(redis.call('ZSCORE', k.d, id) or 0)
  redis.call('ZADD', k.d, text(math.max(old, ends)), id)
  keepalive(k.q, ms)
  keepalive(k.d, ms)
  keepalive(k.w, ms)
end

