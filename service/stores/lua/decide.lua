-- Keep what the host decided, where nothing later is known of the same thing, and tell everybody.
-- The twin of service/core/host_decisions.py; it may be done twice, and in any order.
--
-- KEYS  1 the session's hash
-- ARGV  1 channel  2 session  3 worker  4 the decisions as they travel between workers (JSON)
--       then for each of them: the thing  turn  worker  the decision as it is stored (JSON)
-- Returns OK.
local held = KEYS[1] .. ':host'
for index = 5, #ARGV, 4 do
  local key, turn, worker, text = ARGV[index], tonumber(ARGV[index + 1]), ARGV[index + 2], ARGV[index + 3]
  local stored = redis.call('HGET', held, key)
  local read, known = pcall(cjson.decode, stored or '')
  local later = not read or type(known) ~= 'table' or type(known[1]) ~= 'number' or type(known[2]) ~= 'string'
    or turn > known[1] or (turn == known[1] and worker > known[2])
  if later then redis.call('HSET', held, key, text) end
end
redis.call('PUBLISH', ARGV[1], string.format('["host","%s","%s"]', ARGV[3], ARGV[2]) .. '\n' .. ARGV[4])
return 'OK'
