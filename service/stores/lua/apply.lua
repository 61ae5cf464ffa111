-- Apply one batch of one worker, once, and tell everybody. The twin of service/core/pn_counter.py.
--
-- KEYS  1 the session's hash  2 the hash of the workers' last batches
-- ARGV  1 worker  2 seq  3 epoch  4 seconds an op id is remembered  5 channel  6 session  7 the operations (JSON)
--       8 how many messages are kept for who has missed them
-- Returns OK, or why nothing was done: SYNC (Redis is not where the worker thinks it is), KNOWN (done before).
local state, seqs = KEYS[1], KEYS[2]
local worker, seq, epoch = ARGV[1], tonumber(ARGV[2]), ARGV[3]

local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local known = redis.call('HMGET', state, 'run', 'epoch', 'generation', 'version', 'updates')
if known[1] ~= run or known[2] ~= epoch then return 'SYNC' end

local last = tonumber(redis.call('HGET', seqs, worker) or 0)
if seq <= last then return 'KNOWN' end
if seq > last + 1 then return 'SYNC' end

local generation, version, updates = tonumber(known[3]), tonumber(known[4]), tonumber(known[5])
local from = version
local board, row, names
local function turn_to(number)
  generation = number
  board = string.format('%s:%d', state, generation)
  row = board .. ':row:' .. worker
  names = board .. ':names'
end
turn_to(generation)

local function book(user, points)
  redis.call('HINCRBY', row, user, points)
  redis.call('ZINCRBY', board, points, user)
end

local repeated = {}
for index, op in ipairs(cjson.decode(ARGV[7])) do
  local kind = op[1]
  if kind == 'add' then
    local user, points, id = op[2], op[3], op[4]
    local key = id ~= '' and state .. ':op:' .. user .. ':' .. id
    local first = key and redis.call('GET', key)
    if first then
      repeated[#repeated + 1] = string.format('[%d,%s]', index - 1, first)
    else
      if key then redis.call('SET', key, points, 'EX', ARGV[4]) end
      book(user, points)
      version, updates = version + 1, updates + 1
    end
  elseif kind == 'populate' then
    for _, pair in ipairs(op[2]) do
      local user, score = pair[1], pair[2]
      book(user, score - tonumber(redis.call('ZSCORE', board, user) or 0))
    end
    version = version + 1
  elseif kind == 'reset' then
    redis.call('UNLINK', board, names)
    for _, other in ipairs(redis.call('HKEYS', seqs)) do redis.call('UNLINK', board .. ':row:' .. other) end
    redis.call('UNLINK', row)
    turn_to(generation + 1)
    version = version + 1
  elseif kind == 'name' then
    redis.call('HSET', names, op[2], op[3])
  end
end

redis.call('HSET', seqs, worker, seq)
redis.call('HSET', state, 'generation', generation, 'version', version, 'updates', updates)
local message = string.format(
  '["batch","%s","%s","%s",%d,%d,%d,%d,[%s]]\n%s',
  worker, ARGV[6], epoch, seq, from, version, updates, table.concat(repeated, ','), ARGV[7])
redis.call('PUBLISH', ARGV[5], message)
-- Who does not hear it now reads it later.
redis.call('ZADD', state .. ':recent', version, message)
redis.call('ZREMRANGEBYRANK', state .. ':recent', 0, -1 - ARGV[8])
return 'OK'
