-- Read one session in one go. A Redis that is empty, or was started anew from who knows what, gets a new epoch.
--
-- KEYS  1 the session's hash  2 the hash of the workers' last batches
-- ARGV  1 the epoch to begin where a new one is due  2 epoch and 3 version that the caller knows
-- Returns {epoch, generation, version, updates, {worker, seq, …}, {user, name, …}, {worker, {user, points, …}, …},
--          {message of a batch that the caller has missed, …}}
local state, seqs = KEYS[1], KEYS[2]

local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
if redis.call('HGET', state, 'run') ~= run then
  redis.call('HSET', state, 'run', run, 'epoch', ARGV[1])
  for _, field in ipairs({'version', 'updates'}) do redis.call('HSETNX', state, field, 0) end
  redis.call('HSETNX', state, 'generation', 1)
end

local known = redis.call('HMGET', state, 'epoch', 'generation', 'version', 'updates')
local board = state .. ':' .. known[2]
local last = redis.call('HGETALL', seqs)
local rows = {}
for index = 1, #last, 2 do
  rows[#rows + 1] = last[index]
  rows[#rows + 1] = redis.call('HGETALL', board .. ':row:' .. last[index])
end
local since = known[1] == ARGV[2] and '(' .. ARGV[3] or '-inf'
local missed = redis.call('ZRANGEBYSCORE', state .. ':recent', since, '+inf')
return {known[1], known[2], known[3], known[4], last, redis.call('HGETALL', board .. ':names'), rows, missed}
