-- Removes one claim, holding or waiting, and hands the name over if it held.
-- KEYS: 1 h  2 t  3 q  4 d  5 w  6 u:<id>
-- ARGV: 1 id  2 how long (ms) a late claim of this id comes to nothing; 0: none is on its way
-- Answers 1 if the claim was there, else 0.

local id = ARGV[1]
if ARGV[2] ~= '0' then
  redis.call('DEL', KEYS[6]) -- which is never refused, see go_on; so what follows is not
  redis.call('SET', KEYS[6], '1', 'PX', ARGV[2])
end
local held = redis.call('HGET', KEYS[1], 'id') == id
if held then redis.call('DEL', KEYS[1]) end
if redis.call('EXISTS', KEYS[3]) == 0 then return held and 1 or 0 end

-- include queue.lua

local k = {h = KEYS[1], t = KEYS[2], q = KEYS[3], d = KEYS[4], w = KEYS[5]}
local us, now = clock()
if held then
  promote(k, us, now)
  return 1
end
prune(k, now)
local found = leave(k, id)
if redis.call('EXISTS', k.h) == 0 then promote(k, us, now) end
return found and 1 or 0
