-- Renews claims of several names, each only if it is still there.
-- KEYS: h of each name. The other keys of the name are made from it; they carry
--   the same hash tag. All names must be on one server.
-- ARGV: id and ttl (ms) of each name in turn
-- Answers for each name the tenure if the claim holds, else
--   {"queued", place from 0, remaining (ms) of the hold} or {"gone", "broken" or ""}.

-- include queue.lua

local us, now = clock()

local function wait(h, id, ttl, held)
  local base = string.sub(h, 1, -2)
  local k = {h = h, t = base .. 't', q = base .. 'q', d = base .. 'd', w = base .. 'w'}
  if tonumber(redis.call('ZSCORE', k.d, id) or 0) <= now or not redis.call('ZSCORE', k.q, id) then
    return {'gone', redis.call('GET', base .. 'b') == id and 'broken' or ''}
  end
  refresh(k, id, now + ttl, ttl)
  if not held then
    local winner, tenure = promote(k, us, now, id)
    if winner == id then return tenure end
  else
    prune(k, now)
  end
  return {'queued', redis.call('ZRANK', k.q, id), redis.call('PTTL', h)}
end

local answer = {}
for i, h in ipairs(KEYS) do
  local id, ttl = ARGV[2 * i - 1], tonumber(ARGV[2 * i])
  local holder = redis.call('HMGET', h, 'id', 'tenure')
  if holder[1] == id then
    keepalive(h, ttl)
    answer[i] = holder[2]
  else
    answer[i] = wait(h, id, ttl, holder[1])
  end
end
return answer
