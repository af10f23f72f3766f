-- Tells who holds a name and who waits. Writes nothing.
-- KEYS: 1 h  2 q  3 d  4 w
-- ARGV: 1 "waiters" to have them listed, "" to have them counted
-- Answers {} if nobody holds it, else
--   {tenure, since (µs), remaining (ms), info, claims that wait, <entry of each> ...},
--   where an entry is "<since (µs)> <channel> <info>".

local holder = redis.call('HMGET', KEYS[1], 'id', 'tenure', 'since', 'info')
if not holder[1] then return {} end
local t = redis.call('TIME')
local now = string.format('%.0f', math.ceil(tonumber(t[1]) * 1000 + tonumber(t[2]) / 1000))
local count = redis.call('ZCOUNT', KEYS[3], '(' .. now, '+inf')
local answer = {holder[2], holder[3], redis.call('PTTL', KEYS[1]), holder[4], count}
if ARGV[1] == '' then return answer end

local alive = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '(' .. now, '+inf')) do alive[id] = true end
for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  if alive[id] then answer[#answer + 1] = redis.call('HGET', KEYS[4], id) or '' end
end
return answer
