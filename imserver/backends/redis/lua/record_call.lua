-- Keeps a call's record. Needs feed.lua, changes.lua.
-- A record is stored as [ended, identity, node, caller, callee, record]; the last one is the nodes' affair.

local identity, caller, callee, created = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local ended, withheld, record = tonumber(ARGV[5]), ARGV[6] == '1', ARGV[7]
local missed, seconds, node = ARGV[8], ARGV[9], ARGV[10]
local home, known = ARGV[11], tonumber(ARGV[12])

if redis.call('EXISTS', P .. 'u:' .. caller) == 0 or redis.call('EXISTS', P .. 'u:' .. callee) == 0 then
  return 'no-user'
end
local no = tonumber(redis.call('HGET', P .. 'ci', identity))
if no then
  local stored = redis.call('GET', P .. 'call:' .. no)
  local over, _, at = cmsgpack.unpack(stored)
  home = at
  if over == 1 then
    return 'done'
  end
elseif known > 0 then
  return 'done' -- it was to be ended, and is gone
else
  no = redis.call('HINCRBY', P .. 'log', 'call', 1)
  redis.call('HSET', P .. 'ci', identity, no)
  redis.call('ZADD', P .. 'calls', created, no)
  redis.call('ZADD', P .. 'cl:' .. caller, no, no)
  if not withheld then
    redis.call('ZADD', P .. 'cl:' .. callee, no, no)
  end
end
redis.call('SET', P .. 'call:' .. no, cmsgpack.pack(ended, identity, home, caller, callee, record))
if ended == 0 then
  redis.call('SADD', P .. 'oc:' .. home, no)
  redis.call('HSETNX', P .. 'oca', home, 0)
  return 'done'
end
redis.call('SREM', P .. 'oc:' .. home, no)
if redis.call('EXISTS', P .. 'oc:' .. home) == 0 then
  redis.call('HDEL', P .. 'oca', home)
end
if missed ~= '' then
  local id = tell_change(missed, {callee}, false, {}, seconds, node, '')
  redis.call('ZADD', P .. 'mc:' .. callee, id, id)
  redis.call('EXPIRE', P .. 'mc:' .. callee, seconds)
end
return 'done'
