-- Put back one worker's row that Redis has lost or knows in an earlier state only, and tell everybody to read.
-- The values are absolute and guarded by the row's seq and generation: whoever comes first, and how often, is all one.
--
-- KEYS  1 the session's hash  2 the hash of the workers' last batches
-- ARGV  1 whose row  2 seq  3 epoch  4 generation  5 channel  6 session  7 the row {user: points}  8 names {user: name}
--       9 who puts it back  10 the seq below which the row there has to be
-- Returns OK, or SYNC when Redis is not where the caller thinks it is.
local state, seqs = KEYS[1], KEYS[2]
local worker, seq, epoch, generation = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])

local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local known = redis.call('HMGET', state, 'run', 'epoch', 'generation', 'version')
if known[1] ~= run or known[2] ~= epoch then return 'SYNC' end

local current, version = tonumber(known[3]), tonumber(known[4])
local last = tonumber(redis.call('HGET', seqs, worker) or 0)
if generation <= current and last >= tonumber(ARGV[10]) then return 'OK' end

local board = string.format('%s:%d', state, current)
if generation > current then
  -- What is here was cleared by a reset that this Redis has forgotten.
  redis.call('UNLINK', board, board .. ':names', board .. ':row:' .. worker)
  for _, other in ipairs(redis.call('HKEYS', seqs)) do redis.call('UNLINK', board .. ':row:' .. other) end
  board = string.format('%s:%d', state, generation)
  redis.call('HSET', state, 'generation', generation)
end
if generation >= current and seq >= last then
  local row = board .. ':row:' .. worker
  local before = redis.call('HGETALL', row)
  for index = 1, #before, 2 do redis.call('ZINCRBY', board, -before[index + 1], before[index]) end
  redis.call('UNLINK', row)
  for user, points in pairs(cjson.decode(ARGV[7])) do
    redis.call('HSET', row, user, points)
    redis.call('ZINCRBY', board, points, user)
  end
  for user, name in pairs(cjson.decode(ARGV[8])) do redis.call('HSETNX', board .. ':names', user, name) end
end
-- A row of a generation that is over counts nothing, but its worker goes on counting from where it was.
redis.call('HSET', seqs, worker, math.max(seq, last))
redis.call('HSET', state, 'version', version + 1)
redis.call('PUBLISH', ARGV[5], string.format('["restored","%s","%s"]', ARGV[9], ARGV[6]))
return 'OK'
