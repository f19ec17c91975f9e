-- Forgets calls that began before a time and are over. Needs nothing. Answers whether there may be more.

local before, most = ARGV[1], tonumber(ARGV[2])
local found = redis.call('ZRANGEBYSCORE', P .. 'calls', '-inf', '(' .. before, 'LIMIT', 0, most)
local gone = 0
for _, no in ipairs(found) do
  local stored = redis.call('GET', P .. 'call:' .. no)
  local ended, identity, _, caller, callee = 1, nil, nil, nil, nil
  if stored then
    ended, identity, _, caller, callee = cmsgpack.unpack(stored)
  end
  if ended == 1 then
    gone = gone + 1
    redis.call('ZREM', P .. 'calls', no)
    redis.call('DEL', P .. 'call:' .. no)
    if identity then
      redis.call('HDEL', P .. 'ci', identity)
      redis.call('ZREM', P .. 'cl:' .. caller, no)
      redis.call('ZREM', P .. 'cl:' .. callee, no)
    end
  end
end
return (#found == most and gone > 0) and 1 or 0
