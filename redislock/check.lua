-- Finds out whether the scripts will work here, and leaves nothing behind: a
-- write after TIME needs Redis 5, a primary, and the right to write the key; a
-- push needs the right to publish.
-- KEYS: 1 a key that does not exist
-- ARGV: 1 channel
-- Answers the server's time in seconds.

local t = redis.call('TIME')
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[1], '')
return t[1]
