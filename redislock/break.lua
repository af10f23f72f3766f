-- Ends the hold with a given tenure, tells its holder, and hands the name over.
-- KEYS: 1 h  2 t  3 q  4 d  5 w  6 b
-- ARGV: 1 tenure
-- Answers 1, or 0 if that hold is not current.

-- include queue.lua

local k = {h = KEYS[1], t = KEYS[2], q = KEYS[3], d = KEYS[4], w = KEYS[5]}
local holder = redis.call('HMGET', k.h, 'id', 'tenure', 'chan')
if holder[2] ~= ARGV[1] then return 0 end

-- The mark outlives the lease, so that a holder that missed the push learns at
-- its next renewal that the lock was broken and not evicted. Deleting comes
-- first: after that, Redis lets a script write even when its memory is full.
local left = math.max(0, redis.call('PTTL', k.h))
redis.call('DEL', k.h)
redis.call('SET', KEYS[6], holder[1], 'PX', text(left + 1000))
redis.pcall('PUBLISH', holder[3], 'broken ' .. holder[1])
local us, now = clock()
promote(k, us, now)
return 1
