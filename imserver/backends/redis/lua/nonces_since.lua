-- From when on every nonce is known: [this time]. After an end of Redis that may have lost some, from now on.
--
-- run: this Redis process; sure: whether it loses nothing that was acknowledged when it ends.

local run, sure = ARGV[1], ARGV[2] == '1'
local known = redis.call('HMGET', P .. 'nonces', 'run', 'since')
if known[1] == run then
  return known[2]
end
local since = known[2]
if not since or not sure then
  local time = redis.call('TIME')
  since = string.format('%.6f', time[1] + time[2] / 1000000)
end
redis.call('HSET', P .. 'nonces', 'run', run, 'since', since)
return since
