-- Free a user whom a connection holds that has ended.
--
-- KEYS  1 the session's hash
-- ARGV  1 user  2 the connection
-- Returns OK.
local holders = KEYS[1] .. ':holders'
if redis.call('HGET', holders, ARGV[1]) == ARGV[2] then redis.call('HDEL', holders, ARGV[1]) end
return 'OK'
