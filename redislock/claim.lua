-- Puts a claim into the queue of a name, or finds it there.
-- KEYS: 1 h  2 t  3 q  4 d  5 w  6 u:<id>
-- ARGV: 1 id  2 ttl (ms)  3 "try" or "wait"  4 channel  5 info
-- Answers {"held", tenure}, {"gone"} if it was undone before,
--   {"queued", place from 0, claims in the queue, <holder>} or
--   {"refused", 0, claims in the queue, <holder>},
--   where <holder> is tenure, since (µs), remaining (ms), info; 0 and "" if nobody.

-- include queue.lua

local k = {h = KEYS[1], t = KEYS[2], q = KEYS[3], d = KEYS[4], w = KEYS[5]}
local id, ttl, try, chan, info = ARGV[1], tonumber(ARGV[2]), ARGV[3] == 'try', ARGV[4], ARGV[5]

local us, now = clock()
if redis.call('EXISTS', k.h, k.q, KEYS[6]) == 0 then
  return {'held', hold(k, id, us, now + ttl, 2 * ttl + 1000, text(us), chan, info)}
end

local holder = redis.call('HMGET', k.h, 'id', 'tenure', 'since', 'info')
if holder[1] == id then
  redis.call('HDEL', k.h, '') -- as go_on does
  redis.call('HSET', k.h, 'chan', chan, 'info', info)
  keepalive(k.h, ttl)
  return {'held', holder[2]}
end

if redis.call('EXISTS', KEYS[6]) == 1 then
  return {'gone'}
end

if try then
  -- Nothing may be written, not even to clear away what lies around dead.
  local living = redis.call('ZCOUNT', k.d, '(' .. text(now), '+inf')
  local own = tonumber(redis.call('ZSCORE', k.d, id) or 0) > now and 1 or 0
  if holder[1] or living > own then
    local left = holder[1] and redis.call('PTTL', k.h) or 0
    return {'refused', 0, living, holder[2] or '0', holder[3] or '0', left, holder[4] or ''}
  end
end

prune(k, now) -- a claim that is dead itself queues up anew, behind the others
local entry = redis.call('HGET', k.w, id)
local place = redis.call('ZRANK', k.q, id)
if place then
  local since = entry and string.match(entry, '^%S*') or text(us)
  go_on(k)
  redis.call('HSET', k.w, id, since .. ' ' .. chan .. ' ' .. info)
  refresh(k, id, now + ttl, ttl)
elseif not holder[1] and redis.call('EXISTS', k.q) == 0 then
  return {'held', hold(k, id, us, now + ttl, 2 * ttl + 1000, text(us), chan, info)}
else
  local last = redis.call('ZRANGE', k.q, -1, -1, 'WITHSCORES')
  redis.call('ZADD', k.q, text(tonumber(last[2] or 0) + 1), id)
  redis.call('HSET', k.w, id, text(us) .. ' ' .. chan .. ' ' .. info)
  refresh(k, id, now + ttl, ttl)
end

if not holder[1] then
  -- The hold ran out, which nobody is told: whoever comes by hands over.
  local winner, tenure = promote(k, us, now, id)
  if winner == id then return {'held', tenure} end
  holder = redis.call('HMGET', k.h, 'id', 'tenure', 'since', 'info')
end
place = redis.call('ZRANK', k.q, id)
return {'queued', place, redis.call('ZCARD', k.q), holder[2], holder[3], redis.call('PTTL', k.h), holder[4]}
