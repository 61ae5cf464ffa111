-- Say who may play as a user: whoever asked first, unless that was a connection that is gone.
--
-- KEYS  1 the session's hash
-- ARGV  1 user  2 the holder that asks  3 the connection that asks, which may have held the user without a secret
--       4 a holder that is gone, or nothing
-- Returns the holder, or SYNC where there is no such session.
local state, user = KEYS[1], ARGV[1]
if redis.call('EXISTS', state) == 0 then return 'SYNC' end
local holders = state .. ':holders'
local current = redis.call('HGET', holders, user)
if current and current ~= ARGV[3] and current ~= ARGV[4] then return current end
redis.call('HSET', holders, user, ARGV[2])
return ARGV[2]
