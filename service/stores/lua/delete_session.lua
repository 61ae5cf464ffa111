-- End one session: forget all of it, unless it moved on meanwhile.
--
-- KEYS  1 the session's hash  2 the hash of the workers' last batches
-- ARGV  1 worker  2 epoch  3 version  4 channel  5 session
-- Returns OK, GONE when there is no such session, or SYNC when there is more than the caller knows of.
local state, seqs = KEYS[1], KEYS[2]
local known = redis.call('HMGET', state, 'epoch', 'generation', 'version')
if not known[1] then return 'GONE' end
if known[1] ~= ARGV[2] or known[3] ~= ARGV[3] then return 'SYNC' end
local board = state .. ':' .. known[2]
for _, worker in ipairs(redis.call('HKEYS', seqs)) do redis.call('UNLINK', board .. ':row:' .. worker) end
redis.call('UNLINK', state, seqs, board, board .. ':names', state .. ':recent', state .. ':holders', state .. ':host')
redis.call('PUBLISH', ARGV[4], string.format('["ended","%s","%s"]', ARGV[1], ARGV[5]))
return 'OK'
