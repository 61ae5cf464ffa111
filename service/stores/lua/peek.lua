-- How far every session is: {epoch, version, …} in the order of the keys, false where there is none.
--
-- KEYS  the sessions' hashes
local found = {}
for _, state in ipairs(KEYS) do
  local known = redis.call('HMGET', state, 'epoch', 'version')
  found[#found + 1], found[#found + 2] = known[1], known[2]
end
return found
